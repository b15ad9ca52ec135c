"""Meters of instants that the device reads itself, whose readings fall at the same point of each inference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import aliasing as scenes
from device_agents.python import aliasing
from edgebench.analysis import verdict
from edgebench.device import records_from_journal
from tests.energy.test_energy import PLAN, Bench, measure, module, subjects_of
from tests.support.records import make_record
from tests.support.scenes import open_job


@pytest.mark.parametrize("scene", scenes.SCENES[:3], ids=lambda scene: scene.name)
def test_readings_in_step_with_the_load_are_said_and_their_joules_are_known_that_badly(scene: scenes.Scene) -> None:
    seen = [scenes.window(scene, seed) for seed in range(30)]
    assert np.mean([one.is_in_step for one in seen]) >= 0.9
    assert np.mean([abs(one.error) <= one.stated for one in seen]) >= 0.8
    assert np.mean([abs(one.error) <= one.stated_without for one in seen]) <= 0.4


def test_readings_that_meet_all_of_the_load_are_not_suspected() -> None:
    assert not any(scenes.window(scenes.SCENES[3], seed).is_in_step for seed in range(30))
    assert np.mean([scenes.window(scenes.SCENES[4], seed).is_in_step for seed in range(30)]) <= 0.3


def test_few_readings_and_quick_loads_say_nothing_and_readings_as_at_rest_do() -> None:
    instants_s = [0.2 * number for number in range(50)]
    assert aliasing.u_joules(instants_s[:9], [5.0] * 9, 0.1, 3.0) == 0.0
    assert aliasing.u_joules(instants_s, [5.0] * 50, 0.2 / 25, 3.0) == 0.0
    assert aliasing.u_joules(instants_s, [0.0] * 50, 0.1, 0.0) == 0.0
    assert aliasing.u_joules(instants_s, [5.0] * 50, 0.1, 3.0) > 0.05 * 5 * 10
    assert aliasing.u_joules(instants_s, [5.0] * 50, 0.1, 5.0) > 0.05 * 5 * 10, "all of the work is between readings"


class InStep(Bench):
    """Two inferences between two readings, which show 7 W whenever it infers."""

    instrument = {"sampling": "point", "period_s": 0.002}

    def points(self, scope: str, start_s: float, end_s: float) -> tuple[list[float], list[float]]:
        instants_s = np.arange(start_s, end_s, 0.002).tolist()
        return instants_s, [7.0] * len(instants_s)


def _seen(line: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = line["readings"]["fake"]["board_input"]
    return seen


def test_the_agent_says_it_in_the_journal_and_the_verdict_doubts_the_joules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = InStep(monkeypatch)
    lines = measure(monkeypatch, module(lambda: bench), subjects_of(bench), PLAN)
    windows = [line for line in lines if line["event"] == "energy"]
    assert windows and all(_seen(line)["flags"] == ["aliasing"] for line in windows)
    assert all(_seen(line)["u_j"] > 1 for line in windows)
    job = open_job(tmp_path)
    for line in lines:
        job.append(json.dumps({"n": 0, "t_ns": 0, **line}).encode())
    (record,) = records_from_journal.to_records(job, agent_died=None, version="1")
    (reading,) = [one for one in record.energy if one.meter == "fake"]
    assert "aliasing" in reading.all_flags
    judged = verdict.judge(make_record(energy=(reading,)))
    assert any("in step with the load" in reason.seen for reason in judged.reasons) and judged.level == "suspect"
