"""What every command needs to talk to the terminal."""

from __future__ import annotations

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


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def progress() -> Terminal:
    from edgebench.progress import Terminal

    return Terminal(console())


def say(line: str) -> None:
    print(line, flush=True)
