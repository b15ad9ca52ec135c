"""The command line: parse, call, print. What a command does is in the module of its name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench import __version__
from edgebench.errors import MissingPackage, UserError

# `edgebench --help` answers at once: what a command needs is imported inside it.
if TYPE_CHECKING:
    from rich.console import Console

    from edgebench.compare import Comparison
    from edgebench.progress import Terminal

EXIT_USER = 1
EXIT_USAGE = 2
EXIT_UNTRUSTED = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    help="Export a trained network for edge devices, run it there, and say what it costs.",
    epilog="A first look: edgebench demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
targets_app = typer.Typer(
    help="List, check and emulate the devices of targets.yaml.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)
app.add_typer(targets_app, name="targets")

Results = Annotated[Path, typer.Option("--results", help="Folder of the records.")]
TargetsFile = Annotated[
    Path | None,
    typer.Option("--targets", help="Another targets.yaml than ./targets.yaml.", show_default=False),
]
_RESULTS = Path("results")

# Not in the base install: which extra of pyproject.toml brings them.
_EXTRA_OF_PACKAGE = {
    "torch": "train",
    "torchvision": "train",
    "torch_pruning": "train",
    "safetensors": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "litert_torch": "export",
    "ai_edge_quantizer": "export",
    "ai_edge_litert": "export",
    "onnx2tf": "tensorflow",
    "tensorflow": "tensorflow",
}


def _example(*lines: str) -> str:
    return "[dim]Examples[/dim]\n\n" + "\n\n".join(lines)


def _print_version(asked: bool) -> None:
    if asked:
        _say(f"edgebench {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """What comes before every command."""


@app.command(epilog=_example("edgebench train ultralight --dataset fashion-mnist-mini"))
def train(
    model: Annotated[str, typer.Argument(help="A network, e.g. ultralight.")],
    dataset: Annotated[str, typer.Option(help="A data set.")] = "fashion-mnist-mini",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's number.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The checkpoint's path.")] = None,
) -> None:
    """Train a network and save a checkpoint."""
    from edgebench.train import train as run

    trained = run(model, dataset, epochs=epochs, seed=seed, out=out, progress=_progress())
    _say(str(trained.path))


@app.command(epilog=_example("edgebench prune checkpoints/ultralight.safetensors --ratio 0.3 --finetune 5"))
def prune(
    checkpoint: Annotated[Path, typer.Argument(help="From `edgebench train`.")],
    method: Annotated[str, typer.Option(help="How to choose what goes.")] = "channels",
    ratio: Annotated[float, typer.Option(help="Share of the channels to remove.", min=0.01, max=0.99)] = 0.3,
    finetune: Annotated[int, typer.Option(help="Epochs of training afterwards.", min=0)] = 5,
    out: Annotated[Path | None, typer.Option(help="The new checkpoint's path.")] = None,
) -> None:
    """Remove channels from a network and save the smaller checkpoint."""
    from edgebench.prune import prune as run

    pruned = run(checkpoint, method=method, ratio=ratio, finetune=finetune, out=out, progress=_progress())
    _say(str(pruned.path))


@app.command(
    epilog=_example(
        "edgebench export --int8",
        "edgebench export checkpoints/ultralight.safetensors --formats tflite-int8,onnx-fp32",
        "edgebench export model.onnx --int8 --calibration fashion-mnist-mini",
    )
)
def export(
    source: Annotated[
        Path | None, typer.Argument(help="A checkpoint or a .onnx file; by default the newest checkpoint.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="fp32 and INT8 files of ONNX and TFLite.")] = False,
    formats: Annotated[str | None, typer.Option(help="Comma-separated, e.g. onnx-fp32,tflite-int8.")] = None,
    calibration: Annotated[str | None, typer.Option(help="Data set for INT8 of a .onnx file.")] = None,
    out: Annotated[Path | None, typer.Option(help="The bundle's folder.")] = None,
) -> None:
    """Write ONNX and TFLite files, each checked against the network it came from."""
    from edgebench import checkpoint
    from edgebench.export import export as run

    chosen = source or checkpoint.newest()
    wanted = formats.split(",") if formats else None
    exported = run(chosen, formats=wanted, int8=int8, calibration=calibration, out=out, progress=_progress())
    _say(str(exported.path))


@app.command(
    epilog=_example(
        "edgebench deploy --target rpi4",
        "edgebench deploy --target desktop-cpu model.onnx model.tflite --plan quick",
    )
)
def deploy(
    target: Annotated[str, typer.Option(help="A name of targets.yaml.")],
    what: Annotated[
        list[Path] | None,
        typer.Argument(help="Bundles and .onnx / .tflite files; by default the newest bundle.", show_default=False),
    ] = None,
    preset: Annotated[str, typer.Option("--plan", help="How hard to measure: quick or default.")] = "default",
    energy: Annotated[bool, typer.Option("--energy", help="Energy windows as well (minutes longer).")] = False,
    results: Results = _RESULTS,
    targets: TargetsFile = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 unless every record is valid.")] = False,
) -> None:
    """Measure files on a device and save one record each.

    Interrupted (killed, link lost, laptop closed)? Type the same again: it goes on where it was.
    """
    from edgebench import bundle, compare, deploy, plan, record
    from edgebench import targets as targets_

    chosen = plan.named(preset)
    paths = deploy.deploy(
        targets_.load(target, targets_.find_file(targets)),
        deploy.sources(what or [bundle.newest()]),
        plan.with_energy(chosen) if energy else chosen,
        results,
        progress=_progress(),
    )
    records = [record.load(path) for path in paths]
    _show(compare.compare(records), strict=strict)
    if any(one.outcome.status == "stopped" for one in records):
        raise typer.Exit(EXIT_INTERRUPTED)


@app.command(
    epilog=_example(
        "edgebench compare",
        "edgebench compare desktop-cpu rpi4 --baseline desktop-cpu/ultralight-onnx-fp32 --html report.html",
    )
)
def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Targets (newest records) and record files; by default all targets.", show_default=False),
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="An artifact, or target/artifact; default: the first.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with charts.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write tables for a README or a paper.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one line per record, SI units.")] = None,
    results: Results = _RESULTS,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 unless every record is valid.")] = False,
) -> None:
    """Compare records: latency, memory, energy, accuracy and size, with ratios to a baseline."""
    from edgebench import compare, report

    selected = compare.select(results, names or [])
    comparison = compare.compare(selected, baseline=baseline)
    for form, path in (("html", html), ("markdown", markdown), ("csv", csv)):
        if path:
            report.write(comparison, form, path)
            _say(str(path))
    _show(comparison, strict=strict)


@app.command(epilog=_example("edgebench demo"))
def demo(
    folder: Annotated[Path, typer.Option(help="Where checkpoints, bundles and results go.")] = Path(),
) -> None:
    """Train, prune, export, measure on this machine and compare: the whole story in a minute or two."""
    from edgebench import demo

    comparison, report_path = demo.demo(folder, progress=_progress())
    _show(comparison, strict=False)
    _say(f"\nReport: {report_path}")


@app.command(epilog=_example("edgebench models --input 3x224x224 --classes 100"))
def models(
    shape: Annotated[str, typer.Option("--input", help="Channels x height x width.")] = "3x32x32",
    classes: Annotated[int, typer.Option(help="How many.", min=2)] = 10,
) -> None:
    """The networks that can be trained, with parameters, MACs and bytes for an input."""
    from edgebench import models
    from edgebench.report import _listing

    with _progress().step("Building each network without memory"):
        listed = models.listing(models.parse_shape(shape), classes)
    _console().print(_listing.table(listed))


@targets_app.callback(epilog=_example("edgebench targets", "edgebench targets check rpi4"))
def targets(context: typer.Context, file: TargetsFile = None) -> None:
    if context.invoked_subcommand is None:
        list_targets(file)


@targets_app.command("list", epilog=_example("edgebench targets list"))
def list_targets(file: TargetsFile = None) -> None:
    """The devices in targets.yaml."""
    from rich.markup import escape
    from rich.table import Table

    from edgebench import targets as targets_

    path = targets_.find_file(file)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("target", "transport", "device", "what it is"):
        table.add_column(heading)
    for name, entry in targets_.load_all(path).items():
        table.add_row(*map(escape, (name, entry.transport, entry.device, entry.description)))
    _console().print(table)
    _console().print(f"[dim]from {escape(str(path))}[/dim]")


@targets_app.command("check", epilog=_example("edgebench targets check desktop-cpu"))
def check_target(
    name: Annotated[str, typer.Argument(help="A name of targets.yaml.")],
    file: TargetsFile = None,
) -> None:
    """Reach a device and say what it is, what is missing and how to mend it."""
    from edgebench import check
    from edgebench import targets as targets_

    found = check.check(targets_.load(name, targets_.find_file(file)), progress=_progress())
    for line in found.lines():
        _console().print(line, markup=False)
    if not found.ready:
        raise typer.Exit(EXIT_USER)


@targets_app.command("emulate", epilog=_example("edgebench targets emulate rpi4"))
def emulate(
    board: Annotated[str, typer.Argument(help="rpi4 or rpi5.")],
    stop: Annotated[bool, typer.Option("--stop", help="Switch it off.")] = False,
) -> None:
    """Make and start an emulated ARM board behind a real ssh server (Debian packages; half a minute, once)."""
    from edgebench import emulator

    if stop:
        emulator.find(board).stop()
        _say(f"{board}-emulated is off")
        return
    machine = emulator.ensure_running(board, progress=_say)
    _say(f"{board}-emulated is up. By hand: ssh -F {machine.ssh_config} {machine.host_alias}")


def main() -> None:
    """Run a command; the one place where errors become messages and exit codes."""
    try:
        app()
    except UserError as error:
        _complain(error)
        sys.exit(EXIT_USER)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_OF_PACKAGE:
            raise
        _complain(MissingPackage("this command", package, _EXTRA_OF_PACKAGE[package]))
        sys.exit(EXIT_USER)


def _complain(error: UserError) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False)
    console.print(f"[red]error:[/red] {escape(error.where)}: {escape(error.seen)}")
    console.print(f"       {escape(error.remedy)}")


def _show(comparison: Comparison, *, strict: bool) -> None:
    from edgebench.report import _terminal as terminal

    terminal.show(comparison, _console())
    if strict and any(row.verdict.level != "valid" for row in comparison.rows):
        raise typer.Exit(EXIT_UNTRUSTED)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _progress() -> Terminal:
    from edgebench.progress import Terminal

    return Terminal(_console())


def _say(line: str) -> None:
    print(line, flush=True)
