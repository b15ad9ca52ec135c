"""SI values as people read them; the only place that converts units."""

from __future__ import annotations

import math

from edgebench.analysis import device_scores
from edgebench.analysis.comparison import ComparisonRow
from edgebench.analysis.ratios import Ratio
from edgebench.energy import carbon
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.estimate import Estimate

NOTHING = "-"


def time(ns: float) -> str:
    divisor, unit = _time_unit(ns)
    return f"{significant(ns / divisor)} {unit}"


def _time_unit(ns: float) -> tuple[float, str]:
    for limit, divisor, unit in ((1e3, 1.0, "ns"), (1e6, 1e3, "µs"), (1e9, 1e6, "ms")):
        if ns < limit:
            return divisor, unit
    return 1e9, "s"


def estimate(ns: Estimate | None) -> str:
    """`56.8 µs (38.4-59.5)`: both ends, because an interval may be asymmetric."""
    return " ".join(filter(None, estimate_parts(ns)))


def estimate_parts(ns: Estimate | None) -> tuple[str, str]:
    """`56.8 µs` and `(38.4-59.5)`; the second is empty without an interval."""
    return (NOTHING, "") if ns is None else _parts(ns, *_time_unit(ns.value))


def _parts(found: Estimate, divisor: float, unit: str) -> tuple[str, str]:
    value, low, high = (None if end is None else end / divisor for end in (found.value, found.low, found.high))
    assert value is not None
    if low is None or high is None:
        return f"{significant(value)} {unit}", ""
    digits = _decimals(value, low, high)
    return f"{value:,.{digits}f} {unit}", f"({low:,.{digits}f}-{high:,.{digits}f})"


def _decimals(value: float, low: float, high: float) -> int:
    """Three digits of the value, and up to two more if the interval is narrower than they show."""
    digits = _significant_decimals(value)
    half = (high - low) / 2
    return min(max(digits, _first_decimal(half)), digits + 2)


def change(fraction: float) -> str:
    """`-6 %`, `+0.4 %`; beyond ten times as much `over +900 %`"""
    if fraction > 9:
        return "over +900 %"
    digits = 0 if abs(fraction) >= 0.0095 or not fraction else 1 if abs(fraction) >= 0.00095 else 2
    return f"{100 * fraction:+.{digits}f} %"


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
    divisor, unit = _joule_unit(j)
    return f"{significant(j / divisor)} {unit}"


def _joule_unit(j: float) -> tuple[float, str]:
    for limit, divisor, unit in ((1e-3, 1e-6, "µJ"), (1, 1e-3, "mJ")):
        if abs(j) < limit:
            return divisor, unit
    return 1.0, "J"


def grams(g: float) -> str:
    for limit, divisor, unit in ((1e-6, 1e-9, "ng"), (1e-3, 1e-6, "µg"), (1, 1e-3, "mg")):
        if abs(g) < limit:
            return f"{significant(g / divisor)} {unit}"
    return f"{significant(g)} g"


def energy(row: ComparisonRow) -> str:
    """Energy of one inference per scope with its provenance and ratio to the baseline's, or that there is none."""
    if not row.energy:
        return "none"
    ratios = row.energy_ratios or ("",) * len(row.energy)
    pairs = zip(row.energy, ratios, strict=True)
    return "; ".join(_energy(one, ratio, row.intensity_g_per_kwh) for one, ratio in pairs)


def energy_lines(row: ComparisonRow, *, sources: bool) -> list[str]:
    """The same for a narrow column. sources: with meter, scope and provenance."""
    ratios = row.energy_ratios or ("",) * len(row.energy)
    lines = []
    for one, to_baseline in zip(row.energy, ratios, strict=True):
        value, ends = _joules(one)
        lines += [f"{value} {_kind(one)}", *([ends] if ends else []), *_emitted(one, row.intensity_g_per_kwh)]
        lines += [f"{one.meter} {one.scope},", one.provenance] if sources else []
        lines += _ratio(to_baseline) if isinstance(to_baseline, Ratio) else []
    return lines or ["none"]


def source(one: EnergyPerInference) -> str:
    return f"{one.meter} {one.scope}, {one.provenance}"


