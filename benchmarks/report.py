"""How the benchmarks print: Markdown tables, as docs/benchmarks.md takes them, under a line that says where."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from device_agents.python import facts
from edgebench.errors import UserError

# Rows as they come, each with whether it holds what is asked of it; given an empty folder.
Maker = Callable[..., Iterator[tuple[list[str], bool]]]

RUNTIMES = ("onnxruntime", "ai-edge-litert", "numpy")


def conditions(packages: Sequence[str] = RUNTIMES) -> str:
    """Date, machine and versions of the packages that are there: no host name, no path."""
    here = facts.static_facts()
    virtual = "virtual, " if here["virtual_machine"] else ""
    machine = f"{here['cpu']} ({virtual}{here['cores']} cores), Linux {here['kernel']}, Python {here['python']}"
    return f"{datetime.now(UTC):%Y-%m-%d}: {', '.join((machine, *_versions(packages)))}"


def _versions(packages: Sequence[str]) -> Iterator[str]:
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            yield f"{package} {metadata.version(package)}"


def load() -> float:
    """Processes that ran or wanted to in the last minute: above the number of cores, results are noisy."""
    return float(facts.momentary_facts()["load_1min"])


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(header, [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))])
    for row in rows:
        table.add(row)


class Table:
    """One whose rows are printed as they come: what took hours must not wait for what takes more.

    widths: of the columns, at least; a longer cell sticks out.
    """

    def __init__(self, header: Sequence[str], widths: Sequence[int]) -> None:
        self._widths = [max(width, len(cell)) for width, cell in zip(widths, header, strict=True)]
        self.add(header)
        self.add(["-" * width for width in self._widths])

    def add(self, row: Sequence[str]) -> None:
        cells = (cell.ljust(width) for cell, width in zip(row, self._widths, strict=True))
        print("| " + " | ".join(cells) + " |", flush=True)


def printed(header: Sequence[str], widths: Sequence[int], makers: Mapping[str, Maker]) -> Iterator[bool | None]:
    """Print the rows as they come; whether each holds, None for a network that failed: the others go on.

    makers: by the names of the networks.
    """
    if not makers:
        return
    print()
    table = Table(header, widths)
    for name, make in makers.items():
        try:
            with tempfile.TemporaryDirectory() as folder:
                for row, holds in make(folder=Path(folder)):
                    table.add(row)
                    yield holds
        except Exception as error:  # whatever it is: hours of other networks wait behind this one
            if not isinstance(error, UserError):
                traceback.print_exc()
            table.add([name, "failed", str(error)[:300], *[""] * (len(header) - 3)])
            yield None
