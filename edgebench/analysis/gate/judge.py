"""Each check for each file: failed only if the interval excludes chance, also among all checks together (Holm)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from device_agents.python import series
from edgebench.analysis import device_scores, formatting, ratios, significance, stats
from edgebench.analysis.answer import accuracy
from edgebench.analysis.comparison import CheckResult, Comparison, ComparisonRow
from edgebench.analysis.gate.expression import Check
from edgebench.analysis.ratios import Ratio
from edgebench.errors import UserError
from edgebench.schema.estimate import Estimate

# Of an interval whose degrees of freedom are not at hand.
_FREEDOM = 30


@dataclass(frozen=True)
class _Measured:
    """value with its interval, in the check's own unit; exact: it has none, because it was not measured. missing: why
    there is no value.
    """

    value: float = math.nan
    low: float | None = None
    high: float | None = None
    exact: bool = False
    freedom: int = _FREEDOM
    missing: str = ""

    def p_beyond(self, limit: float) -> float:
        """That it is on its side of the limit by chance."""
        if self.exact or self.low is None or self.high is None:
            return 0.0
        half = self.value - self.low if self.value > limit else self.high - self.value
        if half <= 0:
            return 0.0
        return significance.two_sided_p(abs(self.value - limit) / half * series.t95(self.freedom), self.freedom)


def judge(comparison: Comparison, checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """Raises UserError if a check is about no file at all."""
    asked = [(check, row) for check in checks for row in _rows(comparison, check)]
    found = [_measured(check, row, comparison) for check, row in asked]
    beyond = [index for index, (pair, one) in enumerate(zip(asked, found, strict=True)) if _is_beyond(pair[0], one)]
    adjusted = significance.holm([found[index].p_beyond(asked[index][0].limit) for index in beyond])
    real = {index for index, p in zip(beyond, adjusted, strict=True) if p < significance.LEVEL}
    return tuple(
        _result(check, row, one, is_real=index in real)
        for index, ((check, row), one) in enumerate(zip(asked, found, strict=True))
    )


def _rows(comparison: Comparison, check: Check) -> Iterator[ComparisonRow]:
    """A baseline is not checked against itself, of two result sets only the later one is. Baselines alone: themselves,
    so that a check without anything to compare cannot pass.
    """
    check_names([check], [row.record.artifact.name for row in comparison.rows])
    named = [row for row in comparison.rows if fnmatchcase(row.record.artifact.name, check.pattern)]
    is_own_budget = check.kind == "budget" and not comparison.is_against_earlier
    yield from [row for row in named if not row.is_baseline or is_own_budget] or named


def check_names(checks: Iterable[Check], names: Sequence[str]) -> None:
    """Raises UserError if a check is about none of the files of these names."""
    for check in checks:
        if not any(fnmatchcase(name, check.pattern) for name in names):
            known = ", ".join(dict.fromkeys(names))
            raise UserError("--fail-if", f"'{check.text}' names none of the files", f"There are: {known}")


def _is_beyond(check: Check, one: _Measured) -> bool:
    """Its whole interval."""
    if one.missing:
        return False
    end = one.low if check.fails_above else one.high
    value = one.value if end is None else end
    return (value > check.limit if check.fails_above else value < check.limit) and (one.exact or end is not None)


def _is_within(check: Check, one: _Measured) -> bool:
    end = one.high if check.fails_above else one.low
    value = one.value if end is None else end
    return (value <= check.limit if check.fails_above else value >= check.limit) and (one.exact or end is not None)


def _result(check: Check, row: ComparisonRow, one: _Measured, *, is_real: bool) -> CheckResult:
    names = check.text, row.record.target.name, row.name
    if row.verdict.level == "invalid":
        reason = next(reason.seen for reason in row.verdict.reasons if reason.level == "invalid")
        return CheckResult(*names, "failed", f"its record is invalid: {reason}")
    if one.missing:
        return CheckResult(*names, "not resolved", one.missing)
    shown = _shown(check, one) + "; UNLIKE conditions, compared anyway" * row.is_unfair
    if is_real:
        return CheckResult(*names, "failed", shown)
    if _is_within(check, one):
        return CheckResult(*names, "passed", shown)
    many = "; beyond it alone, but not among so many checks (Holm)" if _is_beyond(check, one) else ""
    return CheckResult(
        *names, "not resolved", shown + many, longer=_longer(check, row, one), name=row.record.artifact.name
    )


def _longer(check: Check, row: ComparisonRow, one: _Measured) -> float | None:
    """An interval narrows with the root of the number of rounds; what jobs differ by does not narrow."""
    if not check.metric.startswith("latency") or one.low is None or one.high is None:
        return None
    if check.kind == "ratio" and row.ratio is not None and row.ratio.spread is not None:
        return None
    half = one.high - one.value if one.value <= check.limit else one.value - one.low
    distance = abs(one.value - check.limit)
    return max(1.0, (half / distance) ** 2) if distance else math.inf


def _measured(check: Check, row: ComparisonRow, comparison: Comparison) -> _Measured:
    if check.kind == "budget":
        return _budget(check, row)
    if row.is_baseline:
        return _Measured(missing="it is the baseline itself, and there is no other record to check")
    if check.kind == "points":
        return _points(row)
    if row.baseline is None or row.no_ratio:
        return _Measured(missing=row.no_ratio or "there is no baseline")
    if check.metric in ("size", "memory"):
        base = next((one for one in comparison.rows if one.record is row.baseline), None)
        own_bytes, base_bytes = _bytes(check.metric, row), base and _bytes(check.metric, base)
        if not own_bytes or not base_bytes:
            return _Measured(missing=f"{check.metric} was not measured on both sides")
        return _Measured(own_bytes / base_bytes, exact=True)
    ratio = _ratio(check.metric, row, comparison)
    return ratio if isinstance(ratio, _Measured) else _of_ratio(ratio)


def _of_ratio(found: Ratio) -> _Measured:
    return _Measured(found.value, found.low, found.high, freedom=found.freedom)


def _ratio(metric: str, row: ComparisonRow, comparison: Comparison) -> Ratio | _Measured:
    if metric == "energy":
        known = [one for one in row.energy_ratios if isinstance(one, Ratio)]
        why = next((one for one in row.energy_ratios if isinstance(one, str)), "no energy was measured")
        return known[0] if known else _Measured(missing=why)
    assert row.ratio is not None
    if metric == "latency_p50":
        return row.ratio
    base = next((one for one in comparison.rows if one.record is row.baseline), None)
    own, other = _quantile(metric, row), base and _quantile(metric, base)
    if own is None or not other:
        return _Measured(missing=f"{metric} needs more values")
    logs = [[math.log(end / one.value) for end in one.ends] for one in (own, other)]
    centre = math.log(own.value / other.value)
    below, above = math.hypot(logs[0][0], logs[1][1]), math.hypot(logs[0][1], logs[1][0])
    has_interval = own.low is not None and other.low is not None
    interval = (centre - below, centre + above) if has_interval else None
    return ratios.from_logs(centre, interval, paired=False, freedom=row.ratio.freedom, spread=row.ratio.spread)


def _quantile(metric: str, row: ComparisonRow) -> Estimate | None:
    return {"latency_p50": row.p50_ns, "latency_p90": row.p90_ns, "latency_p99": row.p99_ns}[metric]


def _bytes(metric: str, row: ComparisonRow) -> int | None:
    return row.record.artifact.size_bytes if metric == "size" else row.high_water_bytes


def _points(row: ComparisonRow) -> _Measured:
    """On the device, image by image, if both were measured there; else on the host, if on the same images."""
    change = row.accuracy_change.points if row.accuracy_change else device_scores.gained(row.record, row.score_change)
    if change is not None:
        return _of_estimate(change)
    own, base = row.record.artifact.parity, row.baseline and row.baseline.artifact.parity
    if not own or not base or own.accuracy is None or base.accuracy is None:
        return _Measured(missing="accuracy is not known on both sides: deploy --accuracy")
    if (own.dataset, own.images) != (base.dataset, base.images):
        return _Measured(missing="accuracies are of other test sets")
    if row.baseline and row.baseline.artifact.sha256 == row.record.artifact.sha256:
        return _Measured(0.0, exact=True)
    return _of_estimate(stats.proportion_difference(own.accuracy, base.accuracy, own.images, base.images))


def _budget(check: Check, row: ComparisonRow) -> _Measured:
    if check.metric in ("size", "memory"):
        found = _bytes(check.metric, row)
        return _Measured(missing="memory was not measured") if found is None else _Measured(float(found), exact=True)
    if check.metric == "energy":
        return _of_estimate(row.energy[0].shown_j if row.energy else None, "no energy was measured")
    if check.metric == "accuracy":
        score = device_scores.first(row.record)
        return _of_estimate(accuracy(row) if score is None else device_scores.estimate(score), "accuracy is not known")
    return _of_estimate(_quantile(check.metric, row), f"{check.metric} needs more values")


def _of_estimate(found: Estimate | None, missing: str = "") -> _Measured:
    return _Measured(missing=missing) if found is None else _Measured(found.value, found.low, found.high)


def _shown(check: Check, one: _Measured) -> str:
    value = _in_unit(check, one.value)
    if one.low is None or one.high is None:
        return value
    return f"{value} ({_in_unit(check, one.low)} to {_in_unit(check, one.high)})"


def _in_unit(check: Check, value: float) -> str:
    if check.kind == "ratio":
        return f"{value:.3f}x"
    if check.kind == "points":
        return f"{100 * value:+.2f} points"
    if check.metric.startswith("latency"):
        return formatting.time(value)
    if check.metric == "energy":
        return formatting.joules(value)
    return f"{value:.2%}" if check.metric == "accuracy" else formatting.size(round(value))
