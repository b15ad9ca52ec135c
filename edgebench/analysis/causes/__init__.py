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
MUCH = 0.9
ASKED = 2.0


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
    return [*_lines(found, LINES_MAX - len(following)), *following]


def _lines(found: Sequence[Explanation], room: int) -> Iterator[str]:
    """What was asked, of each family what matters most, then what else matters much, as far as there is room."""
    told = [one for one in found if not _is_unknown(one)]
    firsts = sorted({one.family: one for one in reversed(told)}.values(), key=told.index)
    asked = [one for one in told if one.concern >= ASKED]
    wanted = [*(one for one in firsts if one in asked), *asked, *firsts, *(one for one in told if one.concern >= MUCH)]
    chosen = list(dict.fromkeys(wanted))[:room]
    names = Counter(place.rpartition(" in ")[0] for place in {_place(one) for one in found})
    left = Counter(one.family for one in told if one not in chosen)
    for one in sorted(chosen, key=told.index):
        causes = "; ".join(f"{cause.name}{_share(cause.share)}" for cause in one.ranked[:2])
        is_last = one is [each for each in chosen if each.family == one.family][-1]
        more = f" (and {left[one.family]} more, see -v)" if left[one.family] and is_last else ""
        yield f"{_placed(one, names)}{f': {causes}' if causes else ''}{more}."


def _placed(one: Explanation, names: Counter[str]) -> str:
    """The answer, with runtime and target where a file of this name was measured in several."""
    name = _place(one).rpartition(" in ")[0]
    return one.answer.replace(name, _place(one), 1) if name and names[name] > 1 else one.answer


def _place(one: Explanation) -> str:
    """Its subject, without a meter."""
    return one.subject.partition(", ")[0]


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
