"""Whether the same file gives bit-identical answers on several targets."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebench.schema.bundle import Golden
from edgebench.schema.record import GoldenCheck, Record


@dataclass(frozen=True)
class OutputsMatch:
    """The same file's answers to the golden inputs on two targets, bit by bit.

    max_abs_diff: over all outputs; top1_agreement: of the first.
    """

    artifact: str
    target: str
    other: str
    identical: bool
    max_abs_diff: float
    top1_agreement: float


def matches(records: Sequence[Record]) -> tuple[OutputsMatch, ...]:
    """For every file that answered golden inputs on several targets: each target against the first."""
    first: dict[str, Record] = {}
    matches = []
    for record in records:
        if record.golden is None:
            continue
        sha256 = record.artifact.sha256
        other = first.setdefault(sha256, record)
        if other.target.name != record.target.name and _same_questions(record, other):
            matches.append(_match(record, other))
    return tuple(matches)


def _same_questions(record: Record, other: Record) -> bool:
    """Whether both answered the same golden inputs."""
    assert record.golden is not None and other.golden is not None
    ours, theirs = record.artifact.golden, other.artifact.golden
    same_inputs = _hashes(ours) == _hashes(theirs)
    # Outputs of many megabytes stay on the device.
    kept = [[(one.whole, len(one.values_base64)) for one in golden.outputs] for golden in (record.golden, other.golden)]
    is_kept = all(size for _, size in kept[0])
    return same_inputs and kept[0] == kept[1] and is_kept and record.golden.count == other.golden.count


def _hashes(golden: Golden | None) -> list[str]:
    return [one.sha256 for one in golden.inputs] if golden else []


def _match(record: Record, other: Record) -> OutputsMatch:
    assert record.golden is not None and other.golden is not None
    own, theirs = _outputs(record.golden), _outputs(other.golden)
    return OutputsMatch(
        artifact=record.artifact.name,
        target=record.target.name,
        other=other.target.name,
        identical=all(a.tobytes() == b.tobytes() for a, b in zip(own, theirs, strict=True)),
        max_abs_diff=max(float(np.abs(a - b).max()) for a, b in zip(own, theirs, strict=True)),
        top1_agreement=float((own[0].argmax(1) == theirs[0].argmax(1)).mean()),
    )


def _outputs(golden: GoldenCheck) -> list[np.ndarray]:
    """Each output, [count, numbers]."""
    return [
        np.frombuffer(base64.b64decode(one.values_base64), "<i8" if one.whole else "<f4").reshape(golden.count, -1)
        for one in golden.outputs
    ]
