"""Energy of one inference, computed from a record's readings: joules, and how well they are known.

gross    everything from the supply: the window's joules over its inferences
net      without the idle power of the windows before and after the round
interval 95 %, from the spread between windows (Student's t), but never below the reading uncertainty of a window. What
         all windows share, such as a meter's lag, is added: repeating does not reduce it
systematic   from the meter's accuracy; repeating does not reduce it, and it cancels in ratios from one meter
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from device_agents.python import series
from edgebench import plugins
from edgebench.energy import coverage
from edgebench.schema.energy_reading import EnergyReading, IdleWindow, Provenance
from edgebench.schema.estimate import Estimate
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record

# The fewest windows for an interval, and the fewest for one that can be trusted.
INTERVAL_MIN = 2
WINDOWS_MIN = 3
# A modelled power that varies by less than this, idle or not, is a constant.
CONSTANT_SHARE = 0.02


@dataclass(frozen=True)
class EnergyPerInference:
    """Joules for one inference. The intervals are random: from the spread between windows.

    u_systematic_j: standard uncertainty of the net joules from the meter's accuracy; None if that is not stated.
    net_j is None if there was no idle window, and for a model with the same power idle or not.
    """

    meter: str
    scope: str
    provenance: Provenance
    gross_j: Estimate
    net_j: Estimate | None
    u_systematic_j: float | None
    power_w: float
    idle_w: float | None
    idle_drift_w: float | None
    windows: int

    @property
    def shown_j(self) -> Estimate:
        """The joules that are printed, and that the plan's precision applies to: net joules if there are any."""
        return self.gross_j if self.net_j is None else self.net_j

    @property
    def u95_j(self) -> float | None:
        """Random and systematic uncertainty of the net joules combined; None if either is unknown."""
        if self.net_j is None or self.net_j.half_width is None or self.u_systematic_j is None:
            return None
        return coverage.of_u(self.net_j.half_width / coverage.Z95, self.u_systematic_j)


def per_inference(reading: EnergyReading) -> EnergyPerInference | None:
    """None for a reading without windows."""
    if not reading.windows:
        return None
    gross = [window.energy_j / window.inferences for window in reading.windows]
    gross_u = [window.u_j / window.inferences for window in reading.windows]
    common = statistics.mean(window.u_common_j / window.inferences for window in reading.windows)
    net, net_u = ({}, []) if is_constant(reading) else net_j(reading)
    idle_w = [window.mean_w for window in reading.idle]
    return EnergyPerInference(
        meter=reading.meter,
        scope=reading.scope,
        provenance=reading.provenance,
        gross_j=_estimate(gross, gross_u, common),
        net_j=_estimate(list(net.values()), net_u, common) if net else None,
        u_systematic_j=_systematic_j(reading, list(net.values()) or gross),
        power_w=statistics.mean(window.mean_w for window in reading.windows),
        idle_w=statistics.mean(idle_w) if idle_w else None,
        idle_drift_w=max(idle_w) - min(idle_w) if len(idle_w) > 1 else None,
        windows=len(reading.windows),
    )


def is_constant(reading: EnergyReading) -> bool:
    """Whether it is a model with constant power whatever the device does, as for memory: it has no net energy."""
    powers_w = [window.mean_w for window in (*reading.idle, *reading.windows)]
    if reading.provenance != "modelled" or not reading.windows:
        return False
    return reading.scope == "ram" or max(powers_w) - min(powers_w) <= CONSTANT_SHARE * max(map(abs, powers_w))


def net_j(reading: EnergyReading) -> tuple[dict[int, float], list[float]]:
    """{round: net joules of an inference} and the standard uncertainty of each, for rounds next to an idle window."""
    idle = {window.round: window for window in reading.idle}
    net, left = {}, []
    for window in reading.windows:
        beside = [idle[number] for number in (window.round, window.round + 1) if number in idle]
        if not beside:
            continue
        idle_w = statistics.mean(one.mean_w for one in beside)
        u_idle_w = math.sqrt(sum((one.u_j / one.duration_s) ** 2 for one in beside)) / len(beside)
        net[window.round] = (window.energy_j - idle_w * window.duration_s) / window.inferences
        left.append(math.hypot(window.u_j, u_idle_w * window.duration_s) / window.inferences)
    return net, left


def _estimate(values: Sequence[float], left_j: Sequence[float], common_j: float) -> Estimate:
    """The mean with its interval. left_j: standard uncertainties of single values, a lower bound even if the values
    agree; common_j: that which they share.
    """
    centre, count = statistics.mean(values), len(values)
    by_spread = series.mean_half_width(values)
    if by_spread is None:
        return Estimate(centre)
    limits = (math.sqrt(3) * common_j,)
    spread = coverage.half_width(by_spread / series.t95(count - 1), limits, count - 1)
    half = max(spread, coverage.half_width(statistics.mean(left_j) / math.sqrt(count), limits))
    return Estimate(centre, centre - half, centre + half)


def window_u95_j(window: IdleWindow) -> float:
    """Reading uncertainty of one window, 95 %."""
    return coverage.of_u(window.u_j, window.u_common_j)


def is_precise(one: EnergyPerInference, plan: Plan) -> bool:
    """Whether the shown joules are as precise as the plan requires."""
    half = one.shown_j.half_width
    if half is None or plan.energy_precision >= series.NO_PRECISION:
        return half is not None
    return half <= plan.energy_precision * abs(one.shown_j.value)


def _systematic_j(reading: EnergyReading, values: Sequence[float]) -> float | None:
    """For net joules: the meter's offset is in the idle power as well and cancels."""
    accuracy = reading.instrument.accuracy if reading.instrument else None
    if accuracy is None:
        return None
    offset_j = 0.0
    if not reading.idle:
        offset_j = accuracy.offset_w * statistics.mean(one.duration_s / one.inferences for one in reading.windows)
    return math.hypot(accuracy.gain * statistics.mean(values), offset_j) / math.sqrt(3)


def why_none(reading: EnergyReading) -> str:
    """Why a reading gives no joules for an inference; "" if it does, however imprecise."""
    found = len(reading.windows)
    if found >= INTERVAL_MIN:
        return ""
    lost = reading.reason or (reading.refused[0].reason if reading.refused else "")
    return (
        f"{found} whole window, at least {INTERVAL_MIN} are needed{lost and f': {lost}'}" if found else reading.reason
    )


@functools.cache
def _on_the_host() -> frozenset[str]:
    return frozenset(plugins.names("edgebench.energy.meters"))


def of_record(record: Record) -> tuple[tuple[EnergyPerInference, ...], tuple[str, ...]]:
    """The energies of a record, and the reason for every meter without one; the meter that the user named, in the
    supply, comes first.
    """
    found, missing = [], []
    named = _on_the_host()
    for reading in sorted(record.energy, key=lambda reading: reading.meter not in named):
        why = why_none(reading)
        one = per_inference(reading)
        if one and not why:
            found.append(one)
        else:
            missing.append(f"{reading.source}: {why}")
    return tuple(found), tuple(missing)
