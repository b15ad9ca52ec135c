"""The command that measures files on devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli import _completion, _gate, _own_data
from edgebench.cli._comparison import Verbose, be_strict, show
from edgebench.cli._terminal import (
    CALIBRATIONS,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    RESULTS,
    Carbon,
    Results,
    Strict,
    TargetsFile,
    check_outputs,
    example,
    progress,
    say,
)

if TYPE_CHECKING:
    from edgebench.schema.plan import Plan

app = typer.Typer()

PLANS = (
    "How to measure: quick; default; mlperf (5 windows of 10 s); sustained (10 minutes without a pause: when it "
    "throttles, and what speed remains); duty:N (N inferences a second)."
)

TargetName = Annotated[
    str, typer.Option("--target", help="A name from targets.yaml.", autocompletion=_completion.targets)
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Bundles and .onnx / .tflite files; default: the newest bundle.", show_default=False),
]
Preset = Annotated[str, typer.Option("--plan", help=PLANS, autocompletion=_completion.plans)]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="NAME=1x3x320x320",
        help="Sizes of an input that the file leaves open; repeat it for several inputs.",
    ),
]
Dims = Annotated[
    list[str] | None, typer.Option("--dim", metavar="NAME=1", help="A size that .onnx files leave open, by its name.")
]
Inputs = Annotated[
    Path | None,
    typer.Option(
        "--inputs",
        metavar="FILE.npz",
        help="Golden inputs for files outside bundles, arrays by input name: answers are compared with this machine's.",
        show_default=False,
    ),
]
Signature = Annotated[
    str, typer.Option("--signature", metavar="NAME", help="The signature to run, for .tflite files with several.")
]
Runtimes = Annotated[
    str | None,
    typer.Option(
        "--runtimes",
        metavar="NAME,...|all",
        autocompletion=_completion.runtimes,
        help="Measure each file in every one of these that reads it, or in all of the target's; default: in the first.",
        show_default=False,
    ),
]
ComputedIn = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="file|fast",
        help="Compute as each file says, or in the runtime's own default, which may be half precision; default: "
        "the target's.",
        show_default=False,
    ),
]
Threads = Annotated[
    str | None,
    typer.Option(
        "--threads",
        metavar="N[,N...]",
        help="Threads of the runtime; several: each file with each number, in the same rounds, and which is best.",
        show_default=False,
    ),
]
Cpus = Annotated[
    str | None,
    typer.Option(
        "--cpus",
        metavar="big|little|0,2-3",
        help="Processors to run on: the fastest or slowest class that the device has, or numbers.",
        show_default=False,
    ),
]
Energy = Annotated[bool, typer.Option("--energy", help="Measure energy too (takes minutes longer).")]
Accuracy = Annotated[bool, typer.Option("--accuracy", help="Score each file on the device too, on a whole test set.")]
SCORE = "Accuracy of any file"
TestData = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="The test set: as for export; COCO's .json, YOLO's folder or data.yaml, images/ beside masks/.",
        rich_help_panel=SCORE,
        show_default=False,
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        help="classification, multilabel, detection, segmentation or regression; default: what the data is for.",
        rich_help_panel=SCORE,
        show_default=False,
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        metavar="package.module:callable",
        help="A metric of your own: called with {output: array} and targets, returns a number or {name: number}.",
        rich_help_panel=SCORE,
        show_default=False,
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A detector's output layout, if it is not recognised: yolov8, yolov5, yolox, ssd, detr, end-to-end, ...",
        rich_help_panel=SCORE,
        show_default=False,
    ),
]
Anchors = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.npy",
        help="For offsets from anchors: n rows of centre x and y, width, height, in shares of the image.",
        rich_help_panel=SCORE,
        show_default=False,
    ),
]
Layers = Annotated[
    bool, typer.Option("--layers", help="Also time each layer with the runtime's profiler, after everything else.")
]
MeterName = Annotated[
    str | None,
    typer.Option(
        "--meter",
        metavar="NAME[:PORT]",
        help="A meter in the device's supply, connected to this machine: um25c:/dev/rfcomm0.",
    ),
]
Volts = Annotated[float | None, typer.Option("--volts", help="Supply voltage, for meters that measure only current.")]
Window = Annotated[
    float | None,
    typer.Option("--energy-window", min=0.1, help="Length of an energy window in seconds; default: 10."),
]
Calibrations = Annotated[
    Path | None, typer.Option("--calibrations", help=f"Meter calibration file; default: {CALIBRATIONS}.")
]
Lan = Annotated[bool, typer.Option("--lan", help="For phones: let other machines in the network open the page.")]
Https = Annotated[
    bool, typer.Option("--https", help="For phones: serve the page by https, with a self-signed certificate.")
]
Assets = Annotated[
    Path | None,
    typer.Option("--assets", help="For phones: folder with the npm packages, if offline.", show_default=False),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="If another user is measuring there, wait until the device is free.")
]


@app.command(
    epilog=example(
        "edgebench deploy --target rpi4",
        "edgebench deploy --target desktop-cpu model.onnx model.tflite --plan quick",
        "edgebench deploy --target rpi4 model.tflite --plan duty:5",
        "edgebench deploy --target rpi4 detector.onnx --shape images=1x3x320x320",
        "edgebench deploy --target rpi4 model.onnx --runtimes onnxruntime,openvino",
        "edgebench deploy --target rpi4 model.onnx --threads 1,2,4 --cpus big",
        "edgebench deploy --target rpi4 net.tflite --accuracy --dataset photos/ --preprocessing 0..1",
        "edgebench deploy --target rpi4 yolo.onnx --accuracy --dataset val.json --preprocessing 0..1 --letterbox 640",
        "edgebench deploy --target rpi4 --layers",
        "edgebench deploy --target rpi4 --meter um25c:/dev/rfcomm0",
        "edgebench deploy --target phone --lan --https",
        'edgebench deploy --target rpi4 new.onnx --baseline old.onnx --fail-if "latency_p50 > 1.05"',
    )
)
def deploy(
    target: TargetName,
    what: Files = None,
    preset: Preset = "default",
    shape: Shapes = None,
    dim: Dims = None,
    signature: Signature = "",
    inputs: Inputs = None,
    runtimes: Runtimes = None,
    precision: ComputedIn = None,
    threads: Threads = None,
    cpus: Cpus = None,
    energy: Energy = False,
    accuracy: Accuracy = False,
    layers: Layers = False,
    dataset: TestData = None,
    preprocessing: _own_data.Preprocessing = None,
    resize: _own_data.Resize = None,
    crop: _own_data.Crop = None,
    letterbox: _own_data.Letterbox = None,
    interpolation: _own_data.Interpolate = "bilinear",
    antialias: _own_data.Antialias = True,
    skip_broken: _own_data.SkipBroken = False,
    split_seed: _own_data.SplitSeed = 0,
    task: Task = None,
    metric: Metric = None,
    head: Head = None,
    anchors: Anchors = None,
    baseline: _gate.Baseline = None,
    fail_if: _gate.FailIf = None,
    unresolved: _gate.Unresolved = "measure",
    junit: _gate.Junit = None,
    summary: _gate.Summary = None,
    meter: MeterName = None,
    volts: Volts = None,
    window: Window = None,
    calibrations: Calibrations = None,
    country: Carbon = None,
    results: Results = RESULTS,
    targets: TargetsFile = None,
    lan: Lan = False,
    https: Https = False,
    assets: Assets = None,
    wait: Wait = False,
    strict: Strict = False,
    json: Annotated[Path | None, typer.Option(help="Write the comparison as JSON.", show_default=False)] = None,
    verbose: Verbose = False,
) -> None:
    """Measure files on a device and save one record each.

    --meter and --carbon imply --energy.

    Exits with 1 unless every file is measured; with 3 if a check failed, and with --strict if a record is not valid.

    Interrupted (killed, link lost, laptop closed)? Run the same command again: it continues where it stopped.
    """
    from edgebench import deploy, gated
    from edgebench.analysis import gate
    from edgebench.modelfile import feeding
    from edgebench.networks.scoring import ScoreChoice
    from edgebench.schema import bundle
    from edgebench.schema import plan as plan_
    from edgebench.schema import targets as targets_

    score = ScoreChoice(
        _own_data.address(dataset, split_seed, skip_broken),
        preprocessing,
        _own_data.geometry(resize, crop, interpolation, antialias, letterbox),
        task, metric, head, anchors,
    )  # fmt: skip
    if score != ScoreChoice() and not accuracy:
        named = {"--dataset": dataset, "--task": task, "--metric": metric, "--head": head, "--anchors": anchors}
        given = next((option for option, value in named.items() if value is not None), "")
        _without_effect(given or "--preprocessing, --resize or another option of images", "--accuracy")
    check_outputs(json, junit, summary)
    _gate.check_word(unresolved, "measure", "pass", "fail")
    checks = tuple(map(gate.parse, fail_if or ()))
    plan = _plan(preset, accuracy=accuracy, energy=energy or bool(meter), country=country, window_s=window)
    if layers:
        plan = plan_.with_layers(plan)
    known = targets_.load(target, targets_.find_file(targets))
    if calibrations is not None and not (meter or known.meter):
        _without_effect("--calibrations", "--meter NAME[:PORT]")
    device = targets_.with_page(targets_.with_meter(known, meter, volts), lan=lan, https=https, assets=assets)
    if precision is not None:
        device = targets_.with_precision(device, precision)
    if runtimes not in (None, "all"):
        device = targets_.with_runtimes(device, str(runtimes))
    if cpus is not None:
        device = targets_.with_cpus(device, cpus)
    device, counts = targets_.with_threads(device, threads) if threads is not None else (device, ())
    asked = feeding.parse_request(shape or (), signature, dim or ())
    wanted = deploy.artifacts_at(what or [bundle.newest()], asked)
    if inputs is not None:
        wanted = deploy.with_inputs(wanted, inputs, progress())
    held = gated.deploy(
        device, wanted, plan, results,
        deploy.DeployOptions(runtimes is not None, counts, score, calibrations or CALIBRATIONS, wait),
        gated.Gate(baseline, checks, more=unresolved == "measure"),
        request=asked, progress=progress(lines_too=True),
    )  # fmt: skip
    records, comparison = held.records, held.comparison
    _gate.write(comparison, {"json": json, "junit": junit, "summary": summary})
    count = f"{len(records)} record{'s' if len(records) > 1 else ''}"
    following = f"edgebench compare --html report.html ({count} in {results / target})"
    show(comparison, verbose=verbose, following=following)
    if any(one.outcome.status == "stopped" for one in records):
        raise typer.Exit(EXIT_INTERRUPTED)
    _gate.end(comparison, unresolved)
    deploy.check_measured(held.wanted, records)
    be_strict(comparison, strict)


def _plan(preset: str, *, accuracy: bool, energy: bool, country: str | None, window_s: float | None) -> Plan:
    from edgebench.energy import carbon
    from edgebench.schema import plan

    chosen = plan.named(preset)
    if accuracy:
        chosen = plan.with_accuracy(chosen)
    if energy or country:
        chosen = plan.with_energy(chosen, window_s or plan.ENERGY_WINDOW_S)
    elif window_s is not None:
        _without_effect("--energy-window", "--energy, --meter or --carbon")
    if country:
        grid = carbon.grid(country)
        chosen = plan.with_carbon(chosen, grid.country, grid.g_per_kwh, grid.source)
    return chosen


def _without_effect(option: str, needed: str) -> None:
    """Refuses an option without effect, which is a mistake that could cost an hour of measuring."""
    say(f"{option} has no effect without {needed}: add it, or leave {option} out")
    raise typer.Exit(EXIT_USAGE)
