"""Ratios of energies: only within one scope and one provenance, with intervals that know the meters' accuracies."""

from __future__ import annotations

import math
import statistics

from device_agents.python import series
from edgebench.analysis import ratios
from edgebench.analysis.between_jobs import Spread
from edgebench.analysis.ratios import Ratio
from edgebench.energy import per_inference
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.record import Record


def ratio(record: Record, baseline: Record, one: EnergyPerInference, spread: Spread | None = None) -> Ratio | str:
    """Net joules over the baseline's, for the same scope and provenance, else the reason why not. Per image if the two
    are known to take different numbers of images at once.

    In one job windows are paired by round. A meter's accuracy does not affect its own ratios, but ratios between two
    meters. spread: the difference between two jobs in latency, which joules follow.
    """
    why = ratios.batches_unlike(record, baseline)
    found = why or _ratio_of_inferences(record, baseline, one, spread)
    return found if isinstance(found, str) else ratios.of_images(found, record, baseline)


def _ratio_of_inferences(
    record: Record, baseline: Record, one: EnergyPerInference, spread: Spread | None
) -> Ratio | str:
    own = _reading(record, one.meter, one.scope)
    bases = [reading for reading in baseline.energy if not per_inference.why_none(reading)]
    same = [base for base in bases if (base.scope, base.provenance) == (one.scope, one.provenance)]
    if not same:
        there = ", ".join(f"{base.scope} {base.provenance}" for base in bases) or "none"
        return f"scope mismatch: {one.scope} {one.provenance} here, the baseline has {there}"
    base = next((reading for reading in same if reading.meter == one.meter), same[0])
    own_net, base_net = per_inference.net_j(own)[0], per_inference.net_j(base)[0]
    if not own_net or not base_net or min(*own_net.values(), *base_net.values()) <= 0:
        return "the net energy of one of the two is lost in the idle power"
    common = sorted(own_net.keys() & base_net.keys())
    if record.job == baseline.job and len(common) >= per_inference.WINDOWS_MIN:
        logs = [math.log(own_net[number] / base_net[number]) for number in common]
        centre, half = statistics.mean(logs), series.mean_half_width(logs)
        return _ratio(centre, half, paired=True, freedom=len(logs) - 1)
    sides = [[math.log(value) for value in net.values()] for net in (own_net, base_net)]
    halves = [series.mean_half_width(side) for side in sides]
    if not _same_meter(own, base):
        accuracies = [reading.instrument.accuracy if reading.instrument else None for reading in (own, base)]
        if None in accuracies:
            return f"{own.meter} and {base.meter} measured, but their accuracies are not both stated"
        halves += [2 * accuracy.gain / math.sqrt(3) for accuracy in accuracies if accuracy]
    known = [half for half in halves if half is not None]
    half = math.hypot(*known) if len(known) == len(halves) else None
    centre, freedom = statistics.mean(sides[0]) - statistics.mean(sides[1]), max(1, min(map(len, sides)) - 1)
    return _ratio(centre, half, paired=False, freedom=freedom, spread=spread)


def _reading(record: Record, meter: str, scope: str) -> EnergyReading:
    return next(reading for reading in record.energy if (reading.meter, reading.scope) == (meter, scope))


def _same_meter(own: EnergyReading, base: EnergyReading) -> bool:
    def name(reading: EnergyReading) -> tuple[str, str, str]:
        instrument = reading.instrument
        return reading.meter, instrument.device_id if instrument else "", instrument.port if instrument else ""

    return name(own) == name(base)


def _ratio(log_ratio: float, half: float | None, *, paired: bool, freedom: int, spread: Spread | None = None) -> Ratio:
    interval = None if half is None else (log_ratio - half, log_ratio + half)
    return ratios.from_logs(log_ratio, interval, paired=paired, freedom=freedom, spread=spread)
