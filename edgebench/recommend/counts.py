"""Instructions that one inference takes on a board's core, looked up.

The studies' networks are in counts.json beside this file; `python -m benchmarks.instructions` counts them again.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from edgebench.schema.bundle import Format, Precision

TABLE = Path(__file__).with_suffix(".json")


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network's file on one board. runtime: with its version. form: of ONNX INT8, `exporters.Kernels.form`.

    macs: of one inference, by which a network of the same name is known again. instructions: of one inference.
    """

    board: str
    network: str
    input_shape: tuple[int, ...]
    macs: int
    kind: str
    format: Format
    precision: Precision
    form: str
    runtime: str
    instructions: int


class CountTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """counted: the date, and on what."""

    counted: str
    counts: tuple[Count, ...]


@cache
def table() -> CountTable:
    return msgspec.json.decode(TABLE.read_bytes(), type=CountTable)


def of_forms(network: str) -> dict[str, dict[str, int]]:
    """What ONNX INT8 of a model takes: by board, by form."""
    found: dict[str, dict[str, int]] = {}
    for one in table().counts:
        if one.network == network and one.form:
            found.setdefault(one.board, {})[one.form] = one.instructions
    return found
