"""The command that looks for known mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import (
    EXIT_UNTRUSTED,
    Json,
    check_outputs,
    console,
    end_if_skipped,
    example,
    say,
    say_skipped,
    write_json,
)

if TYPE_CHECKING:
    from rich.padding import Padding
    from rich.table import Table

    from edgebench.energy.codecarbon_table import Emission
    from edgebench.studies.audit import Finding

app = typer.Typer()

# So many are listed; of the rest, only the number.
_MOST_RUNS = 30
_STYLES = {"wrong": "red", "doubtful": "yellow"}


@app.command(
    epilog=example(
        "edgebench audit results checkpoints",
        "edgebench audit emissions.csv",
        "edgebench audit studies/ultralight.yaml --only operations-mixed",
        "edgebench audit --list",
    )
)
def audit(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders, records, checkpoints, emissions.csv, study files.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this detector only; repeatable.", show_default=False)
    ] = None,
    list_detectors: Annotated[bool, typer.Option("--list", help="List the detectors and exit.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 for doubtful findings as well.")] = False,
    json: Json = None,
) -> None:
    """Look for the known mistakes of compression and green AI studies.

    Exits with 1 if a file could not be read (the others are audited nevertheless), else with 3 if something is wrong,
    else with 0.
    """
    from edgebench.studies import audit as auditor
    from edgebench.studies.audit.gather import gather

    check_outputs(json)
    if list_detectors:
        for name in auditor.names():
            say(name)
            console().print(_indented(auditor.summary(name)))
        return
    if not paths:
        raise typer.BadParameter("name a folder or a file to audit")
    evidence = gather(paths)
    say_skipped([*evidence.skipped, *evidence.left_out])
    if evidence.is_empty:
        end_if_skipped(evidence.skipped, "file")
    findings = auditor.audit(evidence, only or ())
    if evidence.emissions:
        console().print(_emissions_table(evidence.emissions))
    _print(findings)
    looked = len(only or auditor.names())
    say(f"{looked} detector{'s' * (looked != 1)} ran, {len(findings)} finding{'s' * (len(findings) != 1)}")
    write_json(json, findings)
    end_if_skipped(evidence.skipped, "file")
    if any(strict or finding.level == "wrong" for finding in findings):
        raise typer.Exit(EXIT_UNTRUSTED)


def _print(findings: Sequence[Finding]) -> None:
    """Grouped by place, in the order in which the places first appear."""
    from rich.markup import escape

    terminal = console()
    for where in dict.fromkeys(finding.where for finding in findings):
        terminal.print(f"[bold]{escape(where)}[/bold]")
        for finding in findings:
            if finding.where == where:
                style = _STYLES[finding.level]
                line = f"[{style}]{finding.level}[/] ({finding.detector}): {escape(finding.seen)}"
                terminal.print(_indented(f"{line}\n[dim]{escape(finding.remedy)}[/dim]"))
        terminal.print()


def _indented(text: str) -> Padding:
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, 2), expand=False)


def _emissions_table(emissions: Sequence[Emission]) -> Table:
    """Computed from the numbers of each run, whatever its own columns say."""
    from rich.markup import escape
    from rich.table import Table

    from edgebench.energy.codecarbon_table import INTENSITY_G_PER_KWH

    made = Table(box=None, pad_edge=False, header_style="dim", caption_justify="left")
    made.add_column("run", overflow="fold")
    co2 = f"g CO2 at\n{INTENSITY_G_PER_KWH}"
    for heading in ("energy\nWh", "implied\ng/kWh", co2, "cpu\nmean W", "gpu\nmean W", "modelled\nat least"):
        made.add_column(heading, justify="right")
    for one in emissions[:_MOST_RUNS]:
        made.add_row(
            escape(one.name),
            f"{one.energy_kwh * 1000:.2f}",
            f"{one.intensity_g_per_kwh:.1f}",
            f"{one.emissions_g():.2f}",
            _known(one.mean_power_w("cpu"), ".2f"),
            _known(one.mean_power_w("gpu"), ".2f"),
            _known(one.modelled_share, ".0%"),
        )
    if len(emissions) > _MOST_RUNS:
        whole_wh = sum(one.energy_kwh for one in emissions) * 1000
        made.caption = f"and {len(emissions) - _MOST_RUNS} more runs; {whole_wh:,.2f} Wh in total"
    return made


def _known(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
