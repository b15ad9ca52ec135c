"""SI values as people read them; the only place that converts units."""

from __future__ import annotations

import math

from edgebench.compare import Row
from edgebench.energy import EnergyPerInference
from edgebench.stats import Estimate, Ratio

NOTHING = "-"


def time(ns: float) -> str:
    for limit, divisor, unit in ((1e3, 1, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if ns < limit:
            return f"{significant(ns / divisor)} {unit}"
    return f"{significant(ns / 1e9)} s"


def estimate(ns: Estimate | None) -> str:
    """`50.3 µs ±0.4%`"""
    if ns is None:
        return NOTHING
    return time(ns.value) if ns.relative is None else f"{time(ns.value)} ±{percent(ns.relative)}"


def percent(fraction: float) -> str:
    """Two significant digits: an interval's width is not known any better."""
    digits = 0 if fraction >= 0.095 else 1 if fraction >= 0.0095 else 2
    return f"{max(fraction, 0.0001):.{digits}%}"


def size(count: int | None) -> str:
    """Decimal units: 1 MB is 10^6 bytes."""
    if count is None:
        return NOTHING
    if count < 1000:
        return f"{count} B"
    for limit, divisor, unit in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if count < limit:
            return f"{significant(count / divisor)} {unit}"
    return f"{significant(count / 1e9)} GB"


def joules(j: float) -> str:
    for limit, divisor, unit in ((1e-3, 1e-6, "µJ"), (1, 1e-3, "mJ")):
        if abs(j) < limit:
            return f"{significant(j / divisor)} {unit}"
    return f"{significant(j)} J"


def grams(g: float) -> str:
    for limit, divisor, unit in ((1e-6, 1e-9, "ng"), (1e-3, 1e-6, "µg"), (1, 1e-3, "mg")):
        if abs(g) < limit:
            return f"{significant(g / divisor)} {unit}"
    return f"{significant(g)} g"


def energy(row: Row) -> str:
    """Energy of one inference per scope with its provenance and ratio to the baseline's, or that there is none."""
    if not row.energy:
        return "none"
    ratios = row.energy_ratios or ("",) * len(row.energy)
    return "; ".join(_energy(one, told) for one, told in zip(row.energy, ratios, strict=True))


def _energy(one: EnergyPerInference, to_baseline: Ratio | str) -> str:
    """Net joules where there are some. Why there is no ratio is said below the table."""
    kind, shown = ("gross", one.gross_j) if one.net_j is None else ("net", one.net_j)
    spread = "" if shown.half_width is None else f" ±{joules(shown.half_width)}"
    told = f", {_ratio(to_baseline)}" if isinstance(to_baseline, Ratio) else ""
    return f"{joules(shown.value)}{spread} {kind} ({one.meter} {one.scope}, {one.provenance}){told}"


def rate(per_second: float | None) -> str:
    return NOTHING if per_second is None else f"{significant(per_second)}/s"


def ratio(row: Row) -> str:
    if row.is_baseline:
        return "baseline"
    if row.ratio is None:
        return NOTHING
    return _ratio(row.ratio)


def _ratio(value: Ratio) -> str:
    """`0.41x (0.40-0.42)`; where the interval holds 1, the smallest difference that would have been seen."""
    if value.low is None or value.high is None:
        return f"{significant(value.value)}x (no interval)"
    if not value.differs:
        return f"same (within {percent(math.sqrt(value.high / value.low) - 1)})"
    # Enough decimals that what differs from 1 does not read as 1.
    nearest = min(abs(end - 1) for end in (value.low, value.high))
    digits = 2 if nearest >= 0.005 and value.low >= 0.1 else 4
    return "{0:.{d}f}x ({1:.{d}f}-{2:.{d}f})".format(value.value, value.low, value.high, d=digits)


def accuracy(row: Row) -> str:
    """On the device if it was asked there, with half its interval; else the file's on the host."""
    found = row.device_accuracy
    if found is not None and found.half_width is not None:
        return f"{found.value:.2%} ±{found.half_width:.1%}"
    parity = row.record.artifact.parity
    return f"{parity.accuracy:.2%}" if parity else NOTHING


def agreement(row: Row) -> str:
    parity = row.record.artifact.parity
    return f"{parity.top1_agreement:.2%}" if parity else NOTHING


def significant(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
