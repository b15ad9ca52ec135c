"""`edgebench explain` as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from edgebench import cli, explain
from edgebench.errors import UserError
from edgebench.schema.record import Record
from tests.support import planted_causes as planted
from tests.support.records import make_reading, make_record, save_all

Typed = Callable[..., Result]
SLOW = [(kind, us * 4) for kind, us in planted.INT8]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """With records of a float file and a slow INT8 one."""
    save_all(tmp_path / "results", planted.pair(SLOW))

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli.app, ["explain", "--results", str(tmp_path / "results"), *words])

    return run


def test_the_answer_is_short_and_the_evidence_behind_v_and_in_json(typed: Typed, tmp_path: Path) -> None:
    brief, full = typed(), typed("-v", "--json", str(tmp_path / "found.json"))
    assert brief.exit_code == full.exit_code == 0
    assert "INT8 is slower" in brief.output and "Next:" in brief.output and "/qlinearconv" not in brief.output
    assert "/qlinearconv" in full.output and "no energy was measured" in full.output
    found = json.loads((tmp_path / "found.json").read_bytes())
    assert len(found["answer"]) <= 5 and found["explanations"][0]["causes"][0]["name"] == "slow integer kernels"


def test_what_has_to_be_given_together_is_said(typed: Typed) -> None:
    assert "--per-second" in typed("--battery-wh", "37").output and typed("--battery-wh", "37").exit_code == 2
    assert "--against ROW" in typed("--measure").output and typed("--measure").exit_code == 2
    assert "does not exist" in typed("--files", "nowhere").output and typed("--files", "nowhere").exit_code == 2


def test_hours_and_deadlines_come_first_where_they_are_asked_for(typed: Typed, tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record("fed-onnx-fp32", p50_ns=1e6, energy=(make_reading(),))])
    words = " ".join(typed("--battery-wh", "37", "--per-second", "2", "--deadline-ms", "0.9").output.split())
    assert "fed-onnx-fp32: 320 of 320 inferences took longer than 900 µs" in words
    assert "h (" in words and "on 37 Wh at 2 inferences a second" in words


def test_a_row_is_held_against_a_record(typed: Typed, tmp_path: Path) -> None:
    found = typed("--against", "runtime=ncnn threads=4 precision=fp32 ms=0.05", "--json", str(tmp_path / "row.json"))
    words = " ".join(found.output.split())
    assert found.exit_code == 0 and "threads 1, there 4" in words and "--measure" in words
    assert json.loads((tmp_path / "row.json").read_bytes())["row"]["threads"] == 4


def test_without_its_file_a_record_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgebench.analysis import published
    from edgebench.progress import Silent
    from edgebench.schema import targets

    record = make_record("net-onnx-fp32")
    target = targets.load("desktop-cpu", targets.find_file(None))
    here = explain.MeasureHere(target, (tmp_path,), tmp_path / "results")
    with pytest.raises(UserError, match="its file is not in .* --files"):
        explain.against(record, published.parse("threads=2 ms=1"), here, Silent())

    measured: list[object] = []

    def deploy(
        target: object, wanted: object, plan: object, results: Path, options: object, progress: object
    ) -> list[Record]:
        measured.extend([target, results, options])
        faster = make_record("net-onnx-fp32", threads=2, p50_ns=25_000.0)
        return [record, faster]

    monkeypatch.setattr(explain, "deploy", deploy)
    monkeypatch.setattr(explain, "_files", lambda *_, **__: [])
    found = explain.against(record, published.parse("threads=2 ms=0.0125"), here, Silent())
    assert found.parts[0].name == "threads" and found.parts[0].share == pytest.approx(0.5, abs=0.01)
    assert measured[1] == tmp_path / "results" / "against"
