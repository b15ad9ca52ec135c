"""The energy pass: windows with made-up meters, and the real agent over made-up RAPL counters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from device_agents.python import device, energy, meters
from edgebench import compare, deploy, record, stats
from edgebench.plan import Plan
from edgebench.record import Record
from edgebench.targets import Target

PACKAGE_W, DRAM_W = 10.0, 3.0


class Notebook:
    """Takes journal lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})


# ------------------------------------------------------------------ windows, on a clock of our own


class Bench:
    """A clock, a meter and a worker: 2 W idle, 7 W while it infers, 1000 inferences a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.j = 0.0
        monkeypatch.setattr(device.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(device.time, "sleep", lambda seconds: self.pass_time(seconds, 2.0))

    def pass_time(self, seconds: float, watts: float) -> None:
        self.now_s += seconds
        self.j += seconds * watts

    def read(self) -> dict[str, float]:
        return {"board": self.j}

    def joules(self, before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
        return {scope: after[scope] - before[scope] for scope in after}

    def ask(self, what: str, timeout_s: float, seconds: float) -> dict[str, int]:
        assert what == "run_for" and timeout_s > seconds
        self.pass_time(seconds + 0.5, 7.0)  # it ends the inference that it is in
        return {"inferences": int(seconds * 1000), "duration_ns": int((seconds + 0.5) * 1e9)}


PLAN = {"energy_windows": 2, "energy_window_s": 10.0, "worker_timeout_s": 300.0}


def take_step(subject: Any, journal: Any, step: Callable[..., None], *arguments: Any) -> bool:
    """The job's _survives, for artifacts that do not break."""
    step(*arguments)
    return True


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def measure(monkeypatch: pytest.MonkeyPatch, meter: Any, subjects: list[Any], plan: dict[str, Any]) -> list[dict]:
    """measure_energy with one meter in its folder."""
    monkeypatch.setattr(energy.pkgutil, "iter_modules", lambda path: [SimpleNamespace(name="fake")])
    monkeypatch.setattr(energy.importlib, "import_module", lambda name: meter)
    notebook = Notebook()
    energy.measure_energy(subjects, plan, notebook, take_step)
    return notebook.lines


def module(open_meter: Callable[[], Any]) -> ModuleType:
    made = ModuleType("fake")
    made.PROVENANCE = "estimated"  # type: ignore[attr-defined]
    made.open_meter = open_meter  # type: ignore[attr-defined]
    return made


