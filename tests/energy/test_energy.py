"""The energy pass: windows with made-up meters, and the real agent over made-up RAPL counters."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from device_agents.python import device, energy, meters
from edgebench import compare, deploy
from edgebench.energy import per_inference as energy_
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

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

    instrument = {"sampling": "counter", "period_s": 0.1}

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.j = 0.0
        self.active_w = itertools.repeat(7.0)
        self.left_j = 0.0
        self.slept_s: list[float] = []
        monkeypatch.setattr(device.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(device.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.pass_time(seconds, 2.0)

    def pass_time(self, seconds: float, watts: float) -> None:
        self.now_s += seconds
        self.j += seconds * watts

    def read(self) -> dict[str, float]:
        return {"board_input": self.j}

    def joules(self, before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
        return {scope: after[scope] - before[scope] for scope in after}

    def u_joules(self, before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
        return dict.fromkeys(after, self.left_j)

    def ask(self, what: str, timeout_s: float, seconds: float) -> dict[str, int]:
        assert what == "run_for" and timeout_s > seconds
        start_ns = int(self.now_s * 1e9)
        self.pass_time(seconds + 0.5, next(self.active_w))  # it ends the inference that it is in
        return {
            "inferences": int((seconds + 0.5) * 1000),
            "start_ns": start_ns,
            "duration_ns": int((seconds + 0.5) * 1e9),
        }


PLAN = {
    "energy_windows": 2,
    "energy_windows_max": 4,
    "energy_precision": 0.02,
    "energy_window_s": 10.0,
    "worker_timeout_s": 300.0,
    "sampling": False,
    "seed": 0,
}


def take_step(subject: Any, journal: Any, step: Callable[..., None], *arguments: Any) -> bool:
    """The job's _survives, for artifacts that do not break."""
    step(*arguments)
    return True


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def measure(
    monkeypatch: pytest.MonkeyPatch,
    meter: Any,
    subjects: list[Any],
    plan: dict[str, Any],
    host: Any = energy.NO_HOST,
) -> list[dict[str, Any]]:
    """measure_energy with one meter in its folder."""
    monkeypatch.setattr(energy.pkgutil, "iter_modules", lambda path: [SimpleNamespace(name="fake")])
    monkeypatch.setattr(energy.importlib, "import_module", lambda name: meter)
    notebook = Notebook()
    energy.measure_energy(subjects, plan, notebook, take_step, host=host)
    return notebook.lines


def module(open_meter: Callable[[], Any]) -> ModuleType:
    made = ModuleType("fake")
    made.NOT_MEASURED = {"board_input": ["estimated", "a guess"]}  # type: ignore[attr-defined]
    made.open_meter = open_meter  # type: ignore[attr-defined]
    return made


def subjects_of(bench: Bench, count: int = 1) -> list[Any]:
    return [SimpleNamespace(index=index, worker=bench, running=bench) for index in range(count)]


