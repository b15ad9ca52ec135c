"""NVIDIA's boards with a fake driver: their counters, how often they change, and power if there are none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from device_agents.python import edges
from device_agents.python.meters import Unavailable, nvml
from tests.support.device_meters import Clock, joules_of, why_not
from tests.support.device_meters import clock as clock
from tests.support.device_meters import root as root
from tests.support.fake_meters import FakeNvml, Refusal


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setattr(nvml.ctypes, "CDLL", lambda name: fake)
    return fake


def moving(clock: Clock, period_s: float, watts: float = 70.0) -> Callable[[], int]:
    """A counter in mJ that moves at whole multiples of a period."""
    return lambda: int(int(clock.now_s / period_s + 1e-9) * period_s * watts * 1000)


def test_a_gpu_counts_millijoules(driver: FakeNvml) -> None:
    meter = nvml.open_meter()
    before = meter.read()
    driver.energy_mj = 4500
    assert meter.joules(before, meter.read()) == {"gpu_board": 4.5}


def test_several_gpus_are_kept_apart(driver: FakeNvml) -> None:
    driver.boards = 2
    assert joules_of(nvml.open_meter()) == {"gpu_board:0": 0.0, "gpu_board:1": 0.0}


def test_a_counter_that_goes_back_or_stands_still_is_none(driver: FakeNvml) -> None:
    driver.energy_mj = 9000
    meter = nvml.open_meter()
    started_s, counts = meter.read()
    with pytest.raises(Unavailable, match="stood still for 10"):
        meter.joules((started_s, counts), (started_s + 10, counts))
    driver.energy_mj = 10
    with pytest.raises(Unavailable, match="went back"):
        meter.joules((started_s, counts), meter.read())


def test_a_counter_that_moves_in_steps_is_known_to_a_step(driver: FakeNvml, clock: Clock) -> None:
    """70 W, updated every 100 ms: read at any instants, the energy is within its stated uncertainty."""
    driver.energy_mj = moving(clock, 0.1)
    meter = nvml.open_meter()
    errors = []
    for number in range(200):
        seen = []
        for clock.now_s in (100 + 0.0137 * number, 105 + 0.0168 * number):
            seen.append(meter.read())
        span_s = seen[1][0] - seen[0][0]
        joules = meter.joules(*seen)["gpu_board"]
        left_j = edges.rest_u_j(meter, meter.u_joules(*seen)["gpu_board"], joules, span_s)
        errors.append(abs(meter.joules(*seen)["gpu_board"] - 70 * span_s) / left_j)
        assert left_j < 0.02 * 70 * span_s
    assert sum(error > 2 for error in errors) <= 0.05 * len(errors) + 10 and max(errors) < 3


@pytest.mark.parametrize("period_s", [0.02, 0.1, 0.25])
def test_how_often_a_counter_moves_is_measured(driver: FakeNvml, clock: Clock, period_s: float) -> None:
    driver.energy_mj = moving(clock, period_s)
    meter = nvml.open_meter()
    assert clock.now_s == 100, "a probe does not wait for it"
    before = meter.read()
    assert meter.instrument["period_s"] == pytest.approx(period_s, abs=0.003) and not meter.note
    assert clock.now_s < 102.01
    clock.sleep(10)
    assert meter.age_s == meter.instrument["period_s"]
    assert meter.joules(before, meter.read())["gpu_board"] == pytest.approx(700, rel=0.05)


def test_a_counter_is_as_slow_as_its_slowest_board(driver: FakeNvml, clock: Clock) -> None:
    boards = {"gpu_board:0": moving(clock, 0.02), "gpu_board:1": moving(clock, 0.1)}
    found_s = nvml.counter_period_s(lambda: {scope: counter() for scope, counter in boards.items()})
    assert found_s == pytest.approx(0.1, abs=0.003)


def test_a_counter_that_hardly_moves_is_as_coarse_as_that(driver: FakeNvml, clock: Clock) -> None:
    driver.energy_mj = moving(clock, 0.9)
    meter = nvml.open_meter()
    meter.read()
    assert meter.instrument["period_s"] == nvml.LOOKING_MAX_S


def test_a_counter_that_stands_still_while_the_gpu_idles_is_said(driver: FakeNvml, clock: Clock) -> None:
    meter = nvml.open_meter()
    before = meter.read()
    assert meter.instrument["period_s"] == nvml.COUNTER_PERIOD_S and "did not move while idle" in meter.note
    clock.sleep(0.5)
    driver.energy_mj = 35_000
    assert meter.joules(before, meter.read()) == {"gpu_board": 35.0}


def test_a_driver_that_fails_while_the_period_is_looked_for_is_said(driver: FakeNvml) -> None:
    meter = nvml.open_meter()
    driver.energy_mj = Refusal(15)
    with pytest.raises(Unavailable, match="failed with code 15"):
        meter.read()


def test_a_gpu_without_a_counter_has_its_power_added_up(driver: FakeNvml, clock: Clock) -> None:
    driver.energy_mj = Refusal(nvml.NOT_SUPPORTED)
    meter = nvml.open_meter()
    assert "no energy counter on this GPU" in meter.note
    before = meter.read()
    clock.sleep(0.5)
    assert meter.joules(before, meter.read())["gpu_board"] == pytest.approx(0.5 * 70)
    meter.close()


def test_a_gpu_that_tells_nothing_or_a_driver_that_fails_is_said(driver: FakeNvml) -> None:
    driver.energy_mj = driver.power_mw = Refusal(nvml.NOT_SUPPORTED)
    assert "neither energy nor power" in why_not(nvml.open_meter)
    driver.init = 9
    assert "does not answer: nvmlInit_v2 failed with code 9" in why_not(nvml.open_meter)
    driver.init, driver.boards = 0, 0
    assert "lists no GPU" in why_not(nvml.open_meter)