def test_a_window_is_idle_and_then_inferring(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = measure(monkeypatch, module(lambda: bench), [SimpleNamespace(index=3, worker=bench)], PLAN)
    assert lines[0] == {"event": "meter", "meter": "fake", "provenance": "estimated"}
    assert [line["window"] for line in lines[1:]] == [0, 1]
    for line in lines[1:]:
        assert line["artifact"] == 3 and line["meter"] == "fake" and line["inferences"] == 10_000
        assert (line["idle_s"], line["idle_j"]) == (10.0, {"board": pytest.approx(20)})
        assert (line["active_s"], line["active_j"]) == (10.5, {"board": pytest.approx(73.5)})


def test_windows_interleave_the_artifacts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = [SimpleNamespace(index=index, worker=bench) for index in (0, 1)]
    lines = measure(monkeypatch, module(lambda: bench), subjects, PLAN)
    assert [(line["window"], line["artifact"]) for line in lines[1:]] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_an_artifact_that_broke_has_no_windows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = [SimpleNamespace(index=0, worker=None), SimpleNamespace(index=1, worker=bench)]
    lines = measure(monkeypatch, module(lambda: bench), subjects, PLAN)
    assert {line["artifact"] for line in lines[1:]} == {1}


def test_energy_that_was_not_asked_for_is_unavailable_and_says_how_to_ask(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = {**PLAN, "energy_windows": 0}
    (line,) = measure(monkeypatch, module(lambda: bench), [SimpleNamespace(index=0, worker=bench)], plan)
    assert line["provenance"] == "unavailable" and "--energy" in line["reason"]
    assert bench.now_s == 0  # and takes no time


def test_a_meter_that_cannot_be_read_says_why_even_if_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise meters.Unavailable("the cable is not plugged in")

    for windows in (0, 2):
        (line,) = measure(monkeypatch, module(refuse), [], {**PLAN, "energy_windows": windows})
        assert (line["provenance"], line["reason"]) == ("unavailable", "the cable is not plugged in")


# ------------------------------------------------------------------ the real agent


class Counters:
    """RAPL counters of a made-up machine that draws a known power all the time."""

    def __init__(self, root: Path) -> None:
        zones = root / "sys/class/powercap"
        self._zones = {zones / "intel-rapl:0": PACKAGE_W, zones / "intel-rapl:0/intel-rapl:0:0": DRAM_W}
        self._zones[zones / "intel-rapl:1"] = 50.0
        for (path, _), name in zip(self._zones.items(), ("package-0", "dram", "psys"), strict=True):
            path.mkdir(parents=True)
            (path / "name").write_text(name + "\n")
            (path / "max_energy_range_uj").write_text("262143328850\n")
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._advance)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _advance(self) -> None:
        while not self._ended.wait(0.002):
            self._write()

    def _write(self) -> None:
        for path, watts in self._zones.items():
            partial = path / "energy_uj.part"
            partial.write_text(f"{int((time.monotonic() - self._started) * watts * 1e6)}\n")
            partial.replace(path / "energy_uj")  # the agent never sees half a number


@pytest.fixture
def sysroot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sysroot"
    folder.mkdir()
    monkeypatch.setenv("EDGEBENCH_SYSROOT", str(folder))
    return folder


@pytest.fixture
def counters(sysroot: Path) -> Iterator[Counters]:
    made = Counters(sysroot)
    yield made
    made.stop()


def deploy_relu(models: Path, plan: Plan, results: Path) -> Record:
    source = deploy.sources([models / "relu.onnx"])
    (path,) = deploy.deploy(Target(name="here", transport="local"), source, plan, results)
    return record.load(path)


@pytest.fixture
def energy_plan(tiny_plan: Plan) -> Plan:
    return msgspec.structs.replace(tiny_plan, energy_windows=2, energy_window_s=0.8)


def test_the_agent_measures_the_power_of_a_made_up_machine(
    models: Path, energy_plan: Plan, tmp_path: Path, counters: Counters
) -> None:
    """Wide tolerances: the counters advance in a thread of a busy machine."""
    one = deploy_relu(models, energy_plan, tmp_path / "results")
    (reading,) = [reading for reading in one.energy if reading.meter == "rapl"]
    assert reading.provenance == "measured" and reading.reason == ""
    assert len(reading.windows) == 2
    for window in reading.windows:
        assert window.idle_s >= 0.8 and window.active_s >= 0.8 and window.inferences > 0
        assert window.idle_j.keys() == window.active_j.keys() == {"cpu_package", "dram"}  # never psys
        for joules, seconds in ((window.idle_j, window.idle_s), (window.active_j, window.active_s)):
            assert joules["cpu_package"] / seconds == pytest.approx(PACKAGE_W, rel=0.3)
            assert joules["dram"] / seconds == pytest.approx(DRAM_W, rel=0.3)

    package, dram = stats.energy_per_inference(reading)
    mean_s = sum(w.active_s / w.inferences for w in reading.windows) / 2
    assert package.gross_j.value == pytest.approx(PACKAGE_W * mean_s, rel=0.3)
    assert dram.gross_j.value == pytest.approx(DRAM_W * mean_s, rel=0.3)
    assert abs(package.net_j.value) < 0.4 * package.gross_j.value  # it draws no more than when idle

    (row,) = compare.compare([one]).rows
    assert [(one_.meter, one_.scope) for one_ in row.energy] == [("rapl", "cpu_package"), ("rapl", "dram")]
    assert row.p50_ns is not None  # the latency pass is its own


def test_without_counters_the_record_says_why_there_is_no_energy(
    models: Path, energy_plan: Plan, tmp_path: Path, sysroot: Path
) -> None:
    one = deploy_relu(models, energy_plan, tmp_path / "results")
    (reading,) = [reading for reading in one.energy if reading.meter == "rapl"]
    assert reading.provenance == "unavailable" and reading.windows == ()
    assert "no RAPL counters" in reading.reason
    (row,) = compare.compare([one]).rows
    assert row.energy == () and "rapl: no RAPL counters" in row.no_energy
