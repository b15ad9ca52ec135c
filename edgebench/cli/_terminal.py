"""What every command needs to talk to the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from edgebench.progress import Terminal

EXIT_USER = 1
EXIT_USAGE = 2
EXIT_UNTRUSTED = 3
EXIT_INTERRUPTED = 130

RESULTS = Path("results")
Results = Annotated[Path, typer.Option("--results", help="Folder of the records.")]
CALIBRATIONS = Path("meters.yaml")
CalibrationFile = Annotated[Path, typer.Option("--calibrations", help="File of what users found out about meters.")]
TargetsFile = Annotated[
    Path | None,
    typer.Option("--targets", help="Another targets.yaml than ./targets.yaml.", show_default=False),
]


def example(*lines: str) -> str:
    return "[dim]Examples[/dim]\n\n" + "\n\n".join(lines)


def named_values(option: str, typed: Sequence[str], sample: str) -> dict[str, Any]:
    """`["branches=1"]` -> {"branches": 1}: values are read as YAML. Raises UserError, whose remedy is the sample."""
    import yaml

    from edgebench.errors import UserError

    values = {}
    for text in typed:
        name, _, value = text.partition("=")
        try:
            values[name] = yaml.safe_load(value)
            is_pair = bool(name and value)
        except yaml.YAMLError:
            is_pair = False
        if not is_pair:
            raise UserError(option, f"'{text}' is no NAME=VALUE", f"Write for example {option} {sample}")
    return values


def check_outputs(*paths: Path | None) -> None:
    """Files that the command is to write: raises UserError now, not after the work, if one of them cannot be.

    If one is stdout, everything else that the command says goes to stderr.
    """
    from edgebench import output
    from edgebench.errors import UserError

    named = [path for path in paths if path]
    for path in named:
        output.check(path)
    if len({output.STDOUT if output.is_stdout(path) else path.absolute() for path in named}) < len(named):
        raise UserError(", ".join(map(str, named)), "one name is given to two files", "Give each its own")
    for path in named:
        leave_stdout_to(path)


def leave_stdout_to(path: Path) -> None:
    """If it is stdout, everything else that the command says goes to stderr from now on."""
    from edgebench import output

    if output.is_stdout(path):
        sys.stdout = sys.stderr


def say_written(path: Path) -> None:
    """Where a file is now; nothing of what went to stdout."""
    from edgebench import output

    if not output.is_stdout(path):
        say(str(path))


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def progress() -> Terminal:
    from edgebench.progress import Terminal

    return Terminal(console())


def say(line: str) -> None:
    print(line, flush=True)
