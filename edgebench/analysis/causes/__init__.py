"""Causes, one file a family: why INT8 is not faster, why pruning did not help, what binds a layer, what it costs, how
often it is late. Each has `explain(evidence)`, and claims nothing that its evidence does not show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from edgebench.analysis.causes import cost, deadline, int8, pruning, roofline
from edgebench.analysis.causes.evidence import Evidence
from edgebench.analysis.causes.explanation import Explanation

FAMILIES = (int8, pruning, roofline, cost, deadline)
LINES_MAX = 5


def explain(evidence: Evidence) -> list[Explanation]:
    """What matters most comes first."""
    found = [one for family in FAMILIES for one in family.explain(evidence)]
    return sorted(found, key=lambda one: -one.concern)


def answer(found: Sequence[Explanation], records: int) -> list[str]:
    """At most five lines: of each family what matters most, with its largest cause, and the next command."""
    if not found:
        return [
            f"Nothing to explain in {records} record{'s' * (records != 1)}: no INT8 file beside its float one, no "
            "pruned file beside its dense one, no layers and no energy.",
            "Next: edgebench deploy --target TARGET --layers BUNDLE (float and INT8 files of one network, in one job)",
        ]
    following = _next(found)
    room = LINES_MAX - len(following)
    lines = list(_lines(found))
    return [*lines[:room], *following]


def _lines(found: Sequence[Explanation]) -> Iterator[str]:
    counts = Counter(one.family for one in found if not _is_unknown(one))
    seen: set[str] = set()
    for one in found:
        if one.family in seen or _is_unknown(one):
            continue
        seen.add(one.family)
        causes = "; ".join(f"{cause.name}{_share(cause.share)}" for cause in one.ranked[:2])
        more = f" (and {counts[one.family] - 1} more, see -v)" if counts[one.family] > 1 else ""
        yield f"{one.answer}{f': {causes}' if causes else ''}{more}."
    for one in found:
        if _is_unknown(one) and one.family not in seen and one.concern:
            seen.add(one.family)
            yield f"{one.answer}."


def _is_unknown(one: Explanation) -> bool:
    """It only says what is missing."""
    return bool(one.missing) and not one.causes and one.family in ("roofline", "cost") and not one.concern


def _share(share: float | None) -> str:
    return "" if share is None else f" ({share:.0%} of its time)"


def _next(found: Sequence[Explanation]) -> list[str]:
    """What removes the largest cause, else what brings the evidence that is missing."""
    for one in found:
        if one.ranked:
            return [f"Next: {one.ranked[0].command}"]
        if one.missing:
            return [f"Next: {one.missing[0].command}"]
    return []
