"""Energy as it is read out of records: joules for an inference, how well they are known, and what may be compared.

gross    what the supply pays: the window's joules over its inferences
net      without the idle power of the windows before and after the round
interval 95 %, from the spread between windows (Student's t); never less than what reading leaves in a window. What is
         the same in all windows, as a meter's lag is, comes on top: repeating does not lower it
systematic   what the meter's accuracy allows; repeating does not lower it, ratios of one meter are free of it
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from device_agents.python import series
from edgebench import plugins
from edgebench.analysis import ratios
from edgebench.analysis.between_jobs import Spread
from edgebench.analysis.ratios import Ratio
from edgebench.analysis.stats import Estimate
from edgebench.energy import coverage
from edgebench.schema.energy_reading import EnergyReading, IdleWindow, Provenance
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record

# The least that give an interval, and the least that give one worth trusting.
INTERVAL_MIN = 2
WINDOWS_MIN = 3
# A modelled power that moves by less than this, idle or not, is a constant.
CONSTANT_SHARE = 0.02


@dataclass(frozen=True)
class EnergyPerInference:
    """Joules for one inference. The intervals are random: of the spread between windows.

    u_systematic_j: standard uncertainty of the net joules by the meter's accuracy; None if nobody states it.
    net_j is None where no idle window was seen, and of a model that takes the same power idle or not.
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
        """What is printed, and asked to be precise: net joules where there are some."""
        return self.gross_j if self.net_j is None else self.net_j

    @property
    def u95_j(self) -> float | None:
        """Both parts of what is not known of the net joules; None where either is not known."""
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
    net, net_u = ({}, []) if is_constant(reading) else _net(reading)
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
    """Whether it is a model that takes the same power whatever the device does, as for memory: nothing of it is net."""
    powers_w = [window.mean_w for window in (*reading.idle, *reading.windows)]
    if reading.provenance != "modelled" or not reading.windows:
        return False
    return reading.scope == "ram" or max(powers_w) - min(powers_w) <= CONSTANT_SHARE * max(map(abs, powers_w))


def _net(reading: EnergyReading) -> tuple[dict[int, float], list[float]]:
    """({round: net joules of an inference}, what reading leaves in each), of rounds with an idle window beside them."""
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
    """The mean with its interval. left_j: standard uncertainties of single values, which equal values cannot deny;
    common_j: of all of them alike.
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
    """What reading leaves in one window, in 95 % of the cases."""
    return coverage.of_u(window.u_j, window.u_common_j)


def is_precise(one: EnergyPerInference, plan: Plan) -> bool:
    """Whether what is shown is known as well as the plan asks."""
    half = one.shown_j.half_width
    if half is None or plan.energy_precision >= series.NO_PRECISION:
        return half is not None
    return half <= plan.energy_precision * abs(one.shown_j.value)


def _systematic_j(reading: EnergyReading, values: Sequence[float]) -> float | None:
    """Of net joules: the meter's offset is in the idle power as well, and goes with it."""
    accuracy = reading.instrument.accuracy if reading.instrument else None
    if accuracy is None:
        return None
    offset_j = 0.0
    if not reading.idle:
        offset_j = accuracy.offset_w * statistics.mean(one.duration_s / one.inferences for one in reading.windows)
    return math.hypot(accuracy.gain * statistics.mean(values), offset_j) / math.sqrt(3)


def why_none(reading: EnergyReading) -> str:
    """Why a reading gives no joules for an inference; "" if it does, however well they are known."""
    found = len(reading.windows)
    if found >= INTERVAL_MIN:
        return ""
    lost = reading.reason or (reading.refused[0].reason if reading.refused else "")
    return f"{found} whole window, {INTERVAL_MIN} are the least{lost and f': {lost}'}" if found else reading.reason


def of_record(record: Record) -> tuple[tuple[EnergyPerInference, ...], tuple[str, ...]]:
    """What can be said of a record's energy, and for every meter that says nothing, why: first of the one that the user
    named, in the supply.
    """
    found, missing = [], []
    named = plugins.names("edgebench.energy.meters")
    for reading in sorted(record.energy, key=lambda reading: reading.meter not in named):
        why = why_none(reading)
        one = per_inference(reading)
        if one and not why:
            found.append(one)
        else:
            missing.append(f"{reading.source}: {why}")
    return tuple(found), tuple(missing)


# ---------------------------------------------------------------------- ratios


def ratio(record: Record, baseline: Record, one: EnergyPerInference, spread: Spread | None = None) -> Ratio | str:
    """Net joules over the baseline's, of the same scope and provenance; else why there is none. Of one image where the
    two are known to take different numbers of them at once.

    In one job windows are paired by round. One meter's accuracy leaves its ratios alone; that of two meters does not.
    spread: what two jobs differ by in latency, which joules follow.
    """
    why = ratios.batches_unlike(record, baseline)
    found = why or _ratio_of_inferences(record, baseline, one, spread)
    return found if isinstance(found, str) else ratios.of_images(found, record, baseline)


def _ratio_of_inferences(
    record: Record, baseline: Record, one: EnergyPerInference, spread: Spread | None
) -> Ratio | str:
    own = _reading(record, one.meter, one.scope)
    bases = [reading for reading in baseline.energy if not why_none(reading)]
    same = [base for base in bases if (base.scope, base.provenance) == (one.scope, one.provenance)]
    if not same:
        there = ", ".join(f"{base.scope} {base.provenance}" for base in bases) or "none"
        return f"scope mismatch: {one.scope} {one.provenance} here, the baseline has {there}"
    base = next((reading for reading in same if reading.meter == one.meter), same[0])
    own_net, base_net = _net(own)[0], _net(base)[0]
    if not own_net or not base_net or min(*own_net.values(), *base_net.values()) <= 0:
        return "the net energy of one of the two is lost in the idle power"
    common = sorted(own_net.keys() & base_net.keys())
    if record.job == baseline.job and len(common) >= WINDOWS_MIN:
        logs = [math.log(own_net[number] / base_net[number]) for number in common]
        centre, half = statistics.mean(logs), series.mean_half_width(logs)
        return _ratio(centre, half, paired=True)
    sides = [[math.log(value) for value in net.values()] for net in (own_net, base_net)]
    halves = [series.mean_half_width(side) for side in sides]
    if not _same_meter(own, base):
        accuracies = [reading.instrument.accuracy if reading.instrument else None for reading in (own, base)]
        if None in accuracies:
            return f"{own.meter} and {base.meter} measured, and nobody states how exact both of them are"
        halves += [2 * accuracy.gain / math.sqrt(3) for accuracy in accuracies if accuracy]
    known = [half for half in halves if half is not None]
    half = math.hypot(*known) if len(known) == len(halves) else None
    return _ratio(statistics.mean(sides[0]) - statistics.mean(sides[1]), half, paired=False, spread=spread)


def _reading(record: Record, meter: str, scope: str) -> EnergyReading:
    return next(reading for reading in record.energy if (reading.meter, reading.scope) == (meter, scope))


def _same_meter(own: EnergyReading, base: EnergyReading) -> bool:
    def name(reading: EnergyReading) -> tuple[str, str, str]:
        instrument = reading.instrument
        return reading.meter, instrument.device_id if instrument else "", instrument.port if instrument else ""

    return name(own) == name(base)


def _ratio(log_ratio: float, half: float | None, *, paired: bool, spread: Spread | None = None) -> Ratio:
    interval = None if half is None else (log_ratio - half, log_ratio + half)
    return ratios.from_logs(log_ratio, interval, paired=paired, spread=spread)