def test_every_window_lies_between_two_idle_ones(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = measure(monkeypatch, module(lambda: bench), subjects_of(bench), PLAN)
    assert lines[0] == {
        "event": "meter",
        "meter": "fake",
        "scopes": {"board_input": ["estimated", "a guess"]},
        "instrument": Bench.instrument,
        "note": "",
    }
    windows = lines[1:]
    assert [(line["event"], line["window"]["round"]) for line in windows] == [
        ("idle", 0), ("energy", 0), ("idle", 1), ("energy", 1), ("idle", 2),
    ]  # fmt: skip
    for line in windows:
        least_s, watts = (10.0, 2.0) if line["event"] == "idle" else (10.5, 7.0)
        duration_s, seen = line["window"]["duration_s"], line["readings"]["fake"]["board_input"]
        assert least_s <= duration_s <= least_s + 1
        assert seen["energy_j"] == pytest.approx(watts * duration_s) and seen["u_j"] == pytest.approx(0.0, abs=1e-6)
    spans = [line["window"] for line in windows]
    for earlier, later in itertools.pairwise(spans):
        assert later["start_ns"] >= earlier["start_ns"] + int(earlier["duration_s"] * 1e9) - 1000
    assert len({span["duration_s"] for span in spans}) == len(spans)  # no two are as long
    active = [line for line in windows if line["event"] == "energy"]
    assert all(line["window"]["inferences"] >= 10_000 and line["artifact"] == 0 for line in active)


def test_windows_interleave_the_artifacts_in_an_order_drawn_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = {**PLAN, "energy_windows": 8, "energy_windows_max": 8}
    lines = measure(monkeypatch, module(lambda: bench), subjects_of(bench, 3), plan)
    rounds: dict[int, list[int]] = {}
    for line in lines:
        if line["event"] == "energy":
            rounds.setdefault(line["window"]["round"], []).append(line["artifact"])
    assert all(sorted(order) == [0, 1, 2] for order in rounds.values()) and len(rounds) == 8
    assert len(set(map(tuple, rounds.values()))) > 1
    phases = [seconds for seconds in bench.slept_s if seconds < PLAN["energy_window_s"]]
    assert len(set(phases)) == len(phases) == 9 + 24 and all(1.5 <= phase < 3.0 for phase in phases)


@pytest.mark.parametrize(
    ("watts", "left_j", "rounds"),
    [([7.0] * 9, 0.0, 2), ([7.0, 7.5, 7.2, 7.3], 0.0, 4), ([7.0, 7.01, 7.0, 7.0], 0.0, 2), ([7.0] * 9, 5.0, 4)],
    ids=["agree", "apart", "agree-early", "agree-by-chance"],
)
def test_windows_are_repeated_until_they_agree(
    watts: list[float], left_j: float, rounds: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.active_w, bench.left_j = iter(watts), left_j
    lines = measure(monkeypatch, module(lambda: bench), subjects_of(bench), PLAN)
    assert sum(line["event"] == "energy" for line in lines) == rounds
    assert lines[-1]["event"] == "idle" and lines[-1]["window"]["round"] == rounds


def test_an_artifact_that_broke_has_no_windows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = [SimpleNamespace(index=0, worker=None), SimpleNamespace(index=1, worker=bench, running=bench)]
    lines = measure(monkeypatch, module(lambda: bench), subjects, PLAN)
    assert {line["artifact"] for line in lines if line["event"] == "energy"} == {1}


def test_energy_that_was_not_asked_for_is_unavailable_and_says_how_to_ask(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = measure(monkeypatch, module(lambda: bench), subjects_of(bench), {**PLAN, "energy_windows": 0})
    assert line["event"] == "meter" and "--energy" in line["reason"] and "scopes" not in line
    assert bench.now_s == 0  # and takes no time


def test_a_meter_that_cannot_be_read_says_why_even_if_not_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise meters.Unavailable("the cable is not plugged in")

    for windows in (0, 2):
        plan = {**PLAN, "energy_windows": windows}
        (line,) = measure(monkeypatch, module(refuse), subjects_of(bench), plan)
        assert line["reason"] == "the cable is not plugged in"
    assert bench.now_s == 0


def test_what_the_board_reported_inside_a_window_is_in_its_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under-voltage for a moment of the first inferring window; throttled from the second idle window on. It warms up,
    and its clock is looked at while it infers.
    """

    class Board(device.LocalMachine):
        looks = iter([(None, 40.0), (0b0001, 50.0), (0b0100, 45.0), (None, 52.5), (None, None)])
        clock_hz = None

        def watch(self) -> Any:
            return contextlib.nullcontext(self)

        def begin(self) -> None:
            self.clock_hz = 1_500_000_000

        def take(self) -> dict[str, float | None]:
            bits, temperature_c = next(self.looks)
            return {"throttled": bits, "temperature_c": temperature_c, "clock_hz": self.clock_hz}

        def throttled(self) -> int:
            return 0

    monkeypatch.setattr(energy.pkgutil, "iter_modules", lambda path: [SimpleNamespace(name="fake")])
    monkeypatch.setattr(energy.importlib, "import_module", lambda name: module(lambda: bench))
    notebook = Notebook()
    energy.measure_energy(subjects_of(bench), {**PLAN, "sampling": True}, notebook, take_step, Board())
    bits = [line["throttled"] for line in notebook.lines[1:]]
    assert bits == [0, 0b0001, 0b0100, 0, 0]
    assert [line["window"]["temperature_c"] for line in notebook.lines[1:]] == [40.0, 50.0, 45.0, 52.5, None]
    clocks = [line["window"].get("clock_hz", "not said") for line in notebook.lines[1:]]
    assert clocks == ["not said", 1_500_000_000, "not said", 1_500_000_000, "not said"]


def test_a_meter_of_the_host_has_its_windows_until_it_has_seen_enough(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device itself has no meter that could say when."""

    def refuse() -> None:
        raise meters.Unavailable("none here")

    host = SimpleNamespace(watches=True, asked=0)

    def has_enough() -> bool:
        host.asked += 1
        return host.asked == 2

    host.has_enough = has_enough
    lines = measure(monkeypatch, module(refuse), subjects_of(bench), PLAN, host)
    assert [line["event"] for line in lines] == ["meter", "idle", "energy", "idle", "energy", "idle", "energy", "idle"]
    assert lines[2]["readings"] == {} and lines[2]["window"]["start_ns"] > 0


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
    source = deploy.artifacts_at([models / "relu.onnx"])
    (one,) = deploy.deploy(Target(name="here", transport="local"), source, plan, results)
    return one


@pytest.fixture
def energy_plan(tiny_plan: Plan) -> Plan:
    """Windows this short do not agree on a busy machine, so no precision is requested."""
    return msgspec.structs.replace(tiny_plan, energy_windows=3, energy_window_s=0.4, energy_precision=9.0)


def test_the_agent_measures_the_power_of_a_made_up_machine(
    models: Path, energy_plan: Plan, tmp_path: Path, counters: Counters
) -> None:
    """Wide tolerances: the counters advance in a thread of a busy machine; what is late falls into the next window."""
    one = deploy_relu(models, energy_plan, tmp_path / "results")
    readings = {reading.scope: reading for reading in one.energy if reading.meter == "rapl"}
    assert readings.keys() == {"cpu_package", "dram"}  # never psys
    for scope, watts in (("cpu_package", PACKAGE_W), ("dram", DRAM_W)):
        reading = readings[scope]
        assert (reading.provenance, reading.reason) == ("measured", "")
        assert (len(reading.windows), len(reading.idle)) == (3, 4)
        assert all(window.duration_s >= 0.4 for window in (*reading.windows, *reading.idle))
        assert all(window.inferences > 0 for window in reading.windows)
        windows = (*reading.idle, *reading.windows)
        assert all(window.u_j > 0 for window in windows)
        mean_w = sum(window.energy_j for window in windows) / sum(window.duration_s for window in windows)
        assert mean_w == pytest.approx(watts, rel=0.3)
        found = energy_.per_inference(reading)
        assert found and found.net_j and found.u_systematic_j is None
        mean_s = sum(w.duration_s / w.inferences for w in reading.windows) / 3
        assert found.gross_j.value == pytest.approx(watts * mean_s, rel=0.5)
        assert abs(found.net_j.value) < 0.8 * found.gross_j.value  # it draws no more than when idle

    (row,) = compare.compare([one]).rows
    assert [(one_.meter, one_.scope) for one_ in row.energy] == [("rapl", "cpu_package"), ("rapl", "dram")]
    assert row.p50_ns is not None  # the latency pass is its own
    assert any("a window of 0.4 s" in reason.seen for reason in row.verdict.reasons)


def test_without_counters_the_record_says_of_every_source_why_there_is_no_energy(
    models: Path, energy_plan: Plan, tmp_path: Path, sysroot: Path
) -> None:
    one = deploy_relu(models, energy_plan, tmp_path / "results")
    said = {reading.meter: reading for reading in one.energy}
    assert said.keys() >= {"rapl", "hwmon", "ina3221", "nvml", "rpi_pmic"}
    assert all(reading.provenance == "unavailable" and reading.windows == () for reading in said.values())
    assert "no RAPL counters" in said["rapl"].reason
    (row,) = compare.compare([one]).rows
    assert row.energy == () and any(why.startswith("rapl: no RAPL counters") for why in row.no_energy)
