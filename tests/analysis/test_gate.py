"""--fail-if: its grammar, and that it fails only where the interval excludes chance."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from edgebench import compare
from edgebench.analysis import gate
from edgebench.analysis.comparison import CheckResult, Comparison
from edgebench.analysis.report import junit, summary
from edgebench.errors import UserError
from edgebench.schema.record import Record
from tests.conftest import run_cli
from tests.support.records import make_artifact, make_golden, make_reading, make_record, make_rounds, save_all

NOISE = (1.2, 0.9, 1.1, 0.95, 1.05, 1.15, 0.9, 1.0)
BASE = make_record(make_artifact("net-onnx-fp32", accuracy=0.9), energy=(make_reading(),))


def other(p50_ns: float = 50_000.0, accuracy: float = 0.9, **changes: object) -> Record:
    return make_record(make_artifact("net-onnx-int8", accuracy=accuracy), p50_ns=p50_ns, **changes)


def judged(record: Record, *expressions: str) -> list[CheckResult]:
    checks = tuple(map(gate.parse, expressions))
    found = gate.judge(compare.compare([BASE, record]), checks)
    return [one for one in found if one.artifact == "net-onnx-int8"]


def state(record: Record, expression: str) -> str:
    return judged(record, expression)[0].state


# ------------------------------------------------------------------ grammar


@pytest.mark.parametrize(
    ("text", "metric", "kind", "above", "limit", "pattern"),
    [
        ("latency_p50 > 1.05", "latency_p50", "ratio", True, 1.05, "*"),
        ("latency_p50>+5%", "latency_p50", "ratio", True, 1.05, "*"),
        ("accuracy < -0.3pt", "accuracy", "points", False, -0.003, "*"),
        ("accuracy < 88%", "accuracy", "budget", False, 0.88, "*"),
        ("accuracy > 88%", "accuracy", "budget", False, 0.88, "*"),
        ("latency_p99 < 20ms", "latency_p99", "budget", True, 20e6, "*"),
        ("latency_p99 > 20 ms", "latency_p99", "budget", True, 20e6, "*"),
        ("energy <= 5mJ for *-int8", "energy", "budget", True, 5e-3, "*-int8"),
        ("size > 1.1 for net-*", "size", "ratio", True, 1.1, "net-*"),
        ("memory < 50MB", "memory", "budget", True, 5e7, "*"),
    ],
)
def test_what_an_expression_means(text: str, metric: str, kind: str, above: bool, limit: float, pattern: str) -> None:
    found = gate.parse(text)
    assert (found.metric, found.kind, found.fails_above, found.pattern) == (metric, kind, above, pattern)
    assert found.limit == pytest.approx(limit)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("latncy_p50 > 1.05", "latency_p50 > 1.05"),
        ("latency > 1.05", "latency_p50 > 1.05"),
        ("p99 < 20ms", "latency_p99 < 20ms"),
        ("latency_p50", "latency_p50 > 1.05"),
        ("latency_p50 = 1.05", "latency_p50 > 1.05"),
        ("latency_p50 < 0.9", "latency_p50 > 1.05"),
        ("latency_p50 > 20 lightyears", "latency_p50 > 1.05"),
        ("latency_p50 > -1.5", "latency_p50 > 1.5"),
        ("latency_p50 > 1,07", "latency_p50 > 1.07"),
        ("latency p99 ≤ 20 MS for net-*", "latency_p99 < 20ms for net-*"),
        ("latency_p50 < 20", "latency_p50 < 20ms"),
        ("latency_p50 < -5ms", "latency_p50 < 5ms"),
        ("size < 500kb", "size < 500kB"),
        ("memory < 5 MiB", "memory < 5MB"),
        ("accuracy > 90", "accuracy > 90%"),
        ("accuracy < 0.3", "accuracy < -0.3pt"),
        ("accuracy > 0.3pt", "accuracy < -0.3pt"),
        ("speed > 2", "latency_p50 > 1.05 (metrics: latency_p50"),
        ("", "latency_p50 > 1.05 (metrics: latency_p50"),
        ("latency_p50 > 1.05; rm -rf", "latency_p50 > 1.05"),
    ],
)
def test_a_wrong_expression_is_answered_with_the_nearest_right_form(text: str, right: str) -> None:
    with pytest.raises(UserError) as caught:
        gate.parse(text)
    assert caught.value.where == "--fail-if" and caught.value.remedy.startswith(f"For example: {right}")
    assert "\n" not in caught.value.seen


# ------------------------------------------------------------------ states


@pytest.mark.parametrize(
    ("record", "expression", "expected"),
    [
        (other(60_000.0), "latency_p50 > 1.05", "failed"),
        (other(51_000.0), "latency_p50 > 1.05", "passed"),
        (other(rounds=make_rounds([52_500 * one for one in NOISE])), "latency_p50 > 1.05", "not resolved"),
        (other(60_000.0), "latency_p99 > 1.05", "not resolved"),  # forty values a round have no p99 with an interval
        (other(60_000.0), "latency_p50 < 55us", "failed"),
        (other(50_000.0), "latency_p50 < 55us", "passed"),
        (other(rounds=make_rounds([52_500 * one for one in NOISE])), "latency_p50 < 53us", "not resolved"),
        (other(accuracy=0.7), "accuracy < -0.3pt", "failed"),
        (other(accuracy=0.899), "accuracy < -0.3pt", "not resolved"),
        (other(accuracy=0.7), "accuracy < 88%", "failed"),
        (other(accuracy=0.95), "accuracy < 88%", "passed"),
        (other(), "size > 1.1", "passed"),
        (other(), "size < 100kB", "failed"),
        (other(), "memory > 1.0", "passed"),
        (other(), "energy > 1.05", "not resolved"),
        (other(energy=(make_reading(active_w=(8.0, 8.1, 7.9)),)), "energy > 1.05", "failed"),
        (other(threads=4, job="job-2"), "latency_p50 > 1.05", "not resolved"),
    ],
)
def test_a_check_fails_only_if_the_interval_excludes_chance(record: Record, expression: str, expected: str) -> None:
    assert state(record, expression) == expected


def test_a_record_that_is_invalid_fails_every_check() -> None:
    wrong = other(golden=msgspec.structs.replace(make_golden([[1.0, 0.0]]), passed=False))
    (found,) = judged(wrong, "size < 1MB")
    assert found.state == "failed" and "wrong" in found.said


def test_a_pattern_that_names_no_file_is_an_error() -> None:
    with pytest.raises(UserError, match="names none of the files. There are: net-onnx-fp32, net-onnx-int8"):
        judged(other(), "size < 1MB for resnet*")


@pytest.mark.parametrize("expression", ["latency_p50 > 1.05", "accuracy < -0.3pt", "size > 1.1"])
def test_a_baseline_alone_does_not_pass(expression: str) -> None:
    (found,) = gate.judge(compare.compare([BASE]), (gate.parse(expression),))
    assert found.state == "not resolved" and "it is the baseline itself" in found.said


def test_chance_is_allowed_for_where_many_checks_are_made() -> None:
    barely = other(rounds=make_rounds([50_000 * one for one in (1.03, 1.006, 1.02, 1.01, 1.04, 1.008, 1.03, 1.02)]))
    assert state(barely, "latency_p50 > 1.0") == "failed"
    many = gate.judge(
        compare.compare([BASE, barely]), [gate.parse("latency_p50 > 1.0"), *[gate.parse("latency_p50 > 1.001")] * 40]
    )
    assert many[0].state == "not resolved" and "Holm" in many[0].said


# ------------------------------------------------------------------ reports and exit codes


def with_checks(*states: str) -> Comparison:
    checks = tuple(CheckResult("a<b & c", "board", "net|x", one, "said <x>") for one in states)  # type: ignore[arg-type]
    return dataclasses.replace(compare.compare([BASE]), checks=checks)


def test_junit_has_a_case_for_each_check() -> None:
    suite = ElementTree.fromstring(junit.render(with_checks("failed", "not resolved", "passed")).encode())
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [case[0].tag for case in suite] == ["failure", "skipped", "system-out"]
    assert suite[0].get("name") == "net|x: a<b & c"
    assert ElementTree.fromstring(junit.render(compare.compare([BASE])).encode()).get("tests") == "1"


def test_the_summary_says_what_failed_first() -> None:
    text = summary.render(with_checks("passed", "failed"))
    assert text.startswith("### edgebench: 1 failed, 0 not resolved, 1 passed")
    assert text.index("failed |") < text.index("passed |") and "net\\|x" in text


def test_a_failed_gate_ends_with_3_and_one_that_is_not_resolved_as_asked(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [BASE, other(60_000.0)])
    typed = ("compare", "--baseline", "net-onnx-fp32", "--fail-if")
    done = run_cli(*typed, "latency_p50 > 1.05", "--junit", "gate.xml", "--summary", "-", cwd=tmp_path)
    assert done.returncode == 3 and "failed: latency_p50 > 1.05" in done.stderr.replace("\n", " ")
    assert "### edgebench: 1 failed" in done.stdout and (tmp_path / "gate.xml").exists()
    assert run_cli(*typed, "latency_p50 > 1.3", cwd=tmp_path).returncode == 0
    assert run_cli(*typed, "energy > 1.05", cwd=tmp_path).returncode == 0
    assert run_cli(*typed, "energy > 1.05", "--unresolved", "fail", cwd=tmp_path).returncode == 3


def test_a_baseline_may_be_a_folder_of_earlier_results(tmp_path: Path) -> None:
    for side, hour, factor in (("main", 10, 1.0), ("results", 11, 1.2)):
        created = [f"202611{day}T{hour}0000Z" for day in range(10, 14)]
        save_all(
            tmp_path / side,
            [make_record("net-onnx-fp32", job=f"{side}{one}", created=one, p50_ns=5e4 * factor) for one in created],
        )
    asked = compare.Asked((), str(tmp_path / "main"))
    terms = compare.Terms(checks=(gate.parse("latency_p50 > 1.05"), gate.parse("latency_p50 < 1s")))
    made = compare.of_found(compare.find(tmp_path / "results", asked), asked, terms)
    assert [one.state for one in made.checks] == ["failed", "passed"]
    with pytest.raises(UserError, match="there is no 'mian'"):
        asked = compare.Asked((), "mian")
        compare.of_found(compare.find(tmp_path / "results", asked), asked, terms)
