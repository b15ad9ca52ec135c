"""The command line: parse, call, print. What a command does is in the module of the same name in edgebench.

`edgebench --help` answers at once: each command imports what it needs.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer

from edgebench import __version__
from edgebench.cli import (
    audit,
    compare,
    deploy,
    evaluate,
    explain,
    export,
    inspect,
    mcp,
    meters,
    network,
    publish,
    repeat,
    results,
    selftest,
    study,
    targets,
)
from edgebench.cli._terminal import EXIT_USAGE, EXIT_USER, complain, console, say
from edgebench.errors import MissingPackage, UserError

app = typer.Typer(
    help="Export a trained network for edge devices, run it there, and measure what it costs.",
    epilog="A first look: edgebench demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(network.app)
app.add_typer(evaluate.app)
app.add_typer(export.app)
app.add_typer(deploy.app)
app.add_typer(compare.app)
app.add_typer(explain.app)
app.add_typer(repeat.app)
app.add_typer(publish.app)
app.add_typer(selftest.app)
app.add_typer(inspect.app)
app.add_typer(audit.app)
app.add_typer(mcp.app)
app.add_typer(study.app, name="study")
app.add_typer(targets.app, name="targets")
app.add_typer(meters.app, name="meters")
app.add_typer(results.app, name="results")

# Packages that are not in the base install, and the extra that installs each.
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
    "codecarbon": "carbon",
    "zstandard": "pack",
    "pyarrow": "parquet",
    "executorch": "executorch",
    "torchao": "executorch",
    "pandas": "frame",
    "mlflow": "mlflow",
    "mcp": "mcp",
    "sklearn": "studies",
    "ray": "ray",
}


# Of a path that is longer than any can be.
_MOST_OF_A_NAME = 60


def _print_version(asked: bool) -> None:
    if asked:
        say(f"edgebench {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that come before every command."""


def main() -> None:
    """Run a command; the one place where errors become messages and exit codes."""
    _open_closed()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP, and so do we
            signal.signal(number, _end)
    try:
        _refuse_empty(sys.argv[1:])
        app()
    except SystemExit as ended:
        # Typer ends with 130 and says nothing; commands that have said it raise Exit themselves.
        if isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt):
            console(stderr=True).print("Stopped.")
        raise
    except UserError as error:
        complain(error)
        sys.exit(EXIT_USER)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        complain(
            UserError(f"{str(error.filename)[:_MOST_OF_A_NAME]}...", "no file can have a name as long", "Check it")
        )
        sys.exit(EXIT_USER)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_OF_PACKAGE:
            raise
        complain(MissingPackage("this command", package, _EXTRA_OF_PACKAGE[package]))
        sys.exit(EXIT_USER)


def _open_closed() -> None:
    """If the shell closed stdin, stdout or stderr, no file or pipe that is opened later may take that number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def _end(number: int, _: object) -> None:
    """Like Ctrl-C: ends what was started and removes half-written files."""
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """An empty name would mean the current folder; most likely a shell variable is unset."""
    for before, argument in pairwise(["edgebench", *arguments]):
        empty = argument if argument.startswith("--") and argument.endswith("=") else "" if argument else before
        if empty:
            complain(UserError(empty.rstrip("="), "an empty name or value", "Give a value, or leave the option out"))
            sys.exit(EXIT_USAGE)
