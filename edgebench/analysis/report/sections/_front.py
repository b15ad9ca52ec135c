"""The Pareto front of files by accuracy, latency, size and energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgebench.analysis import device_scores, stats
from edgebench.analysis.comparison import ComparisonRow
from edgebench.schema.estimate import Estimate

# Value and both ends of its interval.
Ends = tuple[float, float, float]
_TOP1 = "top-1 accuracy, %"


@dataclass(frozen=True)
class ParetoPoint:
    """metric: with its test set; unit: without. quality: of it, more is better; shown: in words. costs: less is
    better, those that are known.
    """

    row: ComparisonRow
    metric: str
    unit: str
    shown: str
    quality: Ends
    costs: dict[str, Ends]


def candidate(row: ComparisonRow) -> ParetoPoint | None:
    """None without a known accuracy, or where a smaller value of its metric is the better one."""
    found = _quality(row)
    if found is None or row.p50_ns is None:
        return None
    size = float(row.record.artifact.size_bytes)
    costs = {"latency": _ends(row.p50_ns), "size": (size, size, size)}
    measured = [one for one in row.energy if one.provenance == "measured" and one.net_j and one.net_j.value > 0]
    if measured and measured[0].net_j:
        costs["energy"] = _ends(measured[0].net_j)
    return ParetoPoint(row, *found, costs)


def dominated(candidates: Sequence[ParetoPoint]) -> list[bool]:
    """For each whether another one is no worse in all that both know, and better in one beyond both intervals."""
    return [any(_dominates(other, one) for other in candidates if other is not one) for one in candidates]


def _dominates(other: ParetoPoint, one: ParetoPoint) -> bool:
    common = other.costs.keys() & one.costs.keys()
    if one.costs.keys() - other.costs.keys():
        return False  # it may be better in what is not known of the other
    if other.quality[0] < one.quality[0] or any(other.costs[which][0] > one.costs[which][0] for which in common):
        return False
    is_more_right = other.quality[1] > one.quality[2]
    return is_more_right or any(other.costs[which][2] < one.costs[which][1] for which in common)


def _quality(row: ComparisonRow) -> tuple[str, str, str, Ends] | None:
    record, parity = row.record, row.record.artifact.parity
    score = device_scores.first(record)
    if score is not None and record.scored is not None:
        if score.lower_is_better:
            return None
        found = device_scores.estimate(score)
        metric = f"{score.metric} on {record.scored.images:,} images of {record.scored.dataset}"
        return metric, score.metric, device_scores.number(score.value), _ends(found)
    if row.device_accuracy is not None and record.answers is not None:
        found = row.device_accuracy
        metric = f"top-1 accuracy on {record.answers.images:,} images of {record.answers.dataset}"
        return metric, _TOP1, f"{found.value:.2%}", _per_cent(found)
    if parity is None or parity.accuracy is None:
        return None
    low, high = stats.wilson_interval(parity.accuracy * parity.images, parity.images)
    metric = f"top-1 accuracy on {parity.images:,} images of {parity.dataset}"
    return metric, _TOP1, f"{parity.accuracy:.2%}", _per_cent(Estimate(parity.accuracy, low, high))


def _ends(found: Estimate) -> Ends:
    low, high = found.low, found.high
    return found.value, found.value if low is None else low, found.value if high is None else high


def _per_cent(found: Estimate) -> Ends:
    value, low, high = _ends(found)
    return 100 * value, 100 * low, 100 * high
