"""Every field of a record damaged in every way: it loads, compares and renders, or is refused; and the commands that
read records name a bad one, leave it out and go on.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench import compare
from edgebench.analysis import selection
from edgebench.errors import BadFile
from edgebench.schema import record, record_files
from tests.conftest import run_cli
from tests.support import damage, fuzzing, whole_records
from tests.support.records import make_record, save_all

TREES = whole_records.trees()


@pytest.mark.parametrize("name", TREES)
def test_the_undamaged_record_loads(name: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(TREES[name]))
    assert record_files.load(path).schema_version == record.SCHEMA_VERSION


@pytest.mark.parametrize("name", ["whole", "failed", "schema 1"])
def test_every_damaged_field_is_borne_or_refused(name: str, tmp_path: Path) -> None:
    """All are loaded; of those that load, some are compared with whole records and shown."""
    path = tmp_path / "record.json"
    others = [whole_records.whole(), whole_records.whole(target="elsewhere", job="job-2")]
    loaded = refused = 0
    for what, data in damage.damaged(TREES[name], one_in=4):
        path.write_bytes(data)
        try:
            one = record_files.load(path)
        except BadFile as error:
            assert len(error.seen) < 1000 and str(path) in error.where, what
            refused += 1
            continue
        loaded += 1
        if loaded % 40 == 0:
            fuzzing.show([one, *others], html=False)
    assert loaded and refused > loaded


# ------------------------------------------------------------------ what must not be accepted


def changed(path: str, value: Any) -> bytes:
    """The whole record with the value at a path, written with dots."""
    steps = tuple(int(step) if step.isdecimal() else step for step in path.split("."))
    return damage.encoded(damage.replaced(TREES["whole"], steps, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", -1),
        ("schema_version", 0),
        ("schema_version", True),
        ("schema_version", 1.0),
        ("artifact.content.size_bytes", -1),
        ("artifact.macs", -1),
        ("artifact.parameters", -1),
        ("artifact.name", "../x"),
        ("artifact.name", "x\n"),
        ("artifact.content.sha256", "x"),
        ("artifact.parity.accuracy", 1.7),
        ("artifact.parity.accuracy", -0.1),
        ("artifact.parity.parent_accuracy", 1.7),
        ("artifact.parity.outputs.0.top1_agreement", 2),
        ("artifact.parity.images", 0),
        ("artifact.golden.count", 0),
        ("golden.outputs.0.agreement_with_host", 1.5),
        ("golden.outputs.0.relative_error", -1),
        ("golden.outputs.0.values_base64", "AAAA"),
        ("golden.outputs.0.values_base64", "?"),
        ("golden.count", 3),
        ("answers.images", 3),
        ("answers.classes_base64", "AAAA"),
        ("answers.labels_base64", "é"),
        ("memory.bare.rss_bytes", -1),
        ("load.wall_s", 0),
        ("load.wall_s", -1),
        ("load.busy_s", -5),
        ("load_ns", -1),
        ("rounds.0.values_ns", []),
        ("rounds.0.values_ns.0", 0),
        ("rounds.0.block", 0),
        ("rounds.0.temperature_c", -400),
        ("rounds.0.clock_hz", -1),
        ("rounds.0.number", -1),
        ("cooling.curve", []),
        ("energy.0.windows.0.duration_s", 0),
        ("energy.0.windows.0.inferences", 0),
        ("energy.0.windows.0.energy_j", "<nan>"),
        ("energy.0.instrument.accuracy.gain", -1),
        ("facts_before.battery_fraction", 1.5),
        ("facts_before.cores", 0),
        ("fed.0.shape.0", -1),
        ("plan.duty_hz", 0),
        ("plan.rounds_min", -1),
        ("outcome.status", "failed"),
        ("target.name", "../elsewhere"),
        ("target.threads", 0),
        ("id", "../../x"),
        ("edgebench", "x" * 1_000_000),
    ],
)
def test_what_cannot_be_true_is_refused(path: str, value: Any, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(changed(path, value))
    with pytest.raises(BadFile, match="it is not a record"):
        record_files.load(file)


def test_what_is_no_plain_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    for name in ("pipe", "folder", "zero", "gone"):
        with pytest.raises(BadFile):
            record_files.load(tmp_path / f"{name}.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as stream:
        stream.truncate(record_files.KIND.most_bytes + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    with pytest.raises(BadFile, match="too large for a record"):
        record_files.load(path)


# ------------------------------------------------------------------ one bad record among good ones

BAD = {
    "cut.json": json.dumps(TREES["whole"])[:1000].encode(),
    "newer.json": json.dumps({**TREES["whole"], "schema_version": 99}).encode(),
    "foreign.json": b'{"hello": 1}',
    "old.json": b'{"schema_version": 1, "plan": {}, "energy": [7]}',
    "negative.json": changed("artifact.content.size_bytes", -1),
    "lying.json": changed("artifact.parity.accuracy", 1.7),
    "deep.json": b"[" * 100_000,
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two good records of a target, and seven that are none."""
    folder = tmp_path / "results"
    save_all(folder, [make_record("net-onnx-fp32"), make_record("net-onnx-int8", p50_ns=30_000.0)])
    for name, content in BAD.items():
        (folder / "board" / name).write_bytes(content)
    return folder


