"""How the benchmarks print: Markdown tables, as docs/benchmarks.md takes them, under a line that says where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata

from device_agents.python import facts

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
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
