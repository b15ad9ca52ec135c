"""What it costs: joules and CO2 of a million inferences, and hours on a battery. Only from energy that was measured.

A battery at N inferences a second: P = idle power + N * (net joules of an inference + wake energy). Wake energy is what
an inference costs more when the device was asleep before it; it is known if the same file was measured with a pace
(`--plan duty:N`). The interval combines the spread between windows with the meter's own uncertainty, as independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgebench.analysis import formatting, stats
from edgebench.analysis.causes.evidence import Evidence, Wanted, measured, where
from edgebench.analysis.causes.explanation import Explanation, MissingEvidence
from edgebench.energy import carbon, coverage, per_inference
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record

MILLION = 1_000_000
# Scopes that stand for all that a battery or a socket feeds.
WHOLE = ("wall", "board_input", "battery", "device")
# The pace of a duty record may differ by this much from the one asked for.
_NEAR_PACE = 0.2


@dataclass(frozen=True)
class PowerNeed:
    """watts: drawn on average at that pace. at_pace: its joules were measured there, with what waking up costs; wake_j:
    that of an inference, if the same file was also measured back to back.
    """

    watts: Estimate
    at_pace: bool
    wake_j: float | None


def explain(evidence: Evidence) -> Iterator[Explanation]:
    """One explanation for each reading that was measured, and one for all records without any."""
    without = []
    for record in measured(evidence.records):
        readings = [(reading, one) for reading in record.energy if (one := _usable(reading)) is not None]
        for reading, one in readings:
            yield _of_reading(evidence, record, reading, one)
        if not readings:
            without.append(record)
    if without:
        yield _none(evidence, without)


def _usable(reading: EnergyReading) -> EnergyPerInference | None:
    """Modelled joules say nothing about this device."""
    if reading.provenance not in ("measured", "estimated") or per_inference.why_none(reading):
        return None
    return per_inference.per_inference(reading)


def _none(evidence: Evidence, records: Sequence[Record]) -> Explanation:
    readings = {reading.meter: reading for record in records for reading in record.energy}
    reasons = [f"{name}: {one.reason or f'is {one.provenance}'}" for name, one in readings.items()]
    facts = records[-1].facts_before.meters
    reasons += [f"{name}: {one.note}" for name, one in facts.items() if not one.available and name not in readings]
    one_target = [record for record in records if record.target.name == records[-1].target.name]
    command = evidence.deploy(*one_target, options="--energy")
    subject = records[0].artifact.name if len(records) == 1 else f"{len(records)} records"
    return Explanation(
        "cost",
        subject,
        f"{subject}: no energy was measured, so that there is no cost and there are no hours",
        missing=(MissingEvidence("joules", f"{command} (or --meter NAME:PORT, a meter in the device's supply)"),),
        notes=tuple(reasons),
        concern=2.0 if evidence.wanted.battery_wh is not None or evidence.wanted.grid is not None else 0.0,
    )


def _of_reading(evidence: Evidence, record: Record, reading: EnergyReading, one: EnergyPerInference) -> Explanation:
    wanted = evidence.wanted
    each_s = one.gross_j.value / one.power_w if one.power_w else 0.0
    gross = _with_systematic(one.gross_j, _u_systematic_w(reading, one.power_w) * each_s)
    pace = record.plan.duty_hz
    how = f"for a million inferences{f', {pace:g} a second' if pace else ' one after the other'}"
    parts = [f"{_scaled(gross, MILLION / carbon.J_PER_KWH, 'kWh')} {how}"]
    intensity, source = _intensity(record, wanted)
    if intensity is not None:
        parts[0] += f", {_scaled(gross, MILLION / carbon.J_PER_KWH * intensity / 1e3, 'kg')} CO2e"
    notes = [
        f"{one.meter} {one.scope}, {one.provenance}, {one.windows} windows; "
        f"{formatting.joules(one.gross_j.value)} an inference with idle power, "
        f"{formatting.joules(one.shown_j.value)} {'net' if one.net_j else 'gross'}.",
    ]
    if one.scope not in WHOLE:
        notes.append(f"{one.scope} is a part of the device: all of it takes more, and lasts shorter.")
    if intensity is not None:
        notes.append(f"{intensity:g} g CO2e a kWh ({source}), of operation only, without the making of the device.")
    missing: list[MissingEvidence] = []
    if wanted.battery_wh is not None and wanted.per_second is not None:
        told, more, lacking = _on_battery(evidence, record, reading, one, wanted)
        parts.append(told)
        notes += more
        missing += lacking
    return Explanation(
        "cost",
        f"{record.artifact.name} {where(record)}, {one.meter} {one.scope}",
        "; ".join(parts),
        missing=tuple(missing),
        notes=tuple(notes),
        concern=2.0 if wanted.battery_wh is not None or wanted.grid is not None else 0.05,
    )


def _intensity(record: Record, wanted: Wanted) -> tuple[float | None, str]:
    if wanted.grid is not None:
        return wanted.grid.g_per_kwh, wanted.grid.source
    return record.plan.carbon_g_per_kwh, record.plan.carbon_source


def _on_battery(
    evidence: Evidence, record: Record, reading: EnergyReading, one: EnergyPerInference, wanted: Wanted
) -> tuple[str, list[str], list[MissingEvidence]]:
    """The sentence, the assumptions, what is missing."""
    rate, capacity = wanted.per_second or 0.0, wanted.battery_wh or 0.0
    p50 = stats.latency_ns(record.rounds, 0.5)
    assert p50 is not None
    if rate * p50.value > 1e9:
        return f"{rate:g} inferences a second are more than it can do ({1e9 / p50.value:.1f})", [], []
    need = power_need(record, reading, one, rate, evidence.records)
    if need is None:
        again = evidence.deploy(record, options="--energy")
        return "hours on a battery are not known", [], [MissingEvidence("idle power and net joules", again)]
    low, high = need.watts.ends
    hours = Estimate(capacity / need.watts.value, capacity / high, capacity / low if low > 0 else None)
    told = f"{_span(hours, 'h')} on {capacity:g} Wh at {rate:g} inferences a second ({need.watts.value:.2f} W)"
    idle_share = (one.idle_w or 0.0) / need.watts.value
    notes = [
        f"All of the battery's {capacity:g} Wh are usable, without losses of a converter; it stays as warm; between "
        f"inferences it idles as it did in the idle windows ({one.idle_w:.2f} W, {idle_share:.0%} of the power)."
    ]
    missing = []
    if not need.at_pace:
        notes.append("No energy for waking up is included: it was not measured.")
        pace = evidence.deploy(record, options=f"--energy --plan duty:{rate:g}")
        missing.append(MissingEvidence("what waking up costs at that pace", pace))
    elif need.wake_j is None:
        notes.append("Measured at that pace: what waking up costs is included.")
    else:
        notes.append(f"Waking up costs {formatting.joules(need.wake_j)} an inference, measured at that pace.")
    return told, notes, missing


def power_need(
    record: Record, reading: EnergyReading, one: EnergyPerInference, rate: float, others: Sequence[Record]
) -> PowerNeed | None:
    """Average power at `rate` inferences a second; None without idle windows, or without an interval.

    If the same file was measured at about that pace, its own net joules count, and the difference is the wake energy.
    """
    if one.net_j is None or one.idle_w is None:
        return None
    own_pace = _is_near(record, rate)
    paced = None if own_pace else _paced(record, one, rate, others)
    net = paced if paced is not None else one.net_j
    idle = stats.mean([window.mean_w for window in reading.idle])
    if idle.half_width is None or net.half_width is None:
        return None
    watts = one.idle_w + rate * net.value
    random = math.hypot(idle.half_width, rate * net.half_width)
    # The meter's gain moves idle and net power alike; its offset only the idle power.
    half = coverage.of_u(random / coverage.Z95, _u_systematic_w(reading, watts))
    wake = None if paced is None else paced.value - one.net_j.value
    return PowerNeed(Estimate(watts, watts - half, watts + half), own_pace or paced is not None, wake)


def _is_near(record: Record, rate: float) -> bool:
    pace = record.plan.duty_hz
    return pace is not None and abs(pace / rate - 1) <= _NEAR_PACE


def _paced(record: Record, one: EnergyPerInference, rate: float, others: Sequence[Record]) -> Estimate | None:
    """Net joules of the same file on the same target by the same meter, at that pace."""
    for other in others:
        same = (other.artifact.sha256, other.target.name) == (record.artifact.sha256, record.target.name)
        if not same or other is record or not _is_near(other, rate):
            continue
        for reading in other.energy:
            found = _usable(reading)
            if found is not None and (found.meter, found.scope) == (one.meter, one.scope) and found.net_j is not None:
                return found.net_j
    return None


def _u_systematic_w(reading: EnergyReading, watts: float) -> float:
    """Standard uncertainty of a power with idle power in it, from the limits of the data sheet, which are rectangular;
    0 if they are not stated.
    """
    accuracy = reading.instrument.accuracy if reading.instrument else None
    return math.hypot(accuracy.gain * watts, accuracy.offset_w) / math.sqrt(3) if accuracy else 0.0


def _with_systematic(found: Estimate, u: float) -> Estimate:
    if found.half_width is None or not u:
        return found
    half = coverage.of_u(found.half_width / coverage.Z95, u)
    return Estimate(found.value, found.value - half, found.value + half)


def _scaled(found: Estimate, factor: float, unit: str) -> str:
    low, high = (None if end is None else end * factor for end in (found.low, found.high))
    return _span(Estimate(found.value * factor, low, high), unit)


def _span(found: Estimate, unit: str) -> str:
    """`12.3 h (11.8-12.9)`"""
    value = f"{formatting.significant(found.value)} {unit}"
    if found.low is None or found.high is None:
        return value
    return f"{value} ({formatting.significant(found.low)}-{formatting.significant(found.high)})"