def test_bad_records_are_left_out_with_the_reason(results: Path) -> None:
    selected = selection.select(results, [])
    assert [one.artifact.name for one in selected.records] == ["net-onnx-fp32", "net-onnx-int8"]
    assert sorted(Path(error.where).name for error in selected.skipped) == sorted(BAD)
    reasons = {Path(error.where).name: f"{error.seen}. {error.remedy}" for error in selected.skipped}
    assert f"reads only up to {record.SCHEMA_VERSION}. Upgrade edgebench" in reasons["newer.json"]
    assert "no schema_version" in reasons["foreign.json"]
    assert "`$.artifact.content.size_bytes`" in reasons["negative.json"]
    assert "nested too deeply" in reasons["deep.json"] or "truncated" in reasons["deep.json"]


@pytest.mark.parametrize("named", [[], ["board"], ["results"], ["results/board"]])
def test_compare_goes_on_and_ends_with_1(results: Path, named: list[str]) -> None:
    if named == ["results/board"]:
        named = [f"results/board/{path.name}" for path in sorted((results / "board").iterdir())]
    done = run_cli("compare", *named, "--html", "report.html", "--csv", "report.csv", cwd=results.parent)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "net-onnx-int8" in done.stdout and "0.60x" in done.stdout
    assert done.stderr.count("skipped:") == len(BAD)
    assert "7 records could not be read and were left out (see above)" in " ".join(done.stderr.split())
    assert (results.parent / "report.html").exists() and (results.parent / "report.csv").exists()


def test_compare_of_nothing_but_bad_records_ends_with_1(results: Path) -> None:
    done = run_cli("compare", "results/board/cut.json", "--strict", cwd=results.parent)
    assert done.returncode == 1 and "cut.json" in done.stderr and not done.stdout


def test_a_baseline_that_was_left_out_is_told_after_the_reason(results: Path) -> None:
    done = run_cli("compare", "--baseline", "other-onnx-fp32", cwd=results.parent)
    assert done.returncode == 1 and done.stderr.index("skipped:") < done.stderr.index("error:")


def test_many_bad_records_do_not_bury_the_reasons(results: Path) -> None:
    for number in range(40):
        shutil.copy(results / "board" / "cut.json", results / "board" / f"cut-{number}.json")
    done = run_cli("compare", cwd=results.parent)
    assert done.stderr.count("skipped:") == 21 and "more files, for similar reasons" in done.stderr


def test_audit_goes_on_and_ends_with_1(results: Path) -> None:
    done = run_cli("audit", "results", cwd=results.parent)
    assert done.returncode == 1 and "detectors ran" in done.stdout and "Traceback" not in done.stderr
    assert "cut.json" in "".join(done.stderr.split())


def test_a_study_names_a_record_that_is_none(tmp_path: Path) -> None:
    from edgebench.studies.study import collect, deployment
    from edgebench.studies.study.store import StudyStore

    store = StudyStore(tmp_path)
    save_all(tmp_path / deployment.RECORDS, [make_record()])
    (tmp_path / deployment.RECORDS / "board" / "cut.json").write_bytes(BAD["cut.json"])
    assert [Path(error.where).name for error in collect.unreadable(store)] == ["cut.json"]


def test_answers_of_another_length_are_not_matched(tmp_path: Path) -> None:
    """One file, the same inputs, and a record in which somebody cut the answers."""
    one, other = make_record(), make_record(target="elsewhere", job="job-2", outputs=[[1.0], [2.0]])
    assert one.golden and other.golden and one.golden.count == other.golden.count
    assert compare.compare([one, other]).outputs == ()


def test_windows_without_energy_have_no_relative_interval() -> None:
    from tests.support.records import make_reading

    reading = make_reading(active_w=(0.5, -0.5, 0.0), idle_w=0.0)
    shown = compare.compare([make_record(energy=(reading,)), make_record(energy=(reading,), job="job-2")])
    assert len(shown.rows) == 2


def test_a_record_of_an_older_schema_loads(tmp_path: Path) -> None:
    for name in ("schema 1", "schema 2", "schema 3"):
        path = tmp_path / "record.json"
        path.write_text(json.dumps(TREES[name]))
        one = record_files.load(path)
        assert one.schema_version == record.SCHEMA_VERSION and msgspec.json.encode(one)
