"""A meter on this machine measures a device's windows, whose instants are on the device's clock."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import asdict

from edgebench.device import records_from_journal
from edgebench.device.journal import AnyLine, EnergyLine, IdleLine, WindowLine
from edgebench.energy.meters import _plausible
from edgebench.energy.meters._clock import Alignment
from edgebench.energy.meters._integration import NoEnergy, WindowContext, WindowEnergy, integrate
from edgebench.energy.meters._lag import lag_s
from edgebench.energy.meters._pace import straight
from edgebench.energy.meters._sensor import Sensor
from edgebench.schema.arrays import Floats
from edgebench.schema.energy_reading import ClockAlignment, EnergyWindow, Flag, IdleWindow, Refusal

# Values this long before and after a window are examined too.
BESIDE_S = 15.0
# A lag is found to a fraction of a period; less than this beyond the known latency is ignored.
LAG_PERIODS = 0.5


@dataclass(frozen=True)
class PowerTrace:
    """A meter's values, on this machine's monotonic clock. counters_j: nan if the meter has no counter."""

    times_s: Floats
    watts: Floats
    counters_j: Floats


class MeteredWindows:
    """A device's windows, measured by a meter's values. silences: when the meter was lost, and why."""

    def __init__(
        self, trace: PowerTrace, sensor: Sensor, alignment: Alignment, silences: Sequence[tuple[float, str]] = ()
    ) -> None:
        self.sensor = sensor
        self._trace = trace
        self._alignment = alignment
        self._silences = silences
        self.late_s = 0.0

    def windows(
        self, artifact: int, entries: Sequence[AnyLine]
    ) -> tuple[dict[int, IdleWindow], list[EnergyWindow], list[Refusal]]:
        """({round: idle window}, the artifact's windows, those refused)."""
        lines = [entry for entry in entries if isinstance(entry, IdleLine | EnergyLine)]
        rooms_s = _rooms_s(lines)
        self._find_lag(lines)
        idle: dict[int, IdleWindow] = {}
        for entry in lines:
            if isinstance(entry, IdleLine):
                with contextlib.suppress(NoEnergy):
                    idle[entry.window.round] = IdleWindow(**self._seen(entry, self._around(entry), is_idle=True))
        windows, refused = [], []
        for entry, room_s in zip(lines, rooms_s, strict=True):
            if isinstance(entry, EnergyLine) and entry.artifact == artifact:
                number = entry.window.round
                beside = [idle[one].mean_w for one in (number, number + 1) if one in idle]
                at_rest_w = statistics.mean(beside) if beside else None
                repeat_s = entry.window.duration_s / entry.window.inferences
                try:
                    around = self._around(entry, beside_w=at_rest_w, room_s=room_s, repeat_s=repeat_s)
                    seen = self._seen(entry, around, is_idle=False)
                    windows.append(EnergyWindow(**seen))
                except NoEnergy as error:
                    refused.append(Refusal(number, error.code, self._why(entry, error)))
        return idle, windows, refused

    def _around(self, entry: WindowLine, **known: float | None) -> WindowContext:
        instants_ns = entry.start_ns, entry.end_ns
        u_edge_s = max(self._alignment.u_s(instant_ns) for instant_ns in instants_ns)
        return WindowContext(u_edge_s, self._alignment.u_length_s(*instants_ns), **known)  # type: ignore[arg-type]

    def _here_s(self, entry: WindowLine) -> tuple[float, float]:
        return self._alignment.here_s(entry.start_ns), self._alignment.here_s(entry.end_ns)

    def _find_lag(self, lines: Sequence[IdleLine | EnergyLine]) -> None:
        """Shift values that are later than the known latency of the meter."""
        spans_s = [(isinstance(entry, IdleLine), self._here_s(entry)) for entry in lines]
        times_s = self._trace.times_s
        if not len(times_s):
            return
        seen_s = [one for one in spans_s if times_s[0] <= one[1][0] and one[1][1] <= times_s[-1]]
        found_s = lag_s(
            times_s,
            self._trace.watts,
            [span_s for is_idle, span_s in seen_s if not is_idle],
            [span_s for is_idle, span_s in seen_s if is_idle],
        )
        own_s = self.sensor.latency_s + LAG_PERIODS * self.sensor.period_s + 0.1
        if found_s is not None and found_s > own_s:
            self.late_s = found_s
            self._trace = PowerTrace(times_s - found_s, self._trace.watts, self._trace.counters_j)

    def _seen(self, entry: IdleLine | EnergyLine, around: WindowContext, *, is_idle: bool) -> dict[str, Any]:
        """The fields common to all windows. Raises NoEnergy."""
        start_s, end_s = self._here_s(entry)
        trace = PowerTrace(self._trace.times_s.copy(), self._trace.watts, self._trace.counters_j)
        near = (trace.times_s >= start_s - BESIDE_S) & (trace.times_s <= end_s + BESIDE_S)
        if self.sensor.is_steady:
            trace.times_s[near] = straight(trace.times_s[near], self.sensor.period_s)
        found = integrate(trace.times_s, trace.watts, start_s, end_s, self.sensor, around)
        times_s = trace.times_s[near]
        _plausible.check_forwards(found.energy_j, found.duration_s, idle=is_idle)
        watts, counters_j = trace.watts[near], trace.counters_j[near]
        _plausible.check_counter(times_s, watts, counters_j, start_s, end_s, found.energy_j, self.sensor)
        if not is_idle:
            _plausible.check_moving(times_s, watts, start_s, end_s, self.sensor)
        return {
            **asdict(entry.window),
            "energy_j": found.energy_j,
            "u_j": found.u_window_j,
            "u_common_j": found.u_common_j,
            "values": found.values,
            "max_gap_s": found.max_gap_s,
            "flags": (*records_from_journal.board_flags(entry.throttled), *_flags(found)),
        }

    def _why(self, entry: WindowLine, error: NoEnergy) -> str:
        """The reason; with that of the meter's silence, if it was lost in the window."""
        start_s, end_s = self._here_s(entry)
        said = [why for at_s, why in self._silences if start_s <= at_s <= end_s + BESIDE_S]
        return f"{error} ({said[0]})" if said and error.code in ("gaps", "outside") else str(error)

    def stated(self, windows: Sequence[IdleWindow]) -> ClockAlignment:
        """The alignment with its largest error in any of the windows."""
        starts_ns = [window.start_ns for window in windows if window.start_ns is not None]
        ends_ns = [start + int(window.duration_s * 1e9) for start, window in zip(starts_ns, windows, strict=True)]
        first_ns = min(starts_ns)
        best = min(self._alignment.early, self._alignment.late, key=lambda exchange: exchange.delay_s)
        return ClockAlignment(
            method="rtt",
            offset_s=first_ns / 1e9 - self._alignment.here_s(first_ns),
            u_s=max(self._alignment.u_s(instant_ns) for instant_ns in (*starts_ns, *ends_ns)),
            drift=self._alignment.drift,
            delay_s=best.delay_s,
        )


def _rooms_s(lines: Sequence[WindowLine]) -> list[float]:
    """How long the device idles on both sides of each window; half of that belongs to the neighbour."""
    ends_s = [(entry.start_ns / 1e9, entry.end_ns / 1e9) for entry in lines]
    rooms_s = []
    for number, (start_s, end_s) in enumerate(ends_s):
        before_s = start_s - ends_s[number - 1][1] if number else np.inf
        after_s = ends_s[number + 1][0] - end_s if number + 1 < len(ends_s) else np.inf
        rest_s = min(before_s, after_s)
        rooms_s.append(max(rest_s / 2, 0.0) if np.isfinite(rest_s) else 0.0)
    return rooms_s


def _flags(found: WindowEnergy) -> Iterator[Flag]:
    """The flags of the integration, except that of the window's length."""
    for flag in sorted(found.flags):
        if flag != "short_window":
            yield flag
