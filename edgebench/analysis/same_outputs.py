"""Whether the same file gives bit-identical answers on several targets."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgebench.schema.record import Record


@dataclass(frozen=True)
class OutputsMatch:
    """The same file's answers to the golden inputs on two targets: float32 outputs, bit by bit."""

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
    same_inputs = (ours and ours.inputs.sha256) == (theirs and theirs.inputs.sha256)
    # Outputs of many megabytes stay on the device.
    kept = len(record.golden.outputs_base64), len(other.golden.outputs_base64)
    return bool(same_inputs and kept[0] == kept[1] > 0 and record.golden.count == other.golden.count)


def _match(record: Record, other: Record) -> OutputsMatch:
    own, theirs = _outputs(record), _outputs(other)
    return OutputsMatch(
        artifact=record.artifact.name,
        target=record.target.name,
        other=other.target.name,
        identical=own.tobytes() == theirs.tobytes(),
        max_abs_diff=float(np.abs(own - theirs).max()),
        top1_agreement=float((own.argmax(1) == theirs.argmax(1)).mean()),
    )


def _outputs(record: Record) -> np.ndarray:
    """Golden outputs, float32 [count, classes]."""
    assert record.golden is not None
    flat = np.frombuffer(base64.b64decode(record.golden.outputs_base64), dtype="<f4")
    return flat.reshape(record.golden.count, -1)
