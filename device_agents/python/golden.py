"""Right before fast: does the artifact answer here as it did where it was exported?"""

from __future__ import annotations

import array
import base64
import math

from .process import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def compare(outputs: str, expected: Path, reference: Path, count: int) -> dict[str, float]:
    """Compare [count x classes] outputs with what the artifact answered on the host and with its fp32 parent.

    outputs: base64 of float32; expected, reference: files of float32. Returns relative_error
    (rms of the difference over rms of `expected`) and the top-1 agreements as fractions. Raises WorkerFailed.
    """
    here = _floats(base64.b64decode(outputs))
    there = _floats(expected.read_bytes())
    parent = _floats(reference.read_bytes())
    if not len(here) == len(there) == len(parent):
        raise WorkerFailed("wrong", "%d outputs, %d expected" % (len(here), len(there)))
    return {
        "relative_error": _rms(a - b for a, b in zip(here, there)) / (_rms(there) or 1.0),
        "max_abs_diff": max(abs(a - b) for a, b in zip(here, there)),
        "agreement_with_host": _agreement(here, there, count),
        "agreement_with_parent": _agreement(here, parent, count),
    }


def _floats(data: bytes) -> array.array[float]:
    values = array.array("f")
    values.frombytes(data)
    return values


def _rms(values: Iterable[float]) -> float:
    squares = [value * value for value in values]
    return math.sqrt(sum(squares) / len(squares))


def _agreement(left: Sequence[float], right: Sequence[float], count: int) -> float:
    classes = len(left) // count
    same = 0
    for start in range(0, len(left), classes):
        rows = left[start : start + classes], right[start : start + classes]
        tops = [max(range(classes), key=row.__getitem__) for row in rows]
        same += tops[0] == tops[1]
    return same / count
