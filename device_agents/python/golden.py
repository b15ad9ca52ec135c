"""Right before fast: does the artifact answer here as it did where it was exported?"""

from __future__ import annotations

import array
import base64
import math

from .process import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

# Of all outputs together. Those of a detector are megabytes: beyond what the host takes in a line they are not kept.
MAX_OUTPUTS_BYTES = 6 << 20


def compare(outputs: Sequence[Any], wanted: Sequence[Mapping[str, Any]], count: int) -> dict[str, Any]:
    """Compare what each output is for `count` inputs with what the artifact answered on the host, and with its parent.

    outputs: as of worker.do_golden. wanted: for each output `expected` and `reference` (files, or None), and
    `max_relative_error`. Returns what a record has of it. Raises WorkerFailed if they cannot be compared.
    """
    if len(outputs) != len(wanted):
        raise WorkerFailed("wrong", "%d outputs, %d expected" % (len(outputs), len(wanted)))
    found = [
        _compared(code, text, count, one["max_relative_error"], one["expected"], one["reference"])
        for (code, text), one in zip(outputs, wanted)
    ]
    kept = sum(len(text) for _, text in outputs) <= MAX_OUTPUTS_BYTES
    for one, (code, text) in zip(found, outputs):
        one["values_base64"] = text if kept else ""
        if code == "q":
            one["whole"] = True
    return {"passed": all(one["passed"] for one in found), "count": count, "outputs": found}


def _compared(
    code: str, text: str, count: int, allowed: float, expected: Path, reference: Path | None
) -> dict[str, Any]:
    here, there = _numbers(code, base64.b64decode(text)), _numbers(code, expected.read_bytes())
    if len(here) != len(there) or not here:
        raise WorkerFailed("wrong", "%d numbers, %d expected" % (len(here), len(there)))
    if code == "q":
        error = sum(a != b for a, b in zip(here, there)) / len(here)
    else:
        error = _rms(a - b for a, b in zip(here, there)) / (_rms(there) or 1.0)
    found = {
        "passed": error <= allowed,  # False for a NaN as well
        "relative_error": error,
        "max_abs_diff": max(abs(a - b) for a, b in zip(here, there)),
    }
    if code == "f":
        found["agreement_with_host"] = _agreement(here, there, count)
        if reference:
            parent = _numbers(code, reference.read_bytes())
            found["agreement_with_parent"] = _agreement(here, parent, count)
            found.update(_errors(here, there, parent))
    # JSON has no NaN and no infinity.
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _errors(here: Sequence[float], there: Sequence[float], parent: Sequence[float]) -> dict[str, float]:
    """Of the answers here and of the exporter's against the parent's: they show what precision was computed in."""
    size = _rms(parent)
    if len(parent) != len(here) or not size:
        return {}
    names = ("reference_error", "exporter_error")
    return {name: _rms(a - b for a, b in zip(own, parent)) / size for name, own in zip(names, (here, there))}


def _numbers(code: str, data: bytes) -> array.array[Any]:
    values: array.array[Any] = array.array(code)
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
