"""edgebench.load: records as a tidy table, whose columns are those that the page lists."""

from __future__ import annotations

import re
from pathlib import Path

import pandas
import pytest

import edgebench
from edgebench.analysis import tidy
from edgebench.analysis.columns import COLUMNS, VALUES, Column
from edgebench.errors import UserError
from tests.support.comparisons import COMPARISON
from tests.support.records import make_reading, make_record, save_all

ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = make_record("net-onnx-fp32", energy=(make_reading(),))
    later = make_record("net-onnx-int8", created="20261121T100000Z", p50_ns=20_000.0, memory=None)
    save_all(tmp_path / "results", [made, later])
    return tmp_path / "results"


def test_one_row_a_record_with_si_units_and_nothing_filled_in(folder: Path) -> None:
    frame = edgebench.load(folder)
    assert list(frame.columns) == [name for name, column in COLUMNS.items() if column.of_record]
    assert list(frame.artifact) == ["net-onnx-fp32", "net-onnx-int8"]
    assert list(frame.p50_s) == pytest.approx([50e-6, 20e-6], rel=0.01)
    assert list(frame.memory_high_water_bytes.isna()) == [False, True] and list(frame.energy_net_j.isna()) == [
        False,
        True,
    ]
    assert frame.commit.isna().all() and frame.created[0] == pandas.Timestamp("2026-11-20 10:00", tz="UTC")
    assert frame.energy_provenance[0] == "measured" and (frame.dtypes["size_bytes"], frame.dtypes["emulated"]) == (
        "Int64",
        "boolean",
    )


def test_one_row_a_value(folder: Path) -> None:
    record = make_record("net-onnx-fp32")
    frame = edgebench.load(folder / "board" / f"{record.id}.json", values=True)
    rounds = frame[frame.phase == "round"]
    assert list(frame.columns) == list(VALUES) and len(rounds) == sum(len(one.values_ns) for one in record.rounds)
    assert (
        list(frame[frame.phase == "warmup"].value_s) == [90e-6, 60e-6, 50e-6]
        and frame[frame.phase == "warmup"]["round"].isna().all()
    )
    assert (
        rounds.latency_s.median() == pytest.approx(50e-6, rel=0.01)
        and (rounds.latency_s * rounds.block == rounds.value_s).all()
    )


def test_several_paths_damaged_files_and_no_files(folder: Path, tmp_path: Path) -> None:
    paths = sorted((folder / "board").glob("*.json"))
    assert len(edgebench.load(paths)) == 2
    paths[0].write_text("{")
    with pytest.warns(UserWarning, match="1 files were left out; the first: .*not a record"):
        assert len(edgebench.load([folder])) == 1
    with pytest.raises(UserError, match="there is no"):
        edgebench.load(tmp_path / "nothing")


def test_every_line_of_a_comparison_has_the_listed_columns_in_their_order() -> None:
    line, *_ = tidy.lines(COMPARISON)
    assert list(line) == list(COLUMNS)


@pytest.mark.parametrize(("heading", "columns"), [("One row a record", COLUMNS), ("One row a value", VALUES)])
def test_the_page_lists_the_columns(heading: str, columns: dict[str, Column]) -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    section = page.partition(f"### {heading}\n")[2].partition("\n#")[0]
    listed = {name: (kind, meaning) for name, kind, meaning in _ROW.findall(section)}
    assert listed == {
        name: (column.kind, column.meaning if column.of_record else f"{column.meaning} (compare only)")
        for name, column in columns.items()
    }
