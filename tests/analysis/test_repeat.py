"""repeat: when a figure counts as reproduced, and a record's file measured again for real."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from edgebench import deploy, repeat
from edgebench.analysis import repetition
from edgebench.errors import UserError
from edgebench.publish import publish
from edgebench.repeat import RepeatOptions, opened
from edgebench.schema import record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.conftest import run_cli
from tests.support.records import FACTS, failed, make_record, save_all

HERE = Target(name="here", transport="local")
THEN = make_record(job="then", created="20261101T100000Z")


def again(*p50s_ns: float, **changes: object) -> list[Record]:
    return [
        make_record(job=f"job-{number}", created=f"20261120T10{number:02}00Z", p50_ns=p50_ns, **changes)
        for number, p50_ns in enumerate(p50s_ns)
    ]


@pytest.mark.parametrize(
    ("p50s_ns", "expected"),
    [
        ((50_100.0, 50_300.0, 49_800.0), "reproduced"),
        ((52_000.0, 52_010.0, 51_990.0), "reproduced"),  # 4 % slower, and surely so, but within 10 %
        ((60_000.0, 60_300.0, 59_800.0), "not reproduced"),
        ((40_000.0, 40_300.0, 39_800.0), "not reproduced"),
        ((45_000.0, 50_300.0, 56_000.0), "not resolved"),
        ((50_000.0,), "not resolved"),  # one job does not say how far jobs are apart
    ],
)
def test_a_ratio_has_an_outcome(p50s_ns: tuple[float, ...], expected: str) -> None:
    found = repetition.judge(THEN, again(*p50s_ns))
    assert found.outcome == expected and next(found.lines()).endswith(f": {expected}")


def test_where_a_condition_differs_that_must_be_equal_the_record_is_not_blamed() -> None:
    other = msgspec.structs.replace(FACTS, cpu="Cortex-A76")
    found = repetition.judge(THEN, again(30_000.0, 30_100.0, 29_900.0, facts=other))
    assert found.outcome == "conditions differ"
    assert "  differs: processor: now Cortex-A76, then Cortex-A72 (must be equal)" in list(found.lines())


def test_a_difference_that_other_software_may_explain_is_not_held_against_the_record() -> None:
    other = msgspec.structs.replace(FACTS, kernel="7.1")
    assert repetition.judge(THEN, again(60_000.0, 60_100.0, 59_900.0, facts=other)).outcome == "conditions differ"
    assert repetition.judge(THEN, again(50_000.0, 50_100.0, 49_900.0, facts=other)).outcome == "reproduced"


def test_a_failed_record_has_nothing_to_repeat(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to repeat"):
        repeat.repeat(failed(), HERE, tmp_path)


@pytest.fixture
def measured(models: Path, tiny_plan: Plan, tmp_path: Path) -> Record:
    (found,) = deploy.deploy(HERE, deploy.artifacts_at([models / "relu.onnx"]), tiny_plan, tmp_path / "results")
    return found


def test_a_file_is_found_by_its_content_and_measured_again(measured: Record, models: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "deep"
    elsewhere.mkdir(parents=True)
    shutil.copy(models / "relu.onnx", elsewhere / "renamed.onnx")
    (elsewhere / "other.onnx").write_bytes(b"x" * (models / "relu.onnx").stat().st_size)
    options = RepeatOptions(jobs=2, places=(tmp_path / "elsewhere",))
    found = repeat.repeat(measured, HERE, tmp_path / "mine", options)
    assert [one.artifact.sha256 for one in found.repeats] == 2 * [measured.artifact.sha256]
    assert found.repeats[0].plan == measured.plan and found.repeats[0].artifact.name == measured.artifact.name
    assert found.ratio is not None and not [one for one in found.unlike if one.rule == "equal"]


def test_a_bundle_brings_its_golden_inputs(relu_bundle: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    records = deploy.deploy(HERE, deploy.artifacts_at([relu_bundle])[:1], tiny_plan, tmp_path / "results")
    found = repeat.repeat(records[0], HERE, tmp_path / "mine", RepeatOptions(jobs=1, places=(relu_bundle,)))
    assert found.repeats[0].golden is not None and found.repeats[0].golden.passed


def test_a_file_that_is_nowhere_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        repeat.repeat(THEN, HERE, tmp_path / "results", RepeatOptions(places=(tmp_path,)))
    assert str(tmp_path) in caught.value.seen and "--files" in caught.value.remedy
    with pytest.raises(UserError, match="no such file"):
        repeat.repeat(THEN, HERE, tmp_path / "results", RepeatOptions(places=(tmp_path / "typo",)))


def test_a_publication_without_files_is_no_place_to_look_in(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path / "results", [make_record("net-onnx-fp32")])
    publish([record_files.load(path)], tmp_path / "ours.zip")
    with opened([tmp_path / "ours.zip"]) as found:
        assert [place for _, place in found] == [None]


def test_a_record_that_is_none_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    ran = run_cli("repeat", "x.json", cwd=tmp_path)
    assert ran.returncode == 1 and "is not a record" in " ".join(ran.stderr.split()) and "Traceback" not in ran.stderr


def test_a_record_of_somebody_elses_board_asks_where_to_measure(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [make_record(target="rpi9")])
    ran = run_cli("repeat", path, cwd=tmp_path)
    said = " ".join(ran.stderr.split())
    assert ran.returncode == 1 and "is of target 'rpi9'" in said and "--target desktop-cpu or" in said
