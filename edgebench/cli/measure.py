"""The command that measures files on devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgebench.cli._comparison import be_strict, show
from edgebench.cli._terminal import (
    CALIBRATIONS,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    RESULTS,
    Carbon,
    Results,
    Strict,
    TargetsFile,
    example,
    progress,
    say,
)

app = typer.Typer()

PLANS = (
    "How to measure: quick; default; mlperf (5 windows of 10 s); sustained (10 minutes without a rest: when it "
    "throttles, what is left); duty:N (N inferences a second)."
)


@app.command(
    epilog=example(
        "edgebench deploy --target rpi4",
        "edgebench deploy --target desktop-cpu model.onnx model.tflite --plan quick",
        "edgebench deploy --target rpi4 model.tflite --plan duty:5",
        "edgebench deploy --target rpi4 detector.onnx --shape images=1x3x320x320",
        "edgebench deploy --target rpi4 --meter um25c:/dev/rfcomm0",
        "edgebench deploy --target phone --lan --https",
    )
)
def deploy(
    target: Annotated[str, typer.Option(help="A name of targets.yaml.")],
    what: Annotated[
        list[Path] | None,
        typer.Argument(help="Bundles and .onnx / .tflite files; by default the newest bundle.", show_default=False),
    ] = None,
    preset: Annotated[str, typer.Option("--plan", help=PLANS)] = "default",
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=1x3x320x320",
            help="Sizes of an input that the file leaves open; repeat it for several inputs.",
        ),
    ] = None,
    signature: Annotated[
        str, typer.Option(metavar="NAME", help="The signature to run, for .tflite files with several.")
    ] = "",
    energy: Annotated[bool, typer.Option("--energy", help="Energy windows as well (minutes longer).")] = False,
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Let the device answer the whole test set as well.")
    ] = False,
    meter: Annotated[
        str | None,
        typer.Option(metavar="NAME[:PORT]", help="In its supply, read here: um25c:/dev/rfcomm0."),
    ] = None,
    volts: Annotated[float | None, typer.Option(help="Supply voltage, for meters that measure only current.")] = None,
    window: Annotated[
        float | None,
        typer.Option("--energy-window", min=0.1, help="Seconds of an energy window: 10, or more where asked for."),
    ] = None,
    calibrations: Annotated[
        Path | None, typer.Option("--calibrations", help=f"Meter calibration file; default: {CALIBRATIONS}.")
    ] = None,
    country: Carbon = None,
    results: Results = RESULTS,
    targets: TargetsFile = None,
    lan: Annotated[bool, typer.Option("--lan", help="A phone's page: let other machines in.")] = False,
    https: Annotated[
        bool, typer.Option("--https", help="A phone's page: by https, with a certificate of ours.")
    ] = False,
    assets: Annotated[
        Path | None, typer.Option(help="A phone's page: folder with the two npm packages.", show_default=False)
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="If somebody else is measuring on the device, wait until it is free.")
    ] = False,
    strict: Strict = False,
) -> None:
    """Measure files on a device and save one record each.

    --meter and --carbon imply --energy.

    Exits with 1 unless every file is measured; with --strict, with 3 if a record is not valid.

    Interrupted (killed, link lost, laptop closed)? Run the same command again: it continues where it stopped.
    """
    from edgebench import compare, deploy
    from edgebench.energy import carbon
    from edgebench.modelfile import feeding
    from edgebench.schema import bundle, plan
    from edgebench.schema import targets as targets_

    chosen = plan.named(preset)
    if accuracy:
        chosen = plan.with_accuracy(chosen)
    if energy or meter or country:
        chosen = plan.with_energy(chosen, window or plan.ENERGY_WINDOW_S)
        if country:
            grid = carbon.grid(country)
            chosen = plan.with_carbon(chosen, grid.country, grid.g_per_kwh, grid.source)
    elif window is not None:
        _without_effect("--energy-window", "--energy, --meter or --carbon")
    known = targets_.load(target, targets_.find_file(targets))
    if calibrations is not None and not (meter or known.meter):
        _without_effect("--calibrations", "--meter NAME[:PORT]")
    device = targets_.with_page(targets_.with_meter(known, meter, volts), lan=lan, https=https, assets=assets)
    wanted = deploy.artifacts_at(what or [bundle.newest()], feeding.parse_request(shape or (), signature))
    records = deploy.deploy(
        device,
        wanted,
        chosen,
        results,
        calibrations=calibrations or CALIBRATIONS,
        wait=wait,
        progress=progress(),
    )
    comparison = compare.compare(records)
    show(comparison)
    if any(one.outcome.status == "stopped" for one in records):
        raise typer.Exit(EXIT_INTERRUPTED)
    deploy.check_measured(wanted, records)
    be_strict(comparison, strict)


def _without_effect(option: str, needed: str) -> None:
    """An option that changes nothing is a slip: nobody waits an hour for windows that were not asked for."""
    say(f"{option} has no effect without {needed}: add it, or leave {option} out")
    raise typer.Exit(EXIT_USAGE)
