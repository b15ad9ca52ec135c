"""Meters that fail, by a prescribed power and prescribed faults: nothing wrong without a word.

The rows of FAULTS run the real drivers, integration and readings on a clock of their own; below, the same players on a
pty for the command line and for `deploy`.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import meters as jobs
from device_agents.python.runtimes import onnxruntime
from edgebench.analysis import verdict
from edgebench.energy.meters import MeterLost, _calibration
from edgebench.schema.energy_reading import EnergyReading
from tests.conftest import run_cli
from tests.support.played_meters import Constant, Faults, OnPty, Player, kinds, record
from tests.support.records import make_record

FOREVER_S = 1e9
# In the first round of jobs.make_job, which begins at 1000 s.
MIDWAY_S = 1040.0


def errors_in_u(job: jobs.Job, reading: EnergyReading) -> list[float]:
    """Of each window, in what it states as standard uncertainty."""
    spans = {number: (start_s, end_s) for event, number, start_s, end_s, _ in job.spans if event == "energy"}
    found = []
    for window in reading.windows:
        true_j = float(np.diff(job.load.joules(np.array(spans[window.round])))[0])
        found.append(abs(window.energy_j - true_j) / math.hypot(window.u_j, window.u_common_j))
    return found


def doubts(reading: EnergyReading) -> str:
    return "\n".join(
        f"{reason.seen} | {reason.remedy}" for reason in verdict.judge(make_record(energy=(reading,))).reasons
    )


# kind, faults, what all windows from the fault on are refused for, what is said of it with the cure
REFUSED = [
    ("um25c", Faults(frozen_s=(0.0, FOREVER_S)), "frozen", "Unplug the meter"),
    ("um34c", Faults(frozen_s=(MIDWAY_S, FOREVER_S)), "frozen", "Unplug the meter"),
    ("tc66c", Faults(frozen_s=(MIDWAY_S, FOREVER_S)), "frozen", "Unplug the meter"),
    ("csv-serial", Faults(frozen_s=(MIDWAY_S, FOREVER_S)), "frozen", "Unplug the meter"),
    ("csv-average", Faults(frozen_s=(MIDWAY_S, FOREVER_S)), "frozen", "Unplug the meter"),
    ("fnb58", Faults(frozen_s=(MIDWAY_S, FOREVER_S)), "frozen", "Unplug the meter"),
    ("csv-serial", Faults(reversed=True), "backwards", "swap the leads of the meter"),
    ("csv-average", Faults(reversed=True), "backwards", "swap the leads of the meter"),
]


@pytest.mark.parametrize(("kind", "faults", "code", "said"), REFUSED)
def test_windows_of_a_meter_that_does_not_measure_are_refused_with_the_cure(
    kind: str, faults: Faults, code: str, said: str
) -> None:
    job, reading = jobs.by_host(kind, 0, faults)
    since_s = max(faults.frozen_s[0], 0.0) if math.isfinite(faults.frozen_s[0]) else 0.0
    failed = {number for event, number, _, end_s, _ in job.spans if event == "energy" and end_s > since_s + 15}
    assert {one.round for one in reading.refused} >= failed and len(failed) >= 3
    assert {one.code for one in reading.refused} <= {code, "counter"}
    assert said in reading.refused[-1].reason or "Unplug the meter" in reading.refused[-1].reason
    assert max(errors_in_u(job, reading), default=0) < 4  # of those before it


SEEN = [
    # kind, faults, what is said of the windows that are kept
    ("um25c", Faults(late_s=3.0), "s late and were shifted accordingly"),
    ("csv-average", Faults(late_s=2.0), "s late and were shifted accordingly"),
    ("tc66c", Faults(late_s=2.0), "s late and were shifted accordingly"),
    ("um25c", Faults(garbled=0.05), "of the meter's values were garbled and left out"),
    ("um34c", Faults(garbled=0.01), "of the meter's values were garbled and left out"),
    ("csv-average", Faults(garbled=0.005), "of the meter's values were garbled and left out"),
    ("tc66c", Faults(garbled=0.0005), "of the meter's values were garbled and left out"),
    ("fnb58", Faults(garbled=0.0005), "of the meter's values were garbled and left out"),
    ("csv-serial", Faults(silent_s=(MIDWAY_S, MIDWAY_S + 3)), "the meter was silent for"),
]


@pytest.mark.parametrize(("kind", "faults", "said"), SEEN)
def test_windows_of_a_bad_line_are_right_within_what_they_state_and_the_line_is_said(
    kind: str, faults: Faults, said: str
) -> None:
    jobs_seen = [jobs.by_host(kind, seed, faults) for seed in range(3)]
    errors = [error for job, reading in jobs_seen for error in errors_in_u(job, reading)]
    assert len(errors) >= 3
    # With half of its answers lost a meter states too little (docs/truth.md).
    assert np.mean(np.array(errors) > 2) <= 0.45 and max(errors) < 5
    assert any(said in doubts(reading) for _, reading in jobs_seen if reading.windows)


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_knows_the_joules_that_were_prescribed(kind: str) -> None:
    """All of `python -m benchmarks.meters` for a few windows."""
    found = jobs.judge(kind, 15, jobs.by_host)
    # Points that meet a load at rest only, for seconds, look as if they stood still.
    assert len(found.window_errors) + found.refused == 15 and found.refused <= 1
    assert np.mean(found.windows_held) >= 0.7 and list(found.missed()) == []


@pytest.mark.parametrize("kind", jobs.DEVICE)
def test_every_meter_of_a_device_knows_the_joules_that_were_prescribed(kind: str) -> None:
    found = jobs.judge(kind, 15, jobs.by_device)
    assert len(found.window_errors) == 15
    assert np.mean(found.windows_held) >= 0.7 and list(found.missed()) == []


def test_a_load_in_step_with_a_point_meter_is_said() -> None:
    """A burst of 60 ms every 100 ms, met at the same moment by ten values a second."""
    from edgebench.energy.meters._integration import WindowContext, integrate
    from edgebench.energy.meters._sensor import Sensor

    times_s = np.arange(0.0, 40.0, 0.1)
    met_w = np.where((times_s > 10) & (times_s <= 30), 6.0, 3.0)  # the truth is 4.8 W
    sensor = Sensor("point", 0.1)
    told = integrate(times_s, met_w, 10.0, 30.0, sensor, WindowContext(beside_w=3.0, room_s=1.0, repeat_s=0.1))
    assert "aliasing" in told.flags and 2 * told.u_window_j > (6.0 - 4.8) * 20
    apart = integrate(times_s, met_w, 10.0, 30.0, sensor, WindowContext(beside_w=3.0, room_s=1.0, repeat_s=0.0837))
    assert "aliasing" not in apart.flags


def test_words_that_a_ppk2_lost_do_not_shift_the_rest() -> None:
    trace, meter = record("ppk2", Constant(1.5), 1000.0, 1003.0, Faults(lost=0.1))
    assert trace.watts == pytest.approx(1.5, abs=1e-3) and meter.tally.dropped > 0
    with pytest.raises(MeterLost, match="no valid data"):
        record("ppk2", Constant(1.5), 1000.0, 1012.0, Faults(garbled=0.05))


def test_a_meter_of_another_model_is_told_from_a_garbled_answer() -> None:
    from edgebench.errors import UserError

    with pytest.raises(UserError, match="it identifies itself as a UM24C") as caught:
        record("um25c", Constant(), 1000.0, 1010.0, Faults(model=0x0963))
    assert caught.value.remedy == "Name it um24c"
    trace, _ = record("um25c", Constant(), 1000.0, 1060.0, Faults(garbled=0.05))
    assert trace.watts == pytest.approx(3.0, rel=0.03)


# ------------------------------------------------------------------ on a pty


def test_watching_a_meter_that_hangs_says_so(tmp_path: Path) -> None:
    """25 W for seconds, and a counter of 1 mWh that does not move."""
    with OnPty(Player("um25c", Constant(25.0), Faults(frozen_s=(0.0, FOREVER_S)))) as played:
        watched = run_cli("meters", "watch", f"um25c:{played.port}", "--seconds", "3", cwd=tmp_path)
    assert watched.returncode == 1, watched.stdout
    assert "its values were frozen at 25 W" in watched.stderr and "Unplug the meter" in watched.stderr
    assert "J ±" not in watched.stdout


def test_watching_reversed_leads_says_so(tmp_path: Path) -> None:
    with OnPty(Player("csv-serial", Constant(4.0), Faults(reversed=True))) as played:
        watched = run_cli("meters", "watch", f"csv-serial:{played.port}", "--seconds", "3", cwd=tmp_path)
    assert watched.returncode == 1, watched.stdout
    assert "current flows backwards: swap the leads" in watched.stdout
    assert "swap the leads" in " ".join(watched.stderr.split()) and "J ±" not in watched.stdout


# ------------------------------------------------------------------ calibrations of units, options without effect


def test_an_old_calibration_says_what_to_do(tmp_path: Path) -> None:
    """It was for a model, without a unit."""
    (tmp_path / "meters.yaml").write_text("um25c: {date: '2026-11-20', gain: 1.1, offset_w: 0.0, error: 0.01}\n")
    with OnPty(Player("um25c", Constant())) as played:
        watched = run_cli("meters", "watch", f"um25c:{played.port}", "--seconds", "1", cwd=tmp_path)
    assert watched.returncode == 1
    assert "'um25c' does not say which unit was calibrated" in watched.stderr
    assert "Rename that entry to um25c:PORT" in watched.stderr
    unsaid = run_cli("meters", "calibrate", "um25c", "--point", "1.1:1.0", "--point", "5.3:5.0", cwd=tmp_path)
    assert unsaid.returncode == 1 and "um25c:PORT" in unsaid.stderr and "um25c:SERIAL" in unsaid.stderr


def test_a_calibration_is_of_one_unit(tmp_path: Path) -> None:
    """By its serial number, wherever it is plugged in, and else by its port."""
    made = _calibration.Calibration("2026-11-20", 1.1, 0.0, 0.01)
    other = _calibration.Calibration("2026-11-21", 1.2, 0.0, 0.01)
    known = {"tc66c:2026": made, "tc66c:/dev/ttyACM0": other}
    _, meter = record("tc66c", Constant(), 1000.0, 1001.0)
    assert meter.serial == "2026"
    assert _calibration.of_unit(known, "tc66c", "/dev/ttyACM0", meter) == made
    meter.serial = "7"  # type: ignore[misc]
    assert _calibration.of_unit(known, "tc66c", "/dev/ttyACM0", meter) == other
    assert _calibration.of_unit(known, "tc66c", "/dev/ttyACM1", meter) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--energy-window", "20"], "--energy-window has no effect without --energy, --meter or --carbon"),
        (["--task", "detection"], "--task has no effect without --accuracy: add it, or leave --task out"),
        (["--calibrations", "mine.yaml"], "--calibrations has no effect without --meter"),
        (["--meter", "um25c:/dev/rfcomm0", "--volts", "5"], "it measures the voltage itself, so 5 V has no effect"),
    ],
)
def test_an_option_without_effect_is_refused(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("here: {transport: local}\n")
    (tmp_path / "x.onnx").write_bytes(base64.b64decode(onnxruntime.TINY_MODEL))
    done = run_cli("deploy", "--target", "here", "x.onnx", *options, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert said in " ".join((done.stdout + done.stderr).split())
