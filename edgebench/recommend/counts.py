"""Instructions that one inference takes on a board's core, looked up in a table.

counts.json beside this file holds the networks of the studies; `python -m benchmarks.instructions` counts them again.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from edgebench.schema.bundle import Format, Precision

TABLE = Path(__file__).with_suffix(".json")


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a network on one board. runtime: with its version. form: `exporters.Kernels.form`, for ONNX INT8.

    macs: of one inference; with the name they identify the network. instructions: of one inference.
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
    """counted: when, and on what."""

    counted: str
    counts: tuple[Count, ...]


@cache
def table() -> CountTable:
    return msgspec.json.decode(TABLE.read_bytes(), type=CountTable)


def of_forms(network: str) -> dict[str, dict[str, int]]:
    """Instructions of a model's ONNX INT8 files: by board, by form."""
    found: dict[str, dict[str, int]] = {}
    for one in table().counts:
        if one.network == network and one.form:
            found.setdefault(one.board, {})[one.form] = one.instructions
    return found
