"""The JSON schemas in docs/ are those of today's types, and what the program writes fits them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from edgebench.analysis.report import json as report
from edgebench.schema import record_files
from tests.support.comparisons import COMPARISON
from tools import make_json_schemas

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["record.json", "comparison.json"])
def test_the_files_are_current(name: str) -> None:
    made = make_json_schemas.written()[name]
    assert (make_json_schemas.FOLDER / name).read_bytes() == made, "python -m tools.make_json_schemas"


def test_a_comparison_fits() -> None:
    jsonschema.validate(json.loads(report.render(COMPARISON)), make_json_schemas.comparison())


def test_records_fit() -> None:
    path = sorted((ROOT / "results" / "reference").glob("*/*.json"))[-1]
    content = json.loads(msgspec.json.encode(record_files.load(path)))
    jsonschema.validate(content, make_json_schemas.record())
    del content["artifact"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, make_json_schemas.record())
