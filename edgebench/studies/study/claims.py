"""Tests a study's claims on the measurements: reproduced, not reproduced, or unsupported.

A difference counts only with its interval (see `study.numbers`). An interval that crosses the claim's bound
supports neither answer. Networks trained on less than the study's (`--subset`) can confirm a claim; if they miss it,
that says nothing about the study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgebench.schema.estimate import Estimate
from edgebench.studies.study import numbers
from edgebench.studies.study.file import Claim, Side
from edgebench.studies.study.numbers import ClaimNumber, NotMeasured
from edgebench.studies.study.results import Results, VariantResults

Standing = Literal["reproduced", "not reproduced", "unsupported"]


@dataclass(frozen=True)
class ClaimVerdict:
    """seen: the numbers, in words. why: the study file's explanation, if the claim does not hold."""

    says: str
    by: str
    standing: Standing
    seen: str
    why: str = ""


def judge(claims: Sequence[Claim], results: Results) -> list[ClaimVerdict]:
    return [_judge(claim, results) for claim in claims if _in_scope(claim, results)]


def _in_scope(claim: Claim, results: Results) -> bool:
    """Claims about parts that were not run are left out."""
    parts = {variant.axes["part"] for variant in results.variants}
    sides = [side for side in (claim.of, claim.to) if side is not None]
    return not sides or all((side.part or claim.part) in parts for side in sides)


def _judge(claim: Claim, results: Results) -> ClaimVerdict:
    if claim.untestable or claim.of is None:
        return ClaimVerdict(claim.says, claim.by, "unsupported", claim.untestable)
    try:
        of = _find(results, claim, claim.of)
        to = _find(results, claim, claim.to) if claim.to else None
        found = numbers.find(claim.metric, of, to, results.bands)
    except NotMeasured as missing:
        return ClaimVerdict(claim.says, claim.by, "unsupported", str(missing))
    standing = _standing(found.estimate, claim)
    seen = _words(claim, found, of, to)
    if standing == "not reproduced" and results.subset and claim.metric in _LEARNT:
        standing, seen = (
            "unsupported",
            f"{seen}; missed with --subset; only the whole matrix can decide",
        )
    return ClaimVerdict(claim.says, claim.by, standing, seen, "" if standing == "reproduced" else claim.why)


def _find(results: Results, claim: Claim, side: Side) -> VariantResults:
    wanted = {"part": side.part or claim.part, "variant": side.variant}
    wanted |= {name: value for name in ("model", "dataset") if (value := getattr(side, name))}
    matching = [one for one in results.variants if all(one.axes[name] == value for name, value in wanted.items())]
    if not matching:
        raise NotMeasured(f"{', '.join(wanted.values())} was not run")
    if len(matching) > 1:
        choices = ", ".join(one.label for one in matching)
        raise NotMeasured(f"the claim does not say which of these networks it is about: {choices}")
    return matching[0]


def _standing(found: Estimate, claim: Claim) -> Standing:
    if found.low is None or found.high is None:
        return "unsupported"
    lowest = float("-inf") if claim.at_least is None else claim.at_least
    highest = float("inf") if claim.at_most is None else claim.at_most
    if found.low >= lowest and found.high <= highest:
        return "reproduced"
    if found.high < lowest or found.low > highest:
        return "not reproduced"
    return "unsupported"


# Metrics that depend on the amount of training; all of them are shares.
_LEARNT = ("accuracy", "train_accuracy", "validation_accuracy", "ece")


def _words(claim: Claim, found: ClaimNumber, of: VariantResults, to: VariantResults | None) -> str:
    value, low, high = found.estimate.value, found.estimate.low, found.estimate.high
    shown, unit = _as_number, ""
    if claim.metric in _LEARNT:
        shown, unit = (_in_points, " points") if to else (_in_percent, " %")
    bounds = [
        f"{word} {shown(bound)}{unit}"
        for word, bound in (("at least", claim.at_least), ("at most", claim.at_most))
        if bound is not None
    ]
    interval = "" if low is None or high is None else f" [{shown(low)}, {shown(high)}]"
    against = f" against {to.label}" if to else ""
    over = f" (over {found.over})" if found.over else ""
    seen = f"{claim.metric} of {of.label}{against}: {shown(value)}{unit}{interval}{over}"
    return f"{seen}; claimed: {', '.join(bounds)}"


def _in_percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _in_points(value: float) -> str:
    return f"{100 * value:+.2f}"


def _as_number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