def _energy(one: EnergyPerInference, to_baseline: Ratio | str, intensity_g_per_kwh: float | None) -> str:
    """Net joules if there are any, and emissions of the gross ones. Reasons for missing ratios follow the table."""
    figure = " ".join(filter(None, _joules(one)))
    ratio_text = f", {' '.join(_ratio(to_baseline))}" if isinstance(to_baseline, Ratio) else ""
    emitted = "".join(f", {text}" for text in _emitted(one, intensity_g_per_kwh))
    return f"{figure} {_kind(one)}{emitted} ({source(one)}){ratio_text}"


def _kind(one: EnergyPerInference) -> str:
    return "gross" if one.net_j is None else "net"


def _joules(one: EnergyPerInference) -> tuple[str, str]:
    return _parts(one.shown_j, *_joule_unit(one.shown_j.value))


def _emitted(one: EnergyPerInference, intensity_g_per_kwh: float | None) -> list[str]:
    if intensity_g_per_kwh is None:
        return []
    return [f"{grams(carbon.grams(one.gross_j.value, intensity_g_per_kwh))} CO2e"]


def rate(per_second: float | None) -> str:
    return NOTHING if per_second is None else f"{significant(per_second)}/s"


def ratio(row: ComparisonRow) -> str:
    return " ".join(ratio_parts(row))


def ratio_parts(row: ComparisonRow) -> list[str]:
    """`0.41x`, `(0.40-0.42)`, and `per image` or `UNLIKE` if it is; one line each in a narrow column."""
    if row.is_baseline:
        return ["baseline"]
    if row.ratio is None:
        return [NOTHING]
    return [*_ratio(row.ratio), "UNLIKE"] if row.is_unfair else _ratio(row.ratio)


def _ratio(value: Ratio) -> list[str]:
    parts = _of_outcome(value)
    return [*parts, "per image"] if value.per_image else parts


def _of_outcome(value: Ratio) -> list[str]:
    """Different, equivalent or not resolved; in the last case with the possible range."""
    if value.low is None or value.high is None:
        return [f"{significant(value.value)}x", "(no interval)"]
    if value.outcome == "not resolved":
        return ["not resolved:", f"{change(value.low - 1)} to {change(value.high - 1)}"]
    digits = _ratio_decimals(value.value, value.low, value.high)
    same = value.outcome == "equivalent"
    return [
        "same" if same else f"{value.value:,.{digits}f}x",
        f"({value.low:,.{digits}f}-{value.high:,.{digits}f})",
    ]


def _ratio_decimals(value: float, low: float, high: float) -> int:
    """Two, fewer for large ratios; more if an end would wrongly read as 1, or both ends as equal."""
    nearest = min(abs(low - 1), abs(high - 1))
    width = _first_decimal((high - low) / 2)
    wanted = [_first_decimal(nearest), width if width <= 3 else 0, _first_decimal(low) + 1]
    return min(max(min(_significant_decimals(value), 2), *wanted), 4)


def _first_decimal(value: float) -> int:
    """The decimal place of its first digit; 0 for nothing."""
    return -math.floor(math.log10(value) + 1e-9) if value > 0 else 0


def accuracy(row: ComparisonRow) -> str:
    """Measured on the device if requested, with its interval, and its name if it is not top-1; else the file's on the
    host.
    """
    score = device_scores.first(row.record)
    if score is not None:
        return device_scores.shown(score)
    found = row.device_accuracy
    if found is not None and found.low is not None and found.high is not None:
        return f"{found.value:.2%} ({100 * found.low:.1f}-{100 * found.high:.1f})"
    parity = row.record.artifact.parity
    if parity is not None and parity.score is not None:
        return f"{parity.metric} {device_scores.number(parity.score)}"
    return NOTHING if parity is None or parity.accuracy is None else f"{parity.accuracy:.2%}"


def agreement(row: ComparisonRow) -> str:
    parity = row.record.artifact.parity
    return NOTHING if parity is None or parity.top1_agreement is None else f"{parity.top1_agreement:.2%}"


def significant(value: float) -> str:
    """Three significant digits, no exponent."""
    return f"{value:,.{_significant_decimals(value)}f}" if value else "0"


def _significant_decimals(value: float) -> int:
    return max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
