"""Why a record has no energy from a meter on this machine, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edgebench.energy.host_meter import HostMeter
from edgebench.energy.meters import _recorder, um25c
from edgebench.energy.meters._sensor import Sensor
from edgebench.errors import UnknownName, UserError
from edgebench.progress import Silent
from edgebench.schema import plan
from tests.support.scenes import BOARD, PLAN, FakeAgent, FakeMeter, Host, Scene, open_job
from tests.support.scenes import scene as scene


def test_a_meter_that_nobody_can_open_is_a_reason_and_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    def refuse(port: str, volts: float | None) -> None:
        raise UserError("meter um25c", "it cannot be opened (busy)", "Stop the other program that is reading it")

    host = Host(tmp_path, monkeypatch, None)
    monkeypatch.setattr(um25c, "open_meter", refuse)
    reading = host.run(scene)
    assert reading.provenance == "unavailable" and host.meter.name == ""
    assert reading.reason == "it cannot be opened (busy). Stop the other program that is reading it"
    assert host.said == [f"Measuring without the meter um25c: {reading.reason}"]


def test_a_meter_that_is_silent_from_the_start_is_no_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    monkeypatch.setattr(_recorder, "FIRST_VALUE_S", 0.05)
    host = Host(tmp_path, monkeypatch, FakeMeter([], [], Sensor("average", 0.1)))
    reading = host.run(scene)
    assert (reading.provenance, host.meter.name) == ("unavailable", "")
    assert reading.reason == "no value within 0.05 s"


def test_a_record_always_says_which_meter_could_have_been_used(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    plain = msgspec.structs.replace(BOARD, meter="")
    with HostMeter(plain, PLAN, tmp_path / "meters.yaml", Silent()) as meter:
        meter.start(open_job(tmp_path), FakeAgent())  # type: ignore[arg-type]
        reading = meter.reading(0, [])
    assert reading.meter == "attached" and "deploy --meter um25c:/dev/rfcomm0" in reading.reason
    with HostMeter(BOARD, plan.named("quick"), tmp_path / "meters.yaml", Silent()) as meter:
        meter.start(open_job(tmp_path), FakeAgent())  # type: ignore[arg-type]
        assert meter.reading(0, []).reason == "not requested; use deploy --energy"


def test_an_emulated_board_has_no_energy_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    emulated = msgspec.structs.replace(BOARD, emulated=True)
    host = Host(tmp_path, monkeypatch, FakeMeter(*scene.trace(), Sensor("average", scene.period_s)), emulated)
    reading = host.run(scene)
    assert reading.provenance == "unavailable" and "it uses the energy of its host" in reading.reason
    assert host.said == [f"Measuring without the meter um25c: {reading.reason}"]


def test_a_slip_in_a_meters_name_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'um25c'"):
        HostMeter(msgspec.structs.replace(BOARD, meter="um25:/dev/rfcomm0"), PLAN, tmp_path / "meters.yaml", Silent())
