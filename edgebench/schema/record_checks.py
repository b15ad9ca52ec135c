"""Consistency of a record's values with one another, beyond the limits of each."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgebench.schema.record import Record


def contradiction(record: Record) -> str:
    """What contradicts what; "" if all values are consistent."""
    golden, answers, outcome = record.golden, record.answers, record.outcome
    for one in golden.outputs if golden else ():
        width = 8 if one.whole else 4
        if golden and one.values_base64 and not _holds(one.values_base64, width * golden.count, exactly=False):
            return f"golden.outputs.values_base64 does not hold as many numbers for each of {golden.count} inputs"
    if answers:
        for name, text in (("classes", answers.classes_base64), ("labels", answers.labels_base64)):
            if not _holds(text, 2 * answers.images):
                return f"answers.{name}_base64 does not hold a number for each of {answers.images} images"
    if outcome.status == "failed" and not outcome.kind:
        return "outcome.status is failed, but outcome.kind does not say how"
    return ""


def _holds(text: str, size: int, *, exactly: bool = True) -> bool:
    """Whether a text is base64 of `size` bytes, or of a multiple of it."""
    try:
        found = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
    return found == size if exactly else found > 0 and found % size == 0
