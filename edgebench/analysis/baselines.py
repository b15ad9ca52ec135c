"""The record that the others are compared with: never an invalid one."""

from __future__ import annotations

from collections.abc import Sequence

from edgebench.analysis.record_statistics import RecordStatistics
from edgebench.errors import UnknownName, UserError
from edgebench.schema.record import MeasuredTarget, Record


class Baseline:
    """The record that others are compared with, and each emulated target's own baseline. None if all are invalid."""

    def __init__(self, found: Sequence[RecordStatistics], chosen: Record | None) -> None:
        self._found = found
        self._chosen = chosen
        self._own: dict[MeasuredTarget, Record | None] = {}

    def counterpart(self, record: Record) -> Record | None:
        """The baseline for this record; on an emulated target, the same artifact there."""
        chosen = self._chosen
        if chosen is None or record.target.name == chosen.target.name:
            return chosen
        if not (record.target.emulated or chosen.target.emulated):
            return chosen
        if record.target not in self._own:
            self._own[record.target] = self._first_of(record.target, chosen.artifact.name)
        return self._own[record.target]

    def _first_of(self, target: MeasuredTarget, artifact: str) -> Record | None:
        own = [one.record for one in self._found if one.record.target == target and one.may_be_baseline]
        same = [record for record in own if record.artifact.name == artifact]
        return next(iter(same or own), None)


def choose(found: Sequence[RecordStatistics], labels: Sequence[str], name: str | None) -> Baseline:
    """name: an artifact, target/artifact, or one with its label; default: the first candidate on a real device. Raises
    UserError if all records of that name are invalid, and UnknownName.
    """
    able = [one.record for one in found if one.may_be_baseline]
    if name is None:
        real = [record for record in able if not record.target.emulated]
        return Baseline(found, next(iter(real or able), None))
    named = [one for one, label in zip(found, labels, strict=True) if name in _names(one.record, label)]
    if not named:
        raise UnknownName("artifact among the records", name, [one.record.artifact.name for one in found])
    chosen = next((one.record for one in named if one.may_be_baseline), None)
    if chosen is None:
        reasons = [reason.seen for reason in named[0].verdict.reasons if reason.level == "invalid"]
        raise UserError(
            f"--baseline {name}",
            f"it cannot serve as a baseline: {reasons[0] if reasons else 'it has no rounds'}",
            "Name another artifact, or leave --baseline out",
        )
    return Baseline(found, chosen)


def _names(record: Record, label: str) -> tuple[str, ...]:
    artifact = record.artifact.name
    return artifact, f"{record.target.name}/{artifact}", f"{artifact} ({label})", f"{label}/{artifact}"
