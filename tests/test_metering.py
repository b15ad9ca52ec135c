"""A meter on this machine that sees the windows of an agent elsewhere: with made-up clocks, and through real agents."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebench import compare, deploy, energy, journal, metering, plan, record
from edgebench.agent import Clock
from edgebench.errors import LinkLost, UnknownName, UserError
from edgebench.ledger import Ledger, OpenJob, Request
from edgebench.metering import Metering
from edgebench.meters import Sample, Tally, _calibration, _recorder, _serial, csv_serial, um25c
from edgebench.meters._integration import Sensor
from edgebench.meters._recorder import Recorder
from edgebench.plan import Plan
from edgebench.progress import Silent
from edgebench.reading import Accuracy, EnergyReading
from edgebench.record import Record
from edgebench.targets import Target
from tests.fake_meters import SerialMeter
from tests.records import make_artifact

BOARD = Target(name="board", transport="ssh", host="board", meter="um25c:/dev/fake")
PLAN = plan.with_energy(plan.named("quick"))
IDLE_W, ACTIVE_W = 3.0, 6.0
OFFSET_S, DRIFT = 777.05, 100e-6  # the device's clock is so far ahead, and so much faster


def device_ns(here_s: float) -> int:
    return round((here_s * (1 + DRIFT) + OFFSET_S) * 1e9)


class FakeMeter:
    """Says a trace that is known beforehand, then nothing; or fails."""

    device_id, firmware, note = "FAKE", "1.0", ""

    def __init__(self, times_s: Any, watts: Any, sensor: Sensor, failure: str = "") -> None:
        self.sensor, self.tally, self.flags = sensor, Tally(duplicates=3, dropped=1), ()
        self._trace = list(zip(times_s, watts, strict=True))
        self._failure = failure

    def samples(self) -> Iterator[Sample]:
        for at_s, watts in self._trace:
            yield Sample(float(at_s), float(watts))
        if self._failure:
            raise UserError("meter", self._failure, "Plug it in")

    def close(self) -> None:
        pass


class FakeAgent:
    """A device whose clock is off; each way of a message takes a millisecond."""

    def __init__(self, here_s: float = 0.0) -> None:
        self.here_s = here_s
        self.said: list[str] = []
        self.lost = False

    def clock(self) -> Clock:
        if self.lost:
            raise LinkLost("board", "the link broke", "Again")
        self.here_s += 1e-3
        answer = Clock(device_ns(self.here_s), device_ns(self.here_s))
        self.here_s += 1e-3
        return answer

    def enough(self, job: str) -> None:
        self.said.append(job)


@dataclasses.dataclass
class Scene:
    """Rounds of one artifact on the meter's clock: ten seconds idle, ten inferring, a second between."""

    rounds: int = 5
    period_s: float = 0.1

    @property
    def starts_s(self) -> list[tuple[float, float]]:
        return [(100.0 + 22 * number, 111.0 + 22 * number) for number in range(self.rounds)]

    def lines(self) -> list[bytes]:
        entries: list[dict[str, Any]] = []
        for number, (idle_s, active_s) in enumerate(self.starts_s):
            entries.append(self._line("idle", number, idle_s))
            entries.append({**self._line("energy", number, active_s), "artifact": 0, "inferences": 1000})
            entries[-1]["throttled"] = None
        entries.append(self._line("idle", self.rounds, 100.0 + 22 * self.rounds))
        return [json.dumps({"n": n, "t_ns": n, **entry}).encode() for n, entry in enumerate(entries)]

    def _line(self, event: str, number: int, start_s: float) -> dict[str, Any]:
        duration_s = (device_ns(start_s + 10) - device_ns(start_s)) / 1e9
        when = {"start_ns": device_ns(start_s), "duration_s": duration_s}
        return {"event": event, "round": number, "joules": {}, "u_j": {}, **when}

    def trace(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Averages over `period_s` of idle power with the artifact's on top."""
        fine_s = np.arange(95.0, 100.0 + 22 * self.rounds + 15, 1e-3)
        watts = np.full(len(fine_s), IDLE_W)
        for _, start_s in self.starts_s:
            watts[(fine_s >= start_s) & (fine_s < start_s + 10)] = ACTIVE_W
        step = round(self.period_s / 1e-3)
        phase = int(np.random.default_rng(seed).integers(0, step))
        whole = (len(watts) - phase) // step
        means = watts[phase : phase + whole * step].reshape(whole, step).mean(axis=1)
        return fine_s[phase] + self.period_s * np.arange(1, whole + 1), means


class Host:
    """A Metering over a fake meter, as deploy uses it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, meter: Any, target: Target = BOARD) -> None:
        self.agent = FakeAgent(here_s=99.0)
        monkeypatch.setattr(metering, "time", SimpleNamespace(monotonic_ns=lambda: round(self.agent.here_s * 1e9)))
        monkeypatch.setattr(um25c, "open_meter", lambda port, volts: meter)
        self.said: list[str] = []
        progress = Silent()
        progress.say = self.said.append  # type: ignore[method-assign]
        self.job = open_job(folder)
        self.metering = Metering(target, PLAN, folder / "meters.yaml", progress)

    def run(self, scene: Scene, *, count: int | None = None) -> EnergyReading:
        with self.metering as meter:
            meter.start(self.job, self.agent)  # type: ignore[arg-type]
            recorder = meter._recorder
            if recorder and count:
                while len(recorder.samples()[0]) < count and not recorder.problem:
                    time.sleep(0.005)
            self.agent.here_s = 100.0 + 22 * scene.rounds + 12
            meter.align(self.agent)  # type: ignore[arg-type]
            entries = [journal.decode(line, "here", artifacts=1) for line in scene.lines()]
            return meter.reading(0, entries)


def open_job(folder: Path) -> OpenJob:
    book = Ledger(folder, "board")
    known = book.open_job("key")
    request = Request("id", "key", "now", BOARD, PLAN, (make_artifact("net-onnx-fp32"),), ({},))
    return known or book.add(request)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene, keep: Any = None, **changes: Any
) -> EnergyReading:
    """What a 10 Hz averaging meter sees of a scene. keep: of its values, by number or mask."""
    times_s, watts = scene.trace()
    if keep is not None:
        times_s, watts = times_s[keep], watts[keep]
    meter = FakeMeter(times_s, watts, Sensor("average", scene.period_s), **changes)
    return Host(tmp_path, monkeypatch, meter).run(scene, count=len(times_s))


# ------------------------------------------------------------------ made-up clocks


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
    found = energy.per_inference(reading)
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
    assert reading.provenance == "measured" and reading.reason == "the connection broke"
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
    reading = seen(tmp_path, monkeypatch, scene, slice(20), failure="the board started anew")
    assert (reading.provenance, reading.reason) == ("unavailable", "the board started anew")
    assert len(reading.refused) == 5


def test_a_link_that_broke_at_the_end_leaves_one_alignment_and_a_larger_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    times_s, watts = scene.trace()
    host = Host(tmp_path, monkeypatch, FakeMeter(times_s, watts, Sensor("average", 0.1)))
    start = host.metering.start

    def start_and_lose(job: Any, agent: Any) -> None:
        start(job, agent)
        host.agent.lost = True

    host.metering.start = start_and_lose  # type: ignore[method-assign]
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
    with host.metering as meter:
        meter.start(host.job, host.agent)  # type: ignore[arg-type]
        for line in scene.lines()[:-1]:
            host.job.append(line)
            host.agent.here_s = 100.0 + 11 * len(host.job.lines)
            heard.append(meter.hears(line))
            if heard[-1]:
                meter.talk(host.agent)  # type: ignore[arg-type]
    assert heard == [False] * 9 + [True]  # the last line of the fifth round
    assert host.agent.said == ["id"]


def test_a_meter_that_nobody_can_open_is_a_reason_and_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    def refuse(port: str, volts: float | None) -> None:
        raise UserError("meter um25c", "it cannot be opened (busy)", "End the other program that reads it")

    host = Host(tmp_path, monkeypatch, None)
    monkeypatch.setattr(um25c, "open_meter", refuse)
    reading = host.run(scene)
    assert reading.provenance == "unavailable" and host.metering.name == ""
    assert reading.reason == "it cannot be opened (busy). End the other program that reads it"
    assert host.said == [f"Measuring without the meter um25c: {reading.reason}"]


def test_a_meter_that_is_silent_from_the_start_is_no_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    monkeypatch.setattr(_recorder, "FIRST_VALUE_S", 0.05)
    host = Host(tmp_path, monkeypatch, FakeMeter([], [], Sensor("average", 0.1)))
    reading = host.run(scene)
    assert (reading.provenance, host.metering.name) == ("unavailable", "")
    assert reading.reason == "no value within 0.05 s"


def test_a_calibration_mends_the_power_and_is_the_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    _calibration.save("um25c", _calibration.Calibration("2026-11-20", 2.0, 0.5, 0.01), tmp_path / "meters.yaml")
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
    os.truncate(file, file.stat().st_size - 5 - 16)  # and the last value with it
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
        recorder = Recorder(FakeMeter([1.0], [5.0], Sensor("point", 0.1)), None, tmp_path)
        assert recorder.wait_for_a_value() == ""
        kept.append(len(recorder.samples()[0]))
        recorder.close()
    assert kept == [1, 1, 2]


def test_a_record_always_says_which_meter_could_have_been_used(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    plain = msgspec.structs.replace(BOARD, meter="")
    with Metering(plain, PLAN, tmp_path, Silent()) as meter:
        meter.start(open_job(tmp_path), FakeAgent())  # type: ignore[arg-type]
        reading = meter.reading(0, [])
    assert reading.meter == "attached" and "deploy --meter um25c:/dev/rfcomm0" in reading.reason
    with Metering(BOARD, plan.named("quick"), tmp_path, Silent()) as meter:
        meter.start(open_job(tmp_path), FakeAgent())  # type: ignore[arg-type]
        assert meter.reading(0, []).reason == "not asked for; deploy --energy"


def test_an_emulated_board_has_no_energy_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    emulated = msgspec.structs.replace(BOARD, emulated=True)
    host = Host(tmp_path, monkeypatch, FakeMeter(*scene.trace(), Sensor("average", scene.period_s)), emulated)
    reading = host.run(scene)
    assert reading.provenance == "unavailable" and "what it uses is its host's energy" in reading.reason
    assert host.said == [f"Measuring without the meter um25c: {reading.reason}"]


def test_a_slip_in_a_meters_name_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'um25c'"):
        Metering(msgspec.structs.replace(BOARD, meter="um25:/dev/rfcomm0"), PLAN, tmp_path, Silent())


# ------------------------------------------------------------------ through real agents


class Wave:
    """A microcontroller that prints the power of a supply that swings slowly, every 40 ms."""

    def __init__(self, meter: SerialMeter) -> None:
        self._meter = meter
        self._quiet = threading.Event()
        self._thread = threading.Thread(target=self._talk)

    def __enter__(self) -> Wave:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.fall_silent()

    def fall_silent(self) -> None:
        self._quiet.set()
        self._thread.join()

    def _talk(self) -> None:
        with contextlib.suppress(OSError):
            for number in itertools.count():
                if self._quiet.wait(0.04):
                    return
                if number % 10 == 0:
                    self._meter.say(b"\n#ebcsv 1 cols=V,W,mA kind=point fw=7\n")
                watts = power_w(time.monotonic())
                self._meter.say(f"5.0,{watts:.6f},{watts / 5 * 1000:.6f}\n".encode())


def power_w(at_s: float) -> float:
    return 5.0 + 2.0 * math.sin(at_s)


def joules(start_s: float, end_s: float) -> float:
    return 5.0 * (end_s - start_s) + 2.0 * (math.cos(start_s) - math.cos(end_s))


@pytest.fixture
def wave() -> Iterator[tuple[str, Wave]]:
    with SerialMeter() as simulated, Wave(simulated) as talking:
        yield simulated.port, talking


@pytest.fixture
def energy_plan(tiny_plan: Plan) -> Plan:
    """No precision: the supply swings by more. Windows that a busy machine left a hole in are made up for."""
    asked = {"energy_windows": 3, "energy_windows_max": 12, "energy_window_s": 0.7, "energy_precision": 9.0}
    return msgspec.structs.replace(tiny_plan, **asked)


def measure(target: Target, models: Path, plan: Plan, tmp_path: Path) -> Record:
    (path,) = deploy.deploy(target, deploy.sources([models / "relu.onnx"]), plan, tmp_path / "results")
    return record.load(path)


def attached(one: Record) -> EnergyReading:
    (reading,) = [reading for reading in one.energy if reading.meter == "csv-serial"]
    return reading


@pytest.mark.parametrize("transport", ["local", "ssh"])
def test_a_meter_here_measures_an_agent_there(
    transport: Any,
    models: Path,
    energy_plan: Plan,
    tmp_path: Path,
    wave: tuple[str, Wave],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This machine's clock is made to run 1000 s ahead of the agent's and 100 ppm faster."""

    def here_s() -> float:
        return time.monotonic() * (1 + DRIFT) + 1000

    clock = SimpleNamespace(monotonic=here_s, monotonic_ns=lambda: round(here_s() * 1e9), sleep=time.sleep)
    for module in (metering, _serial, csv_serial):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setenv("PATH", f"{Path(__file__).parent / 'stubs'}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB_HOME", str(tmp_path))
    target = Target(
        name="here", transport=transport, host="board.local", python=sys.executable, meter=f"csv-serial:{wave[0]}"
    )
    one = measure(target, models, energy_plan, tmp_path)
    reading = attached(one)
    assert (reading.provenance, reading.scope, reading.reason) == ("measured", "board_input", "")
    assert len(reading.windows) >= 3 and len(reading.windows) + len(reading.refused) < 12  # it was told: enough
    aligned = reading.alignment
    assert aligned and aligned.offset_s == pytest.approx(-1000 - DRIFT * time.monotonic(), abs=1.0)
    assert aligned.u_s < 0.25
    for window in (*reading.windows, *reading.idle):
        assert window.start_ns is not None
        start_s = window.start_ns / 1e9
        truth_j = joules(start_s, start_s + window.duration_s)
        # Its swing, over the time that a line may be late on a busy machine.
        assert window.energy_j == pytest.approx(truth_j, abs=0.1 * 5 * window.duration_s)
    assert reading.instrument and reading.instrument.firmware == "7"
    (row,) = compare.compare([one]).rows
    assert ("csv-serial", "board_input") in [(found.meter, found.scope) for found in row.energy]


def test_a_meter_that_falls_silent_does_not_stop_the_job(
    models: Path, energy_plan: Plan, tmp_path: Path, wave: tuple[str, Wave], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, talking = wave
    monkeypatch.setattr(csv_serial, "SILENCE_S", 1.5)
    talk = Metering.talk

    def talk_and_pull(self: Metering, agent: Any) -> None:
        talking.fall_silent()
        talk(self, agent)

    monkeypatch.setattr(Metering, "talk", talk_and_pull)
    plan = msgspec.structs.replace(energy_plan, energy_windows=1, energy_windows_max=4, energy_precision=0.001)
    target = Target(name="here", transport="local", meter=f"csv-serial:{port}")
    one = measure(target, models, plan, tmp_path)
    reading = attached(one)
    assert one.outcome.status in ("complete", "budget") and one.rounds
    assert reading.reason == "it said nothing that fits for 5 s"
    assert 3 not in {window.round for window in reading.windows}  # it had been pulled out for seconds


def test_a_meter_that_another_program_reads_is_a_reason_in_the_record(
    models: Path, energy_plan: Plan, tmp_path: Path, wave: tuple[str, Wave]
) -> None:
    with contextlib.closing(csv_serial.open_meter(wave[0])):
        target = Target(name="here", transport="local", meter=f"csv-serial:{wave[0]}")
        reading = attached(measure(target, models, energy_plan, tmp_path))
    assert reading.provenance == "unavailable" and reading.reason.endswith("End the other program that reads it")
