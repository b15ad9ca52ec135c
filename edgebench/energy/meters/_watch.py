"""Lists the meters of this machine (its own counters and meters on its ports), and shows one live."""

from __future__ import annotations

import contextlib
import importlib
import math
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from device_agents.python import meters as own
from device_agents.python.device import MACHINE
from edgebench import plugins
from edgebench.energy.meters import Meter, Sample, _calibration, _naming, _plausible
from edgebench.energy.meters._calibration import Calibration
from edgebench.energy.meters._integration import NoEnergy, WindowEnergy, integrate
from edgebench.energy.meters._sensor import Sensor
from edgebench.errors import UnknownName, UserError

OWN, ATTACHED = "device_agents.python.meters", _naming.PACKAGE
# How often counters are read, and the span of the means that are shown for meters.
SHOW_S = 1.0


@dataclass(frozen=True)
class ListedMeter:
    """ports: where it was found. note: why it cannot be used and the remedy, or what to know about it."""

    name: str
    what: str
    available: bool
    ports: tuple[str, ...] = ()
    note: str = ""


def listing() -> list[ListedMeter]:
    """This machine's own counters, then the meters that can be attached."""
    found = own.probe(MACHINE.has_meter, MACHINE.phone)
    counters = [
        ListedMeter(name.replace("_", "-"), "of this machine", one["available"], note=one["note"])
        for name, one in found.items()
    ]
    return counters + [_attached(name) for name in plugins.names(ATTACHED)]


def _attached(name: str) -> ListedMeter:
    module = _naming.load(name)
    found = module.find()
    if found is None:
        return ListedMeter(name, module.DESCRIPTION, False, note=f"cannot be detected; name its port: {name}:/dev/...")
    return ListedMeter(name, module.DESCRIPTION, bool(found), tuple(found), "" if found else "not plugged in")


@dataclass(frozen=True)
class ShownPower:
    """By scope, the mean power since the last one and the energy since the start. seconds: since the start.

    note: what to know about the meter. window: the whole time with its error, once a meter's time is up.
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
) -> Iterator[ShownPower]:
    """Values about once a second, for `seconds`. name: NAME or NAME:PORT. Raises UserError."""
    name, named_port = _naming.parse(name)
    port = port or named_port
    attached = plugins.names(ATTACHED)
    counters = [one for one in plugins.names(OWN) if MACHINE.has_meter(one)]
    if name in attached:
        _naming.check_volts(name, volts)
        return _watch_attached(name, port, volts, seconds, _calibration.load(calibrations, name))
    if name in counters:
        if port or volts is not None:
            raise UserError(
                f"meter {name}",
                "a counter of this machine has neither port nor supply voltage",
                "Leave these options out",
            )
        return _watch_counter(name, seconds)
    raise UnknownName("meter", name, attached + counters)


def _watch_counter(name: str, seconds: float) -> Iterator[ShownPower]:
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
                yield ShownPower(now_s - started_s, power_w, meter.joules(first, now), getattr(meter, "note", ""))
                last, last_s = now, now_s
    except own.Unavailable as reason:
        raise UserError(f"meter {name}", str(reason), "`edgebench meters` lists the others") from reason


def _watch_attached(
    name: str, port: str | None, volts: float | None, seconds: float, known: dict[str, Calibration]
) -> Iterator[ShownPower]:
    module = _naming.load(name)
    port = port or _naming.only_port(name, module.find())
    meter: Meter = module.open_meter(port, volts)
    seen = _WatchedValues()
    with contextlib.closing(meter):
        calibration: Calibration | None = None
        for sample in meter.samples():
            calibration = calibration or _calibration.of_unit(known, name, port, meter)
            seen.add(calibration.apply(sample) if calibration else sample)
            ended = seen.whole_s >= seconds
            if seen.span_s >= SHOW_S or (ended and seen.span_s > 0):
                sensor = meter.sensor if calibration is None else replace(meter.sensor, accuracy=calibration.accuracy())
                note = _note(meter, calibration, seen.mean_w)
                window = seen.window(sensor) if ended else None
                yield ShownPower(seen.whole_s, {module.SCOPE: seen.mean_w}, {module.SCOPE: seen.energy_j}, note, window)
                seen.show()
            if ended:
                return


def _note(meter: Meter, calibration: Calibration | None, mean_w: float) -> str:
    """What to know about it, with the serial number for its calibration."""
    notes = [f"its serial number is {meter.serial}"] if meter.serial else []
    notes += [meter.note] if meter.note and not calibration else []
    notes += ["current flows backwards: swap the leads of the meter"] if mean_w < _plausible.BACK_W else []
    return "; ".join(notes)


class _WatchedValues:
    """The values so far, and which of them have been shown."""

    def __init__(self) -> None:
        self._values = array("d")
        self._energies_j = array("d")
        self._shown = 0

    def add(self, sample: Sample) -> None:
        last_s = self._values[-3] if self._values else sample.t_s
        before_j = self._energies_j[-1] if self._energies_j else 0.0
        self._energies_j.append(before_j + sample.power_w * (sample.t_s - last_s))
        self._values.extend((sample.t_s, sample.power_w, math.nan if sample.counter_j is None else sample.counter_j))

    def show(self) -> None:
        self._shown = len(self._energies_j) - 1

    @property
    def energy_j(self) -> float:
        return self._energies_j[-1]

    @property
    def whole_s(self) -> float:
        return self._values[-3] - self._values[0]

    @property
    def span_s(self) -> float:
        return self._values[-3] - self._values[3 * self._shown]

    @property
    def mean_w(self) -> float:
        return (self.energy_j - self._energies_j[self._shown]) / self.span_s

    def window(self, sensor: Sensor) -> WindowEnergy:
        """Raises UserError if the values cannot be integrated."""
        times_s, watts, counters_j = np.array(self._values).reshape(-1, 3).T
        start_s, end_s = float(times_s[0]), float(times_s[-1])
        try:
            found = integrate(times_s, watts, start_s, end_s, sensor)
            _plausible.check_forwards(found.energy_j, found.duration_s, idle=False)
            _plausible.check_counter(times_s, watts, counters_j, start_s, end_s, found.energy_j, sensor)
        except NoEnergy as refused:
            raise UserError(
                "the whole time", f"its energy is unknown: {refused}", "Check the cable and watch again"
            ) from refused
        return found
