"""A difference in latency that repetitions of the same measurement show as well.

The approximate-compression study's changes change sign in the second run of the same script; the PLOS study's -33
% come from 128 of 12,960 weights set to zero in dense kernels, where identical copies differ by 17 %. Right: measure an
identical copy in the same job, and count a difference only if it exceeds that between the copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from edgebench.analysis import between_jobs, ratios
from edgebench.analysis.between_jobs import Deviation
from edgebench.schema.record import Record
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding, Level
from edgebench.studies.audit.published import PublishedRow

_REMEDY = "Measure an identical copy in the same job; a difference counts only if it exceeds that between the copies"
# Kinds of files that a dense kernel does not run like the unpruned one.
_SPARSE_FILES = ("packed", "sparse")


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, statement, (of, *others) in evidence.statements("latency"):
        if statement.relation in ("lower", "higher"):
            for to in others:
                measured = evidence.measured(of, to)
                if measured:
                    found = _not_shown(measured, between_jobs.deviations(evidence.records))
                else:
                    why = _repeats(of, to) or _same_kernels(of, to)
                    found = ("wrong", why) if why else None
                if found:
                    level, why = found
                    yield Finding(level, table.title, f"'{statement.says}', but {why}", _REMEDY)
    yield from _copies(evidence.records)


def _not_shown(measured: list[tuple[Record, Record]], deviations: Mapping[str, Deviation]) -> tuple[Level, str] | None:
    """Equivalent files contradict the statement; an interval that is too wide does not support it."""
    for own, base in measured:
        ratio = ratios.latency_ratio(own, base, between_jobs.spread(own, base, deviations))
        if ratio and ratio.low is not None and ratio.high is not None and not ratio.differs:
            seen = (
                f"on {own.target.name} '{own.artifact.name}' takes {ratio.value:.3f}x of '{base.artifact.name}' "
                f"({ratio.low:.3f}-{ratio.high:.3f}), which is "
            )
            if ratio.outcome == "equivalent":
                return "wrong", f"{seen}the same within {ratios.EQUIVALENCE_MARGIN:.0%}"
            return "doubtful", f"{seen}not resolved"
    return None


def _repeats(of: PublishedRow, to: PublishedRow) -> str:
    """Published repetitions: the sign in each run of the script, and the spread of repeated values."""
    if not ("latency" in of.values and "latency" in to.values):
        return ""
    own, base = ((value.value, *value.again) for value in (of.values["latency"], to.values["latency"]))
    changes = [one / other - 1 for one, other in zip(own, base, strict=False)]
    shown = " and ".join(f"{change:+.1%}" for change in changes)
    if min(changes) < 0 < max(changes):
        return f"'{of.label}' against '{to.label}' is {shown} in {len(changes)} runs of one script: both signs"
    spread = max(max(values) / min(values) - 1 for values in (own, base))
    if spread and abs(changes[0]) <= spread:
        return f"'{of.label}' against '{to.label}' is {changes[0]:+.1%}, and repetitions of one are {spread:.1%} apart"
    return ""


def _same_kernels(of: PublishedRow, to: PublishedRow) -> str:
    zeroed = of.pruned is not None and of.pruned.scheme == "unstructured" and of.file_holds not in _SPARSE_FILES
    same = bool(of.model) and (of.model, of.input_shape, of.arguments) == (to.model, to.input_shape, to.arguments)
    if not (zeroed and same):
        return ""
    share = f" ({of.values['sparsity'].plain:.2%} of the weights)" if "sparsity" in of.values else ""
    return f"'{of.label}' holds zeros{share} in the arrays of '{to.label}', and dense kernels take as long for them"


def _copies(records: tuple[Record, ...]) -> Iterator[Finding]:
    """If a job has the same file twice: differences of other files that do not exceed that between the two."""
    for first, second in combinations(records, 2):
        if not _same_file(first, second) or (band := _apart(first, second)) is None:
            continue
        for other in records:
            if other.job != first.job or other.target.name != first.target.name or _same_file(other, first):
                continue
            ratio = ratios.latency_ratio(other, first)
            if ratio and ratio.differs and abs(ratio.value - 1) <= band:
                seen = (
                    f"it takes {ratio.value:.3f}x of '{first.artifact.name}', and two copies of that file differ by "
                    f"{band:.1%} in the same job"
                )
                yield Finding("doubtful", f"record {other.id}", seen, "Report no difference")


def _same_file(first: Record, second: Record) -> bool:
    where = (first.job, first.target.name) == (second.job, second.target.name)
    return where and first.artifact.sha256 == second.artifact.sha256


def _apart(first: Record, second: Record) -> float | None:
    ratio = ratios.latency_ratio(second, first)
    return abs(ratio.value - 1) if ratio else None
