"""A comparison of rows that differ in more than the compared property.

The CIFAR-100 profile study compares a network pretrained on ImageNet at 224x224 with one from scratch at 32x32; the
approximate-compression study compares a pickled module with a state_dict. Right: the same resolution, start, device and
kind of file on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgebench import compare
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow

# Quantity -> conditions that affect it, besides those that affect everything.
_CONDITIONS = {"file": ("file_holds",), "latency": ("device",), "time": ("device",), "energy": ("device",)}
# Of the conditions that `compare` only notes, those that change a latency by themselves.
_NOTED = ("inputs", "kernel", "plan", "processors", "runtime", "threads")
_REMEDY = "Change one thing at a time"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        for statement in table.statements:
            if statement.relation in ("lower", "higher", "equal", "increasing"):
                unlike = _differing(table.spoken_of(statement), _CONDITIONS.get(statement.quantity, ()))
                if unlike:
                    seen = f"'{statement.says}' compares rows that differ in {'; '.join(unlike)}"
                    yield Finding("wrong", table.title, seen, _REMEDY)
    for table, statement, (of, *others) in evidence.statements("latency"):
        for own, base in (pair for to in others for pair in evidence.measured(of, to)):
            conditions = compare.compare([base, own]).rows[1].unlike
            differing = [str(found) for found in conditions if found.rule != "noted" or found.name in _NOTED]
            if differing:
                seen = f"'{statement.says}' compares records that differ in {'; '.join(differing)}"
                yield Finding("wrong", table.title, seen, _REMEDY)


def _differing(rows: tuple[PublishedRow, ...], conditions: tuple[str, ...]) -> list[str]:
    stated = {name: [_stated(row, name) for row in rows] for name in ("input_shape", "pretrained", *conditions)}
    found = []
    for name, values in stated.items():
        given = list(dict.fromkeys(value for value in values if value not in ("", "None")))
        if len(given) > 1:
            found.append(f"{name.replace('_', ' ')} ({', '.join(given)})")
    return found


def _stated(row: PublishedRow, name: str) -> str:
    value: Any = getattr(row, name)
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
