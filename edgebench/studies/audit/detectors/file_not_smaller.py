"""A pruned network's file is called smaller but is not.

The UltraLight study's "smaller compressed files" have the bytes of the dense networks: zeros in arrays of the
same shapes take as much space as any number. Right: the bytes of the deployed file, raw, packed and compressed.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow
from edgebench.studies.audit.recompute import computed

SMALLER = 0.99
_REMEDY = "Remove channels physically, or store the zeros packed, and give the bytes of that file"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, statement, (smaller, *others) in evidence.statements("file"):
        if statement.relation == "lower" and "file" in smaller.values:
            for words, size in _references(smaller, others):
                if smaller.values["file"].plain > SMALLER * size:
                    seen = f"'{statement.says}', but {smaller.values['file']} are {words}"
                    yield Finding("wrong", table.where(smaller), seen, _REMEDY)
    for run in evidence.variants:
        yield from _run(run, evidence)


def _references(smaller: PublishedRow, others: list[PublishedRow]) -> Iterator[tuple[str, float]]:
    """The sizes, in bytes, that the file should be below: those of other rows, else the dense network's own numbers."""
    for other in others:
        if "file" in other.values:
            yield f"not less than the {other.values['file']} of '{other.label}'", other.values["file"].plain
    network = None if others else computed(smaller)
    if network:
        size = network.size.weights_bytes
        yield f"the dense network's {size / 1e6:.2f} MB ({size:,} bytes of numbers)", size


def _run(run: AuditedRun, evidence: AuditEvidence) -> Iterator[Finding]:
    for step in run.pruning[-1:]:
        parent = next((one for one in evidence.variants if one.digest and one.digest == step.parent), None)
        if parent is None or step.form != "smaller" or not (run.file_bytes and parent.file_bytes):
            continue
        if run.file_bytes > SMALLER * parent.file_bytes:
            seen = f"pruned at {step.ratio:g} it has {run.file_bytes:,} bytes, its parent {parent.file_bytes:,}"
            yield Finding("wrong", run.label, seen, _REMEDY)
