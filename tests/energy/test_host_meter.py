"""A meter on this machine that sees the windows of an agent elsewhere, with made-up clocks."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebench.energy import per_inference
from edgebench.energy.meters import _calibration, _recorder
from edgebench.energy.meters._recorder import Recorder
from edgebench.energy.meters._sensor import Sensor
from edgebench.schema.energy_reading import Accuracy
from tests.support.scenes import ACTIVE_W, DRIFT, IDLE_W, OFFSET_S, FakeMeter, Host, Scene, seen
from tests.support.scenes import scene as scene


def test_windows_of_another_clock_have_the_energy_that_was_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    reading = seen(tmp_path, monkeypatch, scene)
    assert (reading.meter, reading.provenance, reading.scope) == ("um25c", "measured", "board_input")
    assert [window.round for window in reading.windows] == [0, 1, 2, 3, 4] and len(reading.idle) == 6
    for window in reading.windows:
        assert window.energy_j == pytest.approx(10 * ACTIVE_W, rel=1e-3)
        assert abs(window.energy_j - 10 * ACTIVE_W) <= 2 * window.u_j
    assert all(window.mean_w == pytest.approx(IDLE_W, rel=1e-3) for window in reading.idle)
    found = per_inference.per_inference(reading)
    assert found and found.net_j and found.net_j.value == pytest.approx(0.030, rel=3e-3)
    aligned = reading.alignment
    assert aligned and aligned.method == "rtt" and aligned.drift == pytest.approx(DRIFT, rel=0.1)
    assert aligned.offset_s == pytest.approx(OFFSET_S + 100 * DRIFT, abs=1e-3)
    assert 0 < aligned.u_s < 1e-3 and aligned.delay_s == pytest.approx(2e-3, rel=1e-3)
    instrument = reading.instrument
    assert instrument and (instrument.device_id, instrument.port) == ("FAKE", "/dev/fake")
    assert (reading.duplicates, reading.dropped) == (3, 1)


@given(seed=st.integers(0, 10_000), period_s=st.sampled_from([0.02, 0.1, 0.25, 0.5]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_error_of_a_window_is_within_a_percent_and_within_what_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, period_s: float
) -> None:
    scene = Scene(rounds=2, period_s=period_s)
    times_s, watts = scene.trace(seed)
    meter = FakeMeter(times_s, watts, Sensor("average", period_s))
    reading = Host(tmp_path / f"{seed}-{period_s}-{time.monotonic_ns()}", monkeypatch, meter).run(
        scene, count=len(times_s)
    )
    for window in reading.windows:
        assert abs(window.energy_j - 10 * ACTIVE_W) <= min(0.01 * 10 * ACTIVE_W, 2 * window.u_j + 1e-6)


def test_a_meter_pulled_out_keeps_the_windows_before_and_says_why_there_are_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    """In the middle of the fourth window."""
    times_s, _ = scene.trace()
    count = int(np.searchsorted(times_s, scene.starts_s[3][1] + 5))
    reading = seen(tmp_path, monkeypatch, scene, slice(count), failure="the connection broke")
    assert reading.provenance == "measured" and reading.reason == "the connection broke. Plug it in"
    assert [window.round for window in reading.windows] == [0, 1, 2]
    assert [(one.round, one.code) for one in reading.refused] == [(3, "outside"), (4, "outside")]
    assert all(window.energy_j == pytest.approx(60, rel=1e-3) for window in reading.windows)


def test_a_hole_in_a_window_refuses_it_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    times_s, _ = scene.trace()
    start_s = scene.starts_s[1][1] + 3
    reading = seen(tmp_path, monkeypatch, scene, (times_s < start_s) | (times_s > start_s + 0.5))
    assert [window.round for window in reading.windows] == [0, 2, 3, 4]
    (refused,) = reading.refused
    assert (refused.round, refused.code) == (1, "gaps") and "silent for" in refused.reason


def test_a_meter_that_was_never_there_during_windows_has_no_energy_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    reading = seen(tmp_path, monkeypatch, scene, slice(20), failure="the board restarted")
    assert (reading.provenance, reading.reason) == ("unavailable", "the board restarted. Plug it in")
    assert len(reading.refused) == 5


def test_a_link_that_broke_at_the_end_leaves_one_alignment_and_a_larger_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    times_s, watts = scene.trace()
    host = Host(tmp_path, monkeypatch, FakeMeter(times_s, watts, Sensor("average", 0.1)))
    start = host.meter.start

    def start_and_lose(job: Any, agent: Any) -> None:
        start(job, agent)
        host.agent.lost = True

    host.meter.start = start_and_lose  # type: ignore[method-assign]
    reading = host.run(scene, count=len(times_s))
    assert reading.alignment and reading.alignment.drift is None
    true_error_s = DRIFT * (scene.starts_s[-1][1] - 99)
    assert true_error_s <= reading.alignment.u_s * math.sqrt(3) + 1e-4
    for window in reading.windows:
        assert abs(window.energy_j - 60) <= 2 * window.u_j + 1e-6


@pytest.mark.parametrize("cut_s", [None, 120.0], ids=["all-seen", "pulled-out"])
def test_the_agent_is_told_when_the_joules_are_known_well_enough_or_never_will_be(
    cut_s: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    times_s, watts = scene.trace()
    count = len(times_s) if cut_s is None else int(np.searchsorted(times_s, cut_s))
    failure = "" if cut_s is None else "pulled out"
    host = Host(tmp_path, monkeypatch, FakeMeter(times_s[:count], watts[:count], Sensor("average", 0.1), failure))
    heard = []
    with host.meter as meter:
        meter.start(host.job, host.agent)  # type: ignore[arg-type]
        for line in scene.lines()[:-1]:
            entry = host.job.append(line)
            host.agent.here_s = 100.0 + 11 * len(host.job.lines)
            heard.append(meter.hears(entry))
            if heard[-1]:
                meter.talk(host.agent)  # type: ignore[arg-type]
    assert heard == [False] * 9 + [True]  # the last line of the fifth round
    assert host.agent.said == ["id"]


def test_a_calibration_mends_the_power_and_is_the_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    _calibration.save(
        "um25c:/dev/fake", _calibration.Calibration("2026-11-20", 2.0, 0.5, 0.01), tmp_path / "meters.yaml"
    )
    reading = seen(tmp_path, monkeypatch, scene)
    assert reading.windows[0].mean_w == pytest.approx(2 * ACTIVE_W + 0.5, rel=1e-3)
    assert reading.instrument and reading.instrument.accuracy == Accuracy(0.01, 0.0, "user_calibration:2026-11-20")


def test_what_a_killed_host_had_seen_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    """Its values and its exchanges are in the job's folder; half a value that its end left is cut off."""
    times_s, watts = scene.trace()
    cut = int(np.searchsorted(times_s, 144.5))  # in an idle window
    first = Host(tmp_path, monkeypatch, FakeMeter(times_s[:cut], watts[:cut], Sensor("average", 0.1)))
    first.run(scene, count=cut)
    (file,) = first.job.folder.glob("meter-*.f64")
    with file.open("ab") as stream:
        stream.write(b"\0" * 5)
    os.truncate(file, file.stat().st_size - 5 - 24)  # and the last value with it
    with file.open("ab") as stream:
        stream.write(b"\0" * 5)
    later = FakeMeter(times_s[cut + 3 :], watts[cut + 3 :], Sensor("average", 0.1))
    second = Host(tmp_path, monkeypatch, later)
    assert second.job.folder == first.job.folder
    reading = second.run(scene, count=len(times_s) - 4)
    assert [window.round for window in reading.windows] == [0, 1, 2, 3, 4]
    assert all(window.energy_j == pytest.approx(60, rel=1e-3) for window in reading.windows)


def test_values_of_before_the_machine_started_anew_are_on_another_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    for boot in ("aaaaaaaa\n", "bbbbbbbb\n", "aaaaaaaa\n"):
        (tmp_path / "boot").write_text(boot)
        monkeypatch.setattr(_recorder, "_BOOT", tmp_path / "boot")
        meter = FakeMeter([1.0], [5.0], Sensor("point", 0.1))
        recorder = Recorder(meter, lambda meter=meter: meter, lambda unit: None, tmp_path)
        assert recorder.wait_for_a_value() == ""
        kept.append(len(recorder.trace().times_s))
        recorder.close()
    assert kept == [1, 1, 2]
