"""Meters that this machine reads: USB and serial power meters between a supply and a board. One file per meter.

DESCRIPTION         what it is, for `edgebench meters`
SCOPE               what its joules cover: "board_input" for a meter in the supply
find()              -> the ports of those that are plugged in; None if ports do not show what is behind them
open_meter(port, volts=None)    -> a Meter; raises UserError with the remedy. volts: supply voltage, for a meter that
                    measures only current
NEEDS_VOLTS         True for such a meter; may be absent

Counters of this machine's own processor, GPU or board are read by the agent's meters (device_agents/python/meters).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edgebench.energy.meters._sensor import Sensor
from edgebench.errors import UserError
from edgebench.schema.energy_reading import Flag


@dataclass(frozen=True)
class Sample:
    """One value. t_s: arrival time by this machine's monotonic clock. voltage_v, current_a: if the meter reports them.

    counter_j: the reading of the meter's own energy counter, if it has one.
    """

    t_s: float
    power_w: float
    voltage_v: float | None = None
    current_a: float | None = None
    counter_j: float | None = None


@dataclass
class Tally:
    """Values that did not become samples: repeated ones, and those garbled or lost on the way."""

    duplicates: int = 0
    dropped: int = 0


class MeterLost(UserError):
    """The meter may come back: it fell silent, its cable was pulled, its board restarted."""


class Meter(Protocol):
    """sensor: how it samples power. device_id, firmware: as it reports them. serial: distinguishes units of the model,
    "" if it does not report one. note, flags: what readers of its values should know. All but the sensor may be unknown
    until there are values.
    """

    sensor: Sensor
    tally: Tally

    @property
    def serial(self) -> str: ...

    @property
    def device_id(self) -> str: ...

    @property
    def firmware(self) -> str: ...

    @property
    def note(self) -> str: ...

    @property
    def flags(self) -> tuple[Flag, ...]: ...

    def samples(self) -> Iterator[Sample]:
        """Values as they arrive, endlessly. Raises MeterLost when the meter falls silent or restarts, UserError for a
        fault that reopening it does not fix.
        """

    def close(self) -> None: ...
