"""Which meters this machine has, and what one of them shows now: its own counters, and meters on its ports."""

from __future__ import annotations

import contextlib
import importlib
import math
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from device_agents.python import meters as own
from device_agents.python.device import MACHINE
from edgebench import plugins
from edgebench.errors import UnknownName, UserError
from edgebench.metering import only_port, parse
from edgebench.meters import Meter, _calibration
from edgebench.meters._calibration import Calibration
from edgebench.meters._integration import Refused, Sensor, WindowEnergy, integrate

OWN, ATTACHED = "device_agents.python.meters", "edgebench.meters"
# Counters are read so often; a meter's values are shown as means over so long.
SHOW_S = 1.0


@dataclass(frozen=True)
class Listed:
    """ports: where it was found. note: why it cannot be used and the cure, or what to know of it."""

    name: str
    what: str
    available: bool
    ports: tuple[str, ...] = ()
    note: str = ""


def listing() -> list[Listed]:
    """This machine's own counters, then meters that can be attached to it."""
    found: dict[str, dict[str, Any]] = own.probe(MACHINE.has_meter)  # type: ignore[no-untyped-call]
    counters = [
        Listed(name.replace("_", "-"), "of this machine", one["available"], note=one["note"])
        for name, one in found.items()
    ]
    return counters + [_attached(name) for name in plugins.names(ATTACHED)]


def _attached(name: str) -> Listed:
    module = plugins.load(ATTACHED, name, kind="meter")
    found = module.find()
    if found is None:
        return Listed(
            name, module.DESCRIPTION, False, note=f"its port does not tell what it is; name it: {name}:/dev/..."
        )
    return Listed(name, module.DESCRIPTION, bool(found), tuple(found), "" if found else "not plugged in")


@dataclass(frozen=True)
class Shown:
    """Mean power by scope since the last one, and energy by scope since the first; seconds since the first.

    note: what to know of the meter. window: the whole of it, with its error, when a meter's time is up.
    """

    seconds: float
    power_w: dict[str, float]
    energy_j: dict[str, float]
    note: str
    window: WindowEnergy | None = None


def watch(
    name: str,
    *,
    port: str | None = None,
    volts: float | None = None,
    seconds: float = math.inf,
    calibrations: Path = _calibration.FILE,
) -> Iterator[Shown]:
    """Shown about once a second, until `seconds` have gone by. name: NAME or NAME:PORT. Raises UserError."""
    name, told = parse(name)
    port = port or told
    attached = plugins.names(ATTACHED)
    counters = [one for one in plugins.names(OWN) if MACHINE.has_meter(one)]  # type: ignore[no-untyped-call]
    if name in attached:
        known = _calibration.load(calibrations).get(name)
        return _watch_attached(name, port, volts, seconds, known)
    if name in counters:
        return _watch_counter(name, seconds)
    raise UnknownName("meter", name, attached + counters)


def _watch_counter(name: str, seconds: float) -> Iterator[Shown]:
    module = importlib.import_module(f"{OWN}.{name.replace('-', '_')}")
    try:
        with contextlib.ExitStack() as opened:
            meter = module.open_meter()
            opened.callback(getattr(meter, "close", lambda: None))
            first = last = meter.read()
            started_s = last_s = time.monotonic()
            while last_s - started_s < seconds:
                time.sleep(min(SHOW_S, seconds - (last_s - started_s)))
                now, now_s = meter.read(), time.monotonic()
                power_w = {scope: j / (now_s - last_s) for scope, j in meter.joules(last, now).items()}
                yield Shown(now_s - started_s, power_w, meter.joules(first, now), getattr(meter, "note", ""))
                last, last_s = now, now_s
    except own.Unavailable as reason:
        raise UserError(f"meter {name}", str(reason), "`edgebench meters` lists the others") from reason


def _watch_attached(
    name: str, port: str | None, volts: float | None, seconds: float, calibration: Calibration | None
) -> Iterator[Shown]:
    module = plugins.load(ATTACHED, name, kind="meter")
    meter: Meter = module.open_meter(port or only_port(name, module.find()), volts)
    sensor = meter.sensor if calibration is None else replace(meter.sensor, accuracy=calibration.accuracy())
    times_s, watts, energies_j = array("d"), array("d"), array("d")
    shown = 0
    with contextlib.closing(meter):
        for sample in meter.samples():
            power_w = sample.power_w if calibration is None else calibration.apply(sample).power_w
            energies_j.append(energies_j[-1] + power_w * (sample.t_s - times_s[-1]) if times_s else 0.0)
            times_s.append(sample.t_s)
            watts.append(power_w)
            span_s, whole_s = sample.t_s - times_s[shown], sample.t_s - times_s[0]
            ended = whole_s >= seconds
            if span_s >= SHOW_S or (ended and span_s > 0):
                mean_w = (energies_j[-1] - energies_j[shown]) / span_s
                note = "" if calibration else meter.note
                window = _window(times_s, watts, sensor) if ended else None
                yield Shown(whole_s, {module.SCOPE: mean_w}, {module.SCOPE: energies_j[-1]}, note, window)
                shown = len(times_s) - 1
            if ended:
                return


def _window(times_s: array[float], watts: array[float], sensor: Sensor) -> WindowEnergy:
    """Raises UserError for values that make no window."""
    try:
        return integrate(np.array(times_s), np.array(watts), times_s[0], times_s[-1], sensor)
    except Refused as refused:
        raise UserError("the whole time", f"it has no energy: {refused}", "Watch again; check the cable") from refused
