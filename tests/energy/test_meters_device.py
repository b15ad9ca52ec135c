"""Meters that a device reads itself: none, power summed up, a model, and their readings in records."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from device_agents.python import energy, meters
from device_agents.python.meters import Unavailable, _sampler, codecarbon
from edgebench import compare
from edgebench.energy import carbon
from edgebench.errors import UnknownName
from edgebench.schema.facts import MeterFound
from tests.support.device_meters import Clock, joules_of, why_not
from tests.support.device_meters import clock as clock
from tests.support.device_meters import root as root
from tests.support.records import FACTS, make_record


def test_a_bare_machine_has_no_meter_and_a_reason_for_each() -> None:
    found = meters.probe(lambda name: name != "simulated")
    assert {"hwmon", "ina3221", "nvml", "rapl", "rpi_pmic"} <= found.keys()
    assert not any(one["available"] for one in found.values())
    assert all(len(one["note"]) > 10 for one in found.values())
    assert "simulated" not in found


# ------------------------------------------------------------------ power added up


@pytest.mark.parametrize(
    ("kind", "joules", "left_j"),
    [
        ("point", 2 * 3.0 + 1 * 5.0, math.sqrt(((2 * 2.0) ** 2 + (1 * 2.0) ** 2) / 2)),
        ("average", 2 * 4.0 + 1 * 6.0, math.sqrt(((2 * 2.0) ** 2 + (1 * 2.0) ** 2) * 7 / 300)),
    ],
)
def test_power_is_added_up_by_the_kind_of_meter(kind: str, joules: float, left_j: float, clock: Clock) -> None:
    watts = iter([2.0, 4.0, 6.0])
    sampler = _sampler.Sampler(lambda: {"board_input": next(watts)}, 3600, kind)
    before = sampler.read()
    for span_s in (2, 1):
        clock.now_s += span_s
        after = sampler.read()
    sampler.close()
    assert sampler.joules(before, after) == {"board_input": pytest.approx(joules)}
    assert sampler.u_joules(before, after) == {"board_input": pytest.approx(left_j)}
    assert sampler.instrument == {"sampling": kind, "period_s": 3600}


def test_a_sensor_that_fails_or_falls_silent_leaves_no_energy(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    answers = iter([{"s": 1.0}])

    def fail() -> dict[str, float]:
        try:
            return next(answers)
        except StopIteration:
            raise OSError("unplugged") from None

    broken = _sampler.Sampler(fail, 3600, "point")
    broken.read()
    with pytest.raises(Unavailable, match="stopped answering: unplugged"):
        broken.read()
    broken.close()

    silent = _sampler.Sampler(lambda: {"s": 1.0}, 0.1, "point")
    monkeypatch.setattr(silent, "_run", lambda: None)
    silent.read()
    clock.now_s += 5
    with pytest.raises(Unavailable, match=r"no value for 5\.0 s"):
        silent.read()
    silent.close()


def test_a_sensor_that_hangs_or_sits_the_wrong_way_round_leaves_no_energy(clock: Clock) -> None:
    """The same to the digit, idle and inferring alike; and watts that flow into the supply."""
    hangs = _sampler.Sampler(lambda: {"rail:5V": 3.2}, 3600, "average")
    rested = hangs.read()
    for _ in range(25):
        clock.now_s += 1
        after = hangs.read()
    hangs.close()
    with pytest.raises(Unavailable, match="its 25 values never changed, idle or inferring"):
        hangs.check_moving(rested, after)
    watts = iter([-3.2, -3.1, -3.2])
    reversed_ = _sampler.Sampler(lambda: {"rail:5V": next(watts)}, 3600, "average")
    before = reversed_.read()
    clock.now_s += 10
    after = reversed_.read()
    reversed_.check_moving(before, after)
    reversed_.close()
    with pytest.raises(Unavailable, match=r"current flows backwards \(rail:5V: -3.1 W\): swap the leads"):
        reversed_.joules(before, after)


def test_a_sensor_that_hangs_is_found_between_rest_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probed by the energy pass, after the device has worked."""

    class Hangs(Quits):
        def read(self) -> float:
            return 1.0

        def check_moving(self, rested: float, after: float) -> None:
            if rested == after:
                raise Unavailable("its values were frozen")

    lines = windows_of(Hangs(), monkeypatch)
    assert [line["event"] for line in lines[:3]] == ["meter", "idle", "meter"]
    assert lines[2]["reason"] == "its values were frozen"


