"""Meters that this machine reads: USB and serial power meters between a supply and a board. One file per meter.

DESCRIPTION         what it is, as `edgebench meters` lists it
SCOPE               what its joules cover: "board_input" where it sits in the supply
find()              -> the ports of those that are plugged in; None where a port does not tell what is behind it
open_meter(port, volts=None)    -> a Meter; raises UserError with the remedy. volts: of the supply, for a meter that
                    sees current only
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
    """One value. t_s: this machine's monotonic clock when it arrived; voltage and current where the meter says them.

    counter_j: what the meter itself has added up so far, where it does.
    """

    t_s: float
    power_w: float
    voltage_v: float | None = None
    current_a: float | None = None
    counter_j: float | None = None


@dataclass
class Tally:
    """What a meter said that became no sample: said twice, or garbled or lost on the way."""

    duplicates: int = 0
    dropped: int = 0


class MeterLost(UserError):
    """A meter that may come back: it fell silent, its cable broke, its board started anew."""


class Meter(Protocol):
    """sensor: how it sees power. device_id, firmware: what it says it is; serial: what tells this one from others of
    its model, "" where it does not say; note, flags: what a reader should know of its values. All but the sensor may
    be known only once there are values.
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
