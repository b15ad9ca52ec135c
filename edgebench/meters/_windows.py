"""What a meter on this machine saw of a device's windows, whose instants are on the device's clock."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from edgebench import recording
from edgebench.journal import AnyLine, EnergyLine, IdleLine, WindowLine
from edgebench.meters._clock import Alignment
from edgebench.meters._integration import Floats, Refused, Sensor, WindowEnergy, integrate
from edgebench.reading import ClockAlignment, EnergyWindow, Flag, IdleWindow, Refusal


class Bench:
    """A meter's values and the windows of the device that they belong to."""

    def __init__(self, times_s: Floats, watts: Floats, sensor: Sensor, alignment: Alignment) -> None:
        self.sensor = sensor
        self._times_s = times_s
        self._watts = watts
        self._alignment = alignment

    def windows(
        self, artifact: int, entries: Sequence[AnyLine]
    ) -> tuple[dict[int, IdleWindow], list[EnergyWindow], list[Refusal]]:
        """({round: idle window}, the artifact's windows, those of them that have no energy)."""
        idle: dict[int, IdleWindow] = {}
        for entry in entries:
            if isinstance(entry, IdleLine):
                with contextlib.suppress(Refused):
                    idle[entry.round] = IdleWindow(**self._seen(entry, None))
        windows, refused = [], []
        for entry in entries:
            if isinstance(entry, EnergyLine) and entry.artifact == artifact:
                beside = [idle[number].mean_w for number in (entry.round, entry.round + 1) if number in idle]
                at_rest_w = statistics.mean(beside) if beside else None
                try:
                    seen = self._seen(entry, at_rest_w)
                    windows.append(EnergyWindow(inferences=entry.inferences, clock_hz=entry.clock_hz, **seen))
                except Refused as error:
                    refused.append(Refusal(entry.round, error.code, str(error)))
        return idle, windows, refused

    def _seen(self, entry: IdleLine | EnergyLine, beside_w: float | None) -> dict[str, Any]:
        """The fields that all windows have. Raises Refused."""
        instants_ns = entry.start_ns, end_ns(entry)
        start_s, end_s = map(self._alignment.here_s, instants_ns)
        found = integrate(
            self._times_s,
            self._watts,
            start_s,
            end_s,
            self.sensor,
            u_edge_s=max(self._alignment.u_s(instant_ns) for instant_ns in instants_ns),
            beside_w=beside_w,
        )
        return {
            **recording.of_device(entry),
            "energy_j": found.energy_j,
            "u_j": found.u_window_j,
            "values": found.values,
            "max_gap_s": found.max_gap_s,
            "flags": (*recording.board_flags(entry.throttled), *_flags(found)),
        }

    def stated(self, windows: Sequence[IdleWindow]) -> ClockAlignment:
        """The alignment and the largest error that it has in any of the windows."""
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


def end_ns(entry: WindowLine) -> int:
    return entry.start_ns + round(entry.duration_s * 1e9)


def _flags(found: WindowEnergy) -> Iterator[Flag]:
    """Those of integration that do not follow from the window's length."""
    for flag in sorted(found.flags):
        if flag != "short_window":
            yield flag
