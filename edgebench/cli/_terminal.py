"""Options, messages and exit codes that commands share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from edgebench.errors import UserError
    from edgebench.progress import Terminal

EXIT_USER = 1
EXIT_USAGE = 2
EXIT_UNTRUSTED = 3
EXIT_INTERRUPTED = 130

RESULTS = Path("results")
Results = Annotated[Path, typer.Option("--results", help="Folder for records.")]
CALIBRATIONS = Path("meters.yaml")
CalibrationFile = Annotated[Path, typer.Option("--calibrations", help="Meter calibration file.")]
TargetsFile = Annotated[
    Path | None,
    typer.Option("--targets", help="Target file; default: ./targets.yaml.", show_default=False),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 unless every record is valid.")]
Carbon = Annotated[
    str | None,
    typer.Option(
        "--carbon",
        metavar="ISO",
        help="CO2e by this country's grid, e.g. DEU; adds CodeCarbon's model of energy that is not measured.",
    ),
]
Intensity = Annotated[
    float | None,
    typer.Option("--intensity", help="CO2e at so many grams per kWh, instead of a country's grid.", min=0, max=1e6),
]


Json = Annotated[Path | None, typer.Option("--json", help="Write the same as JSON; - is stdout.", show_default=False)]


def write_json(path: Path | None, found: object) -> None:
    """Structs, dataclasses and plain values, if a path was given; `check_outputs` comes first."""
    import msgspec

    from edgebench.files import output

    if path:
        encoded = msgspec.json.format(msgspec.json.encode(found, enc_hook=str), indent=1)
        output.write(path, encoded + b"\n")
        say_written(path)


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
            raise UserError(option, f"'{text}' is not NAME=VALUE", f"For example: {option} {sample}")
    return values


# So many are listed; of the rest, only the number.
MOST_SKIPPED = 20


def check_outputs(*paths: Path | None) -> None:
    """Raises UserError before the work, not after it, if one of the output files cannot be written.

    If one of them is stdout, all other output goes to stderr.
    """
    from edgebench.errors import UserError
    from edgebench.files import output

    named = [path for path in paths if path]
    for path in named:
        output.check(path)
    if len({output.STDOUT if output.is_stdout(path) else path.absolute() for path in named}) < len(named):
        raise UserError(", ".join(map(str, named)), "two outputs have the same name", "Give each its own")
    for path in named:
        leave_stdout_to(path)


def leave_stdout_to(path: Path) -> None:
    """If it is stdout, all other output goes to stderr from now on."""
    from edgebench.files import output

    if output.is_stdout(path):
        sys.stdout = sys.stderr


def say_written(path: Path) -> None:
    """The path of a file that was written; nothing if it was stdout."""
    from edgebench.files import output

    if not output.is_stdout(path):
        say(str(path))


def console(*, stderr: bool = False) -> Console:
    """For all output: text from files and devices cannot move the cursor or rewrite the screen."""
    from edgebench.cli._console import PlainConsole

    return PlainConsole(highlight=False, emoji=False, stderr=stderr)


def progress(*, lines_too: bool = False) -> Terminal:
    """On stderr: stdout is for results. lines_too: what stays as well, for commands whose result comes at the end; for
    others these lines are the result.
    """
    from edgebench.progress import Terminal

    return Terminal(console(stderr=True), console(stderr=lines_too))


def say(line: str) -> None:
    from edgebench.cli._console import printable

    print(printable(line), flush=True)


def complain(error: UserError, label: str = "error", style: str = "red") -> None:
    """Print one error on stderr."""
    from rich.markup import escape

    terminal = console(stderr=True)
    terminal.print(f"[{style}]{label}:[/] {escape(error.where)}: {escape(error.seen)}")
    terminal.print(f"{' ' * (len(label) + 2)}{escape(error.remedy)}")


def say_skipped(skipped: Sequence[UserError]) -> None:
    """Files that were left out, each with its reason; printed before the results of the others."""
    for error in skipped[:MOST_SKIPPED]:
        complain(error, "skipped", "yellow")
    if len(skipped) > MOST_SKIPPED:
        console(stderr=True).print(f"[yellow]skipped:[/] {len(skipped) - MOST_SKIPPED} more files, for similar reasons")


def end_if_skipped(skipped: Sequence[UserError], kind: str) -> None:
    """Ends a command that left files out: exit code 1, even if all else succeeded."""
    if skipped:
        number = len(skipped)
        left_out = (
            f"1 {kind} could not be read and was" if number == 1 else f"{number} {kind}s could not be read and were"
        )
        console(stderr=True).print(f"[red]error:[/] {left_out} left out (see above)")
        raise typer.Exit(EXIT_USER)
