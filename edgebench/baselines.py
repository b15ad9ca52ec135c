"""Which record the others are compared with: never one that is invalid."""

from __future__ import annotations

from collections.abc import Sequence

from edgebench import verdict
from edgebench.errors import UnknownName, UserError
from edgebench.record import MeasuredTarget, Record


class Baseline:
    """The record that others are compared with, and each emulated target's own. None if all of them are invalid."""

    def __init__(self, records: Sequence[Record], chosen: Record | None) -> None:
        self._records = records
        self._chosen = chosen
        self._own: dict[MeasuredTarget, Record | None] = {}

    def counterpart(self, record: Record) -> Record | None:
        """The baseline that this record may be compared with: of an emulated target, the same artifact there."""
        chosen = self._chosen
        if chosen is None or record.target == chosen.target:
            return chosen
        if not (record.target.emulated or chosen.target.emulated):
            return chosen
        if record.target not in self._own:
            self._own[record.target] = self._first_of(record.target, chosen.artifact.name)
        return self._own[record.target]

    def _first_of(self, target: MeasuredTarget, artifact: str) -> Record | None:
        own = [other for other in self._records if other.target == target and _may_be_baseline(other)]
        same = [other for other in own if other.artifact.name == artifact]
        return next(iter(same or own), None)


def _may_be_baseline(record: Record) -> bool:
    return bool(record.rounds) and verdict.judge(record).level != "invalid"


def choose(records: Sequence[Record], name: str | None) -> Baseline:
    if name is None:
        real = (record for record in records if not record.target.emulated and _may_be_baseline(record))
        emulated = (record for record in records if record.target.emulated and _may_be_baseline(record))
        return Baseline(records, next(real, None) or next(emulated, None))
    named = [
        record for record in records if name in (record.artifact.name, f"{record.target.name}/{record.artifact.name}")
    ]
    if not named:
        raise UnknownName("artifact among the records", name, [record.artifact.name for record in records])
    chosen = next(filter(_may_be_baseline, named), None)
    if chosen is None:
        reasons = [reason.seen for reason in verdict.judge(named[0]).reasons if reason.level == "invalid"]
        raise UserError(
            f"--baseline {name}",
            f"nothing can be compared with it, because {reasons[0] if reasons else 'it has no rounds'}",
            "Name another artifact, or leave --baseline out",
        )
    return Baseline(records, chosen)
