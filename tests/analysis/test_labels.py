"""Records of one name and target are told apart, in every form of report."""

from __future__ import annotations

import csv as csv_
import io
import json
from pathlib import Path
from typing import Any

import msgspec

from edgebench import compare
from edgebench.analysis import labels, selection
from edgebench.analysis.comparison import Comparison
from edgebench.analysis.report import csv, html, markdown, sections
from edgebench.schema.record import Record
from tests.conftest import run_cli
from tests.support.records import make_artifact, make_record, save_all

FILE = "net-onnx-fp32"


def created(*moments: str) -> list[str]:
    return labels.of([make_record(FILE, created=moment, job=moment) for moment in moments])


def test_the_shortest_label_that_tells_apart() -> None:
    assert created("20261129T100000.000Z", "20261130T100000.000Z") == ["2026-11-29", "2026-11-30"]
    assert created("20261129T100000.000Z", "20261129T113000.000Z") == ["10:00", "11:30"]
    assert created("20261129T100000.000Z", "20261129T100001.000Z") == ["10:00:00", "10:00:01"]
    assert created("20261129T100000.000Z", "20261129T100000.790Z") == ["10:00:00.000", "10:00:00.790"]
    assert created("20261129T100000Z", "20261129T100000Z", "20261130T110000Z") == ["#1", "#2", "#3"]
    assert created("20261129T100000Z", "20261130T100000Z", "20261130T110000Z") == [
        "2026-11-29 10:00", "2026-11-30 10:00", "2026-11-30 11:00",
    ]  # fmt: skip
    assert created("once upon a time", "today") == ["once upon a time", "today"]


def test_other_targets_and_names_need_no_label() -> None:
    one, two, three = make_record(FILE), make_record(FILE, target="other"), make_record("net-onnx-int8")
    assert labels.of([one, two, three]) == ["", "", ""]
    assert labels.of([one, two, make_record(FILE, created="20261121T100000Z")]) == ["2026-11-20", "", "2026-11-21"]


def in_runtime(name: str, moment: str = "20261129T100000Z") -> Record:
    one = make_record(FILE, created=moment)
    return msgspec.structs.replace(one, runtime=msgspec.structs.replace(one.runtime, name=name))


def test_threads_are_named_where_they_differ() -> None:
    one = make_record(FILE)
    four = msgspec.structs.replace(one, target=msgspec.structs.replace(one.target, threads=4))
    assert labels.of([one, four]) == ["1 thread", "4 threads"]
    other = msgspec.structs.replace(four, runtime=in_runtime("openvino").runtime)
    assert labels.of([one, four, other]) == ["onnxruntime 1 thread", "onnxruntime 4 threads", "openvino 4 threads"]
    assert len(selection.newest([one, four, other])) == 3


def test_runtimes_are_named_where_there_are_several() -> None:
    assert labels.of([in_runtime("onnxruntime"), in_runtime("openvino")]) == ["onnxruntime", "openvino"]
    later = in_runtime("openvino", "20261130T100000Z")
    assert labels.of([in_runtime("onnxruntime"), in_runtime("openvino"), later]) == [
        "onnxruntime", "openvino 2026-11-29", "openvino 2026-11-30",
    ]  # fmt: skip
    both = selection.newest([in_runtime("onnxruntime"), in_runtime("openvino"), later])
    assert [(one.runtime.name, one.created[:8]) for one in both] == [
        ("onnxruntime", "20261129"),
        ("openvino", "20261130"),
    ]


def two_folders(tmp_path: Path) -> list[Record]:
    for folder, moment, p50_ns in (("main", "20261129T100000Z", 36_000.0), ("pr", "20261130T100000Z", 40_000.0)):
        artifact = make_artifact(FILE, accuracy=0.9)
        save_all(tmp_path / folder / "results", [make_record(artifact, job=folder, created=moment, p50_ns=p50_ns)])
    return selection.select(tmp_path, [str(tmp_path / name / "results") for name in ("main", "pr")]).records


def test_folders_tell_apart_where_they_are_shorter(tmp_path: Path) -> None:
    records = two_folders(tmp_path)
    assert [one.path and one.path.name for one in records] == [f"{one.id}.json" for one in records]
    assert labels.of(records) == ["main", "pr"]


def test_each_record_is_a_row_a_bar_and_a_curve_of_its_own(tmp_path: Path) -> None:
    comparison = compare.compare(two_folders(tmp_path))
    wanted = {f"{FILE} (main) · board", f"{FILE} (pr) · board"}
    drawn = charted(comparison)
    assert {one["artifact"] for one in drawn["sizes"]} == {FILE}
    for name in ("latency", "curves"):
        assert {one["artifact"] for one in drawn[name]} == wanted, name
    assert [round(one["p50"]) for one in drawn["latency"]] == [36, 40]
    assert f"{FILE} (main)" in markdown.render(comparison) and f"{FILE} (pr)" in markdown.render(comparison)
    lines = list(csv_.DictReader(io.StringIO(csv.render(comparison))))
    assert [line["label"] for line in lines] == ["main", "pr"]
    assert all(Path(line["path"]).is_file() for line in lines)
    page = html.render(comparison)
    assert "<small>main</small>" in page and "<small>pr</small>" in page


def charted(comparison: Comparison) -> dict[str, list[dict[str, Any]]]:
    """The data of each figure's first panel, by the figure's name."""
    found = [figure for section in sections.of(comparison) for figure in section.figures]
    return {figure.name: figure.panels[0]["datasets"]["rows"] for figure in found}


def test_the_baseline_can_be_named_by_its_label(tmp_path: Path) -> None:
    for name in (f"pr/{FILE}", f"{FILE} (pr)"):
        assert [row.is_baseline for row in compare.compare(two_folders(tmp_path), baseline=name).rows] == [False, True]


def test_the_terminal_tells_them_apart(tmp_path: Path) -> None:
    two_folders(tmp_path)
    done = run_cli("compare", tmp_path / "main/results", tmp_path / "pr/results", cwd=tmp_path)
    lines = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert done.returncode == 0 and "main," in lines and "pr," in lines


def test_where_a_record_came_from_is_not_written_with_it(tmp_path: Path) -> None:
    record, _ = two_folders(tmp_path)
    assert record.path is not None and "path" not in json.loads(record.path.read_bytes())
    (copied,) = save_all(tmp_path / "copy", [record])
    assert copied.read_bytes() == record.path.read_bytes()


def test_another_file_of_the_same_name_is_another_bar_of_the_sizes() -> None:
    records = [
        make_record(make_artifact(FILE, content=content), job=content, created=f"2026112{number}T100000Z")
        for number, content in enumerate(("old", "new"))
    ]
    sizes = charted(compare.compare(records))["sizes"]
    assert len({one["artifact"] for one in sizes}) == 2
