"""A meter on this machine that sees the windows of real agents, here and over SSH."""

from __future__ import annotations

import contextlib
import itertools
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
import pytest

from edgebench import compare, deploy
from edgebench.analysis import verdict
from edgebench.energy import host_meter
from edgebench.energy.host_meter import HostMeter
from edgebench.energy.meters import _recorder, _serial, csv_serial
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.support.fake_meters import SerialMeter
from tests.support.scenes import DRIFT


class Wave:
    """A microcontroller that prints the power of a supply that swings slowly, every 40 ms."""

    def __init__(self, meter: SerialMeter) -> None:
        self._meter = meter
        self._quiet = threading.Event()

    def __enter__(self) -> Wave:
        self.speak()
        return self

    def speak(self) -> None:
        self._quiet.clear()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

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
    (one,) = deploy.deploy(target, deploy.artifacts_at([models / "relu.onnx"]), plan, tmp_path / "results")
    return one


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
    for module in (host_meter, _serial, csv_serial):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setenv("PATH", f"{Path(__file__).parents[1] / 'stubs'}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB_HOME", str(tmp_path))
    target = Target(
        name="here", transport=transport, host="board.local", python=sys.executable, meter=f"csv-serial:{wave[0]}"
    )
    one = measure(target, models, energy_plan, tmp_path)
    reading = attached(one)
    assert (reading.provenance, reading.scope, reading.reason) == ("measured", "board_input", "")
    assert len(reading.windows) >= 3 and len(reading.windows) + len(reading.refused) < 12  # the meter had enough
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


@pytest.mark.parametrize("comes_back", [False, True], ids=["for-good", "for-a-while"])
def test_a_meter_that_falls_silent_does_not_stop_the_job(
    comes_back: bool,
    models: Path,
    energy_plan: Plan,
    tmp_path: Path,
    wave: tuple[str, Wave],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is opened again as soon as it answers; the windows that it missed are lost, and said."""
    port, talking = wave
    monkeypatch.setattr(csv_serial, "SILENCE_S", 1.5)
    monkeypatch.setattr(_recorder, "AGAIN_S", 0.1)
    talk = HostMeter.talk
    fell_silent = []

    def talk_and_pull(self: HostMeter, agent: Any) -> None:
        if not fell_silent:
            talking.fall_silent()
            recorder = self._recorder
            assert recorder is not None
            while not recorder.silences:
                time.sleep(0.01)
            fell_silent.append(recorder)
            if comes_back:
                talking.speak()
        talk(self, agent)

    monkeypatch.setattr(HostMeter, "talk", talk_and_pull)
    plan = msgspec.structs.replace(energy_plan, energy_windows=1, energy_windows_max=8, energy_precision=0.001)
    target = Target(name="here", transport="local", meter=f"csv-serial:{port}")
    one = measure(target, models, plan, tmp_path)
    reading = attached(one)
    assert one.outcome.status in ("complete", "budget") and one.rounds
    said = "no valid data for 5 s"
    if comes_back:
        assert reading.reason.startswith(f"{said}; it was reopened")
        assert max(window.round for window in reading.windows) > 1
        assert any("the meter was lost meanwhile" in reason.seen for reason in verdict.judge(one).reasons)
    else:
        assert reading.reason.startswith(f"{said}. Check the cable")
        assert 7 not in {window.round for window in reading.windows}
    assert reading.refused and all(refused.reason for refused in reading.refused)


def test_a_meter_that_another_program_reads_is_a_reason_in_the_record(
    models: Path, energy_plan: Plan, tmp_path: Path, wave: tuple[str, Wave]
) -> None:
    with contextlib.closing(csv_serial.open_meter(wave[0])):
        target = Target(name="here", transport="local", meter=f"csv-serial:{wave[0]}")
        reading = attached(measure(target, models, energy_plan, tmp_path))
    assert reading.provenance == "unavailable" and reading.reason.endswith("Stop the other program that is reading it")
