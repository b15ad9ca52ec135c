"""Commands about power meters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from edgebench.cli._terminal import CALIBRATIONS, EXIT_USAGE, CalibrationFile, console, example, say
from edgebench.energy import coverage

if TYPE_CHECKING:
    from edgebench.energy.meters._integration import WindowEnergy

app = typer.Typer(
    help="List, watch and calibrate what measures energy here.",
    invoke_without_command=True,
    rich_markup_mode="rich",
)


@app.callback(epilog=example("edgebench meters", "edgebench meters watch rapl --seconds 10"))
def meters(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_meters()


@app.command("list", epilog=example("edgebench meters list"))
def list_meters() -> None:
    """This machine's energy counters and the meters on its ports, or why there are none."""
    from rich.markup import escape
    from rich.table import Table

    from edgebench.energy.meters import _serial, _watch
    from edgebench.errors import MissingPackage

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("meter", "what it is", "found"):
        table.add_column(heading, overflow="fold")
    for one in _watch.listing():
        found = ", ".join(one.ports) or ("yes" if one.available else "no")
        table.add_row(*map(escape, (one.name, one.what, f"{found}: {one.note}" if one.note else found)))
    console().print(table)
    try:
        ports = _serial.ports()
    except MissingPackage as missing:
        say(f"Serial ports: {missing.seen}. {missing.remedy}")
    else:
        say(f"Serial ports: {', '.join(ports) or 'none'}")


@app.command("watch", epilog=example("edgebench meters watch rapl", "edgebench meters watch um25c:/dev/rfcomm0"))
def watch_meter(
    name: Annotated[str, typer.Argument(metavar="NAME[:PORT]", help="A name of `edgebench meters`.")],
    port: Annotated[str | None, typer.Option(help="Where it is, if it cannot be found.")] = None,
    volts: Annotated[float | None, typer.Option(min=0.1, help="Of the supply, for meters of current only.")] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="End after so long; without it, with Ctrl-C.", show_default=False)
    ] = math.inf,
    calibrations: CalibrationFile = CALIBRATIONS,
) -> None:
    """Power as a meter shows it now, once a second, and the energy so far."""
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
    """Energy with both of its errors, each in 95 % of the cases."""
    sampling_j = coverage.of_u(window.u_window_j, window.u_common_j)
    line = f"{window.duration_s:7.1f} s  {window.energy_j:.2f} J ± {sampling_j:.2g} J by sampling"
    if window.u_systematic_j is None:
        line += "; the meter's own accuracy is not known"
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
            metavar="NAME:UNIT", help="Its serial number where it tells one (`meters watch`), else its port."
        ),
    ],
    point: Annotated[list[str], typer.Option(metavar="SHOWN:TRUE", help="Watts; twice, for two different loads.")],
    error: Annotated[float, typer.Option(min=0, max=99, help="Limit of the reference's own error, in percent.")] = 1.0,
    calibrations: CalibrationFile = CALIBRATIONS,
) -> None:
    """Mend one meter by two loads of known power, such as resistors and a multimeter that states its accuracy.

    What is found is of this very meter: another one of its model errs otherwise.
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
            f"which {name} it is is not said, and no two err alike",
            f"Write {name}:PORT as in `deploy --meter`, or {name}:SERIAL where `edgebench meters watch` tells a serial "
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