# ------------------------------------------------------------------ a model


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("codecarbon")

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def test_a_model_is_used_only_when_asked_for_and_is_called_one(
    offline: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "only when asked for: deploy --carbon DEU" in why_not(codecarbon.open_meter)
    meter = meters.open_meter(codecarbon, country="DEU")
    joules = joules_of(meter, seconds=0.3)
    meter.close()
    assert joules.keys() == {"cpu_package", "ram"} == codecarbon.NOT_MEASURED.keys()
    assert all(0 < value < 0.3 * 500 for value in joules.values())
    assert {provenance for provenance, _ in codecarbon.NOT_MEASURED.values()} == {"modelled"}
    assert meter.note == "DEU: 380.95 g CO2e per kWh (2023)" and "codecarbon" in meter.instrument["version"]
    assert list(tmp_path.glob("*.csv")) == []


def test_a_country_that_codecarbon_does_not_know_is_no_world_mean(
    offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "does not know country XXX" in why_not(lambda: codecarbon.open_meter("XXX"))
    with pytest.raises(UnknownName, match="Did you mean 'DEU'"):
        carbon.grid("DEUT")
    assert carbon.grid("FRA").g_per_kwh == pytest.approx(56.039) and "FRA 2023" in carbon.grid("FRA").source


# ------------------------------------------------------------------ what a record says of them


class Quits:
    """A meter that works for one window."""

    instrument = {"sampling": "counter", "period_s": 0.1}

    def __init__(self) -> None:
        self.reads = 0
        self.closed = False

    def read(self) -> float:
        self.reads += 1
        if self.reads > 5:  # the first, and two for each window
            raise Unavailable("it stopped answering")
        return float(self.reads)

    def joules(self, before: float, after: float) -> dict[str, float]:
        return {"board_input": after - before}

    def u_joules(self, before: float, after: float) -> dict[str, float]:
        return {"board_input": 0.0}

    def close(self) -> None:
        self.closed = True


def windows_of(meter: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the energy pass journals of three rounds with one meter."""
    module = SimpleNamespace(open_meter=lambda: meter, NOT_MEASURED={})
    monkeypatch.setattr(energy.pkgutil, "iter_modules", lambda path: [SimpleNamespace(name="quits")])
    monkeypatch.setattr(energy.importlib, "import_module", lambda name: module)
    worker = SimpleNamespace(ask=lambda *_, **__: {"inferences": 10, "start_ns": 0, "duration_ns": 10**9})
    lines: list[dict[str, Any]] = []
    notebook = SimpleNamespace(write=lambda event, **fields: lines.append({"event": event, **fields}))
    plan = {"energy_windows": 3, "energy_windows_max": 3, "energy_window_s": 0.0, "worker_timeout_s": 1.0, "seed": 0}
    plan.update(energy_precision=0.02, sampling=False)

    def survives(subject: Any, journal: Any, step: Callable[..., None], *arguments: Any) -> bool:
        step(*arguments)
        return True

    energy.measure_energy([SimpleNamespace(index=0, worker=worker, running=worker)], plan, notebook, survives)
    return lines


def test_the_windows_before_a_meter_stopped_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    quits = Quits()
    lines = windows_of(quits, monkeypatch)
    assert [line["event"] for line in lines[:4]] == ["meter", "idle", "energy", "meter"]
    assert lines[3] == {"event": "meter", "meter": "quits", "reason": "it stopped answering"}
    assert [line["readings"]["quits"]["board_input"]["energy_j"] for line in lines[1:3]] == [1.0, 1.0]
    assert all(line["readings"] == {} for line in lines[4:])
    assert quits.closed


def test_a_record_whose_job_died_before_its_windows_still_says_why_there_is_no_energy() -> None:
    import msgspec

    known = msgspec.structs.replace(FACTS, meters={"rapl": MeterFound(False, "root only"), "nvml": MeterFound(True)})
    (row,) = compare.compare([make_record(facts=known)]).rows
    assert row.no_energy == ("rapl: root only",)
