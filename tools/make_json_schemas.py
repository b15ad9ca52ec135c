"""Makes docs/schemas/*.json, the JSON schemas of a record and of a comparison: python -m tools.make_json_schemas"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edgebench.analysis.causes.explanation import Explanation
from edgebench.analysis.columns import COLUMNS, Column
from edgebench.analysis.same_outputs import OutputsMatch
from edgebench.analysis.verdict import Reason
from edgebench.schema.energy_reading import Provenance
from edgebench.schema.record import Record

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES: dict[str, Any] = {"text": str, "number": float, "count": int, "flag": bool}


class Interval(msgspec.Struct):
    value: float
    low: float | None
    high: float | None


class Energy(msgspec.Struct):
    meter: str
    scope: str
    provenance: Provenance
    windows: int
    net_j: Interval | None
    gross_j: Interval


class Condition(msgspec.Struct):
    name: str
    rule: Literal["equal", "scaled", "noted"]
    own: str
    baseline: str


# Of a row, in place of the text that tables have.
_LISTS: dict[str, Any] = {"reasons": list[Reason], "unlike": list[Condition], "energy": list[Energy]}


def record() -> dict[str, Any]:
    return _titled(msgspec.json.schema(Record), "A record of edgebench")


def comparison() -> dict[str, Any]:
    row = msgspec.defstruct("Row", [(name, _LISTS.get(name, _type(column))) for name, column in COLUMNS.items()])
    whole = msgspec.defstruct(
        "Comparison",
        [
            ("schema_version", Literal[1]), ("edgebench", str), ("margin", float), ("comparisons", int),
            ("older_runs", int), ("answer", list[str]), ("rows", list[row]), ("outputs", list[OutputsMatch]),  # type: ignore[valid-type]
            ("explanations", list[Explanation]), ("notes", list[str]),
        ],
    )  # fmt: skip
    return _titled(msgspec.json.schema(whole), "What edgebench compare --json writes")


def _type(column: Column) -> Any:
    meaning = msgspec.Meta(description=column.meaning)
    return Annotated[_TYPES[column.kind] | None, meaning]


def _titled(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, "title": title, **schema}


def written() -> dict[str, bytes]:
    """By file name."""
    made = {"record.json": record(), "comparison.json": comparison()}
    return {name: msgspec.json.format(msgspec.json.encode(one), indent=1) + b"\n" for name, one in made.items()}


if __name__ == "__main__":
    for name, content in written().items():
        (FOLDER / name).write_bytes(content)
