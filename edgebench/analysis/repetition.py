"""Whether a record's figure came out again, judged from it and from the jobs that measured its file anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgebench.analysis import between_jobs, comparability, formatting, ratios, record_statistics, selftest_band
from edgebench.analysis.between_jobs import Deviation
from edgebench.analysis.comparability import Unlike
from edgebench.analysis.ratios import Ratio
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record

MARGIN = 0.10
# Noted conditions that cannot explain another time.
_HARMLESS = ("measured", "test set", "plan")

RepeatOutcome = Literal["reproduced", "not reproduced", "conditions differ", "not resolved"]


@dataclass(frozen=True)
class Repetition:
    """record: the one that was repeated, under the name of the target here. repeats: of each job that ended. ratio: now
    over then. wrong: how its answers differ from the golden ones here; then nothing was timed.
    """

    record: Record
    repeats: tuple[Record, ...]
    ratio: Ratio | None
    unlike: tuple[Unlike, ...]
    margin: float = MARGIN
    wrong: str = ""

    @property
    def outcome(self) -> RepeatOutcome:
        """A difference counts against the record only where nothing else is known to differ."""
        if self.wrong:
            return "not reproduced"
        if any(one.rule == "equal" for one in self.unlike) or self.ratio is None:
            return "conditions differ"
        if self.ratio.within_margin:
            return "reproduced"
        if not self.ratio.differs:
            return "not resolved"
        return "conditions differ" if self._may_explain else "not reproduced"

    @property
    def _may_explain(self) -> list[Unlike]:
        return [one for one in self.unlike if one.name not in _HARMLESS]

    def facts(self) -> dict[str, Any]:
        """Plain values."""
        ratio = self.ratio
        return {
            "artifact": self.record.artifact.name,
            "target": self.record.target.name,
            "sha256": self.record.artifact.sha256,
            "outcome": self.outcome,
            "then": {"record": self.record.id, "p50_ns": _p50(self.record)},
            "now": [{"record": one.id, "p50_ns": _p50(one)} for one in self.repeats],
            "ratio": ratio and ratio.value,
            "ratio_low": ratio and ratio.low,
            "ratio_high": ratio and ratio.high,
            "margin": self.margin,
            "differs": [
                {"condition": one.name, "rule": one.rule, "now": str(one.own), "then": str(one.base)}
                for one in self.unlike
            ],
            "wrong": self.wrong,
        }

    def lines(self) -> Iterator[str]:
        name, runtime = self.record.artifact.name, self.record.runtime.name
        yield f"{name} in {runtime} on {self.record.target.name}: {self.outcome}"
        then = comparability.moment(self.record)
        yield f"  then   p50 {_said(_p50(self.record))}{f', {then:%Y-%m-%d}' if then else ''}"
        if self.wrong:
            yield f"  now    not timed: {self.wrong}"
        elif self.repeats:
            now = ", ".join(formatting.time(found.value) for one in self.repeats if (found := _p50(one)))
            count = len(self.repeats)
            yield f"  now    p50 {now} in {count} job{'s' * (count > 1)} of plan {self.record.plan.preset}"
        if self.ratio is not None:
            yield f"  ratio  {self._said_of_ratio(self.ratio)}"
        for one in self.unlike:
            must = " (must be equal)" if one.rule == "equal" else ""
            yield f"  differs: {one.name}: now {one.own}, then {one.base}{must}"

    def _said_of_ratio(self, ratio: Ratio) -> str:
        if ratio.low is None or ratio.high is None:
            return f"{ratio.value:.3f}, without an interval: too few rounds"
        said = f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
        if self.outcome == "reproduced":
            return f"{said}, within {self.margin:.0%}"
        if self.outcome != "not resolved":
            return f"{said}, which jobs of one file do not explain" if ratio.differs else said
        if ratio.spread is not None and not ratio.spread.is_known:
            return f"{said}: by how much jobs of one file differ here is not known; more --jobs, or edgebench selftest"
        return f"{said}: jobs of one file differ by so much here that {self.margin:.0%} cannot be told; more --jobs"


def judge(
    then: Record, repeats: Sequence[Record], history: Sequence[Record] = (), margin: float = MARGIN
) -> Repetition:
    """history: further records of the target, which show by how much jobs of one file differ there."""
    deviations = _deviations(repeats, history)
    if len(repeats) == 1:
        ratio = ratios.latency_ratio(repeats[0], then, between_jobs.spread(repeats[0], then, deviations))
    else:
        ratio = ratios.of_jobs(repeats, [then], between_jobs.of_sides(repeats, [then], deviations))
    unlike = comparability.unlike(repeats[-1], then)
    return Repetition(then, tuple(repeats), ratio and ratios.with_margin(ratio, margin), unlike, margin)


def _deviations(repeats: Sequence[Record], history: Sequence[Record]) -> dict[str, Deviation]:
    """Of the target's self-test and its earlier jobs; without any, of the repeats, which followed one another."""
    own = {one.id for one in repeats}
    earlier = [one for one in history if one.id not in own]
    if between_jobs.deviations(earlier):
        return between_jobs.deviations([*earlier, *repeats])
    of_repeats = {name: between_jobs.of_a_row(one) for name, one in between_jobs.deviations(repeats).items()}
    return of_repeats | selftest_band.of_targets(repeats)


def _p50(record: Record) -> Estimate | None:
    return record_statistics.of(record).p50_ns


def _said(found: Estimate | None) -> str:
    return "unknown" if found is None or math.isnan(found.value) else formatting.estimate(found)
