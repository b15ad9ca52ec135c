"""Commands about power meters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import (
    CALIBRATIONS,
    EXIT_USAGE,
    CalibrationFile,
    Json,
    check_outputs,
    console,
    example,
    say,
    write_json,
)
from edgebench.energy import coverage

if TYPE_CHECKING:
    from edgebench.energy.meters._integration import WindowEnergy

app = typer.Typer(
    help="List, watch and calibrate the energy meters of this machine.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)


@app.callback(epilog=example("edgebench meters", "edgebench meters watch rapl --seconds 10"))
def meters(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_meters()


@app.command("list", epilog=example("edgebench meters list"))
def list_meters(json: Json = None) -> None:
    """List this machine's energy counters and the meters on its ports, or why there are none."""
    from rich.markup import escape
    from rich.table import Table

    from edgebench.energy.meters import _serial, _watch
    from edgebench.errors import MissingPackage

    check_outputs(json)
    listed = _watch.listing()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("meter", "what it is", "found"):
        table.add_column(heading, overflow="fold")
    for one in listed:
        found = ", ".join(one.ports) or ("yes" if one.available else "no")
        table.add_row(*map(escape, (one.name, one.what, f"{found}: {one.note}" if one.note else found)))
    console().print(table)
    try:
        ports = _serial.ports()
    except MissingPackage as missing:
        say(f"Serial ports: {missing.seen}. {missing.remedy}")
    else:
        say(f"Serial ports: {', '.join(ports) or 'none'}")
    write_json(json, listed)


@app.command("watch", epilog=example("edgebench meters watch rapl", "edgebench meters watch um25c:/dev/rfcomm0"))
def watch_meter(
    name: Annotated[str, typer.Argument(metavar="NAME[:PORT]", help="A name from `edgebench meters`.")],
    port: Annotated[str | None, typer.Option(help="Its port, if it cannot be detected.")] = None,
    volts: Annotated[
        float | None, typer.Option(min=0.1, help="Supply voltage, for meters that measure only current.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long to watch; default: until Ctrl-C.", show_default=False)
    ] = math.inf,
    calibrations: CalibrationFile = CALIBRATIONS,
) -> None:
    """Show a meter's power once a second, and the energy so far."""
    from edgebench.energy.meters import _watch

    said = ""
    try:
        for shown in _watch.watch(name, port=port, volts=volts, seconds=seconds, calibrations=calibrations):
            scopes = ", ".join(
                f"{scope} {power_w:.3f} W ({shown.energy_j[scope]:.1f} J)" for scope, power_w in shown.power_w.items()
            )
            say(f"{shown.seconds:7.1f} s  {scopes}")
            if shown.note != said:
                said = shown.note
                say(f"  note: {said}")
            if shown.window:
                say(_whole(shown.window))
    except KeyboardInterrupt:
        say("")


def _whole(window: WindowEnergy) -> str:
    """The energy with both of its errors, each with a coverage of 95 %."""
    sampling_j = coverage.of_u(window.u_window_j, window.u_common_j)
    line = f"{window.duration_s:7.1f} s  {window.energy_j:.2f} J ± {sampling_j:.2g} J by sampling"
    if window.u_systematic_j is None:
        line += "; the meter's own accuracy is unknown"
    else:
        line += f", ± {coverage.of_u(0.0, window.u_systematic_j):.2g} J by the meter"
    return line + "".join(f"; {flag.replace('_', ' ')}" for flag in sorted(window.flags))


@app.command(
    "calibrate",
    epilog=example(
        "edgebench meters calibrate um25c:/dev/rfcomm0 --point 2.61:2.54 --point 5.43:5.31",
        "edgebench meters calibrate tc66c:2026 --point 2.61:2.54 --point 5.43:5.31",
    ),
)
def calibrate(
    unit: Annotated[
        str,
        typer.Argument(
            metavar="NAME:UNIT", help="Its serial number if it reports one (`meters watch` shows it), else its port."
        ),
    ],
    point: Annotated[
        list[str], typer.Option(metavar="SHOWN:TRUE", help="In watts; give it twice, for two different loads.")
    ],
    error: Annotated[float, typer.Option(min=0, max=99, help="Error limit of the reference, in percent.")] = 1.0,
    calibrations: CalibrationFile = CALIBRATIONS,
) -> None:
    """Calibrate a meter with two loads of known power, such as resistors and a multimeter with a specified accuracy.

    The calibration is only valid for this unit: others of the same model differ.
    """
    from datetime import UTC, datetime

    from edgebench import plugins
    from edgebench.energy.meters import _calibration
    from edgebench.errors import UserError

    name, _, which = unit.partition(":")
    plugins.load("edgebench.energy.meters", name, kind="meter")
    if not which:
        raise UserError(
            "meters calibrate",
            f"which {name}? Its unit is not named, and units differ",
            f"Write {name}:PORT as for `deploy --meter`, or {name}:SERIAL if `edgebench meters watch` shows a serial "
            "number",
        )
    (shown_low, true_low), (shown_high, true_high) = _points(point)
    made = _calibration.from_two_points(
        (shown_low, shown_high), (true_low, true_high), error / 100, f"{datetime.now(UTC):%Y-%m-%d}"
    )
    _calibration.save(unit, made, calibrations)
    say(f"{unit}: true = {made.gain:.5g} x shown {made.offset_w:+.4g} W, written to {calibrations}")


def _points(texts: list[str]) -> list[tuple[float, float]]:
    try:
        (low, high) = [tuple(map(float, text.split(":"))) for text in texts]
        (shown_low, true_low), (shown_high, true_high) = low, high
    except ValueError:
        say("Give --point SHOWN:TRUE twice, in watts, such as --point 2.61:2.54")
        raise typer.Exit(EXIT_USAGE) from None
    return [(shown_low, true_low), (shown_high, true_high)]
