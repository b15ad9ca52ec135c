"""The meters that a device reads itself, over made-up sysfs trees, a made-up vcgencmd and a made-up NVIDIA driver."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from device_agents.python import energy, facts, meters
from device_agents.python.meters import Unavailable, _sampler, codecarbon, hwmon, ina3221, nvml, rapl, rpi_pmic
from edgebench import carbon, compare
from edgebench.errors import UnknownName
from edgebench.facts import MeterFound
from tests.fake_meters import PI_5_ADC, FakeNvml, Refusal, plant, plant_vcgencmd
from tests.records import FACTS, make_record

ZONES = "sys/class/powercap"
RANGE_UJ = 262_143_328_850


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setattr(facts, "ROOT", folder)
    monkeypatch.setattr(rapl, "ROOT", folder)
    monkeypatch.setattr(nvml, "LIBRARY", "libnone.so")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return folder


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the meters take for the time; it passes where one of them sleeps."""
    made_up = Clock()
    for module in (nvml, _sampler):
        monkeypatch.setattr(module, "time", made_up)
    return made_up


def why_not(open_meter: Callable[[], Any]) -> str:
    with pytest.raises(Unavailable) as caught:
        open_meter()
    return str(caught.value)


def joules_of(meter: Any, *, seconds: float = 0.0) -> dict[str, float]:
    before = meter.read()
    time.sleep(seconds)
    return meter.joules(before, meter.read())


# ------------------------------------------------------------------ all of them


def test_a_bare_machine_has_no_meter_and_a_reason_for_each() -> None:
    found = meters.probe(lambda name: name != "simulated")
    assert {"hwmon", "ina3221", "nvml", "rapl", "rpi_pmic"} <= found.keys()
    assert not any(one["available"] for one in found.values())
    assert all(len(one["note"]) > 10 for one in found.values())
    assert "simulated" not in found


def test_a_probe_starts_nothing(root: Path) -> None:
    import threading

    plant(root, INA226)
    before = threading.active_count()
    assert meters.probe(lambda name: True)["hwmon"]["available"]
    assert threading.active_count() == before


# ------------------------------------------------------------------ RAPL


def zone(path: str, name: str, energy_uj: int, range_uj: int | None = RANGE_UJ) -> dict[str, str]:
    files = {f"{ZONES}/{path}/name": f"{name}\n", f"{ZONES}/{path}/energy_uj": f"{energy_uj}\n"}
    if range_uj is not None:
        files[f"{ZONES}/{path}/max_energy_range_uj"] = f"{range_uj}\n"
    return files


def rapl_joules(root: Path, after: dict[str, int]) -> dict[str, float]:
    meter = rapl.open_meter()
    first = meter.read()
    plant(root, {f"{ZONES}/{path}/energy_uj": str(value) for path, value in after.items()})
    return meter.joules(first, meter.read())


def test_rapl_mends_the_wrap_of_the_kernel_documentation(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 262_143_000_000))
    assert rapl_joules(root, {"intel-rapl:0": 1_000_000}) == {"cpu_package": pytest.approx(1.328850)}


def test_rapl_without_a_range_cannot_mend_a_wrap(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 2_000_000, range_uj=None))
    with pytest.raises(Unavailable, match="does not say where it starts again"):
        rapl_joules(root, {"intel-rapl:0": 1_000_000})


def test_rapl_refuses_a_window_with_room_for_two_wraps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))
    meter = rapl.open_meter()
    before_s, zones = meter.read()
    with pytest.raises(Unavailable, match="more than once in 3600 s"):
        meter.joules((before_s, zones), (before_s + 3600, zones))


def test_rapl_counts_one_counter_under_two_packages_once(root: Path) -> None:
    plant(
        root,
        {**zone("intel-rapl:0", "package-0-die-0", 7_000_000), **zone("intel-rapl:1", "package-0-die-1", 7_000_000)},
    )
    assert rapl_joules(root, {"intel-rapl:0": 9_000_000, "intel-rapl:1": 9_000_000}) == {"cpu_package": 2.0}


def test_rapl_takes_the_memory_mapped_window_where_it_is_the_only_one(root: Path) -> None:
    plant(root, zone("intel-rapl-mmio:0", "package-0", 1_000_000))
    assert rapl_joules(root, {"intel-rapl-mmio:0": 3_000_000}) == {"cpu_package": 2.0}


def test_rapl_of_an_amd_has_a_package_and_no_memory(root: Path) -> None:
    plant(root, {**zone("intel-rapl:0", "package-0", 0), **zone("intel-rapl:0/intel-rapl:0:0", "core", 0)})
    assert rapl_joules(root, {"intel-rapl:0": 5_000_000}) == {"cpu_package": 5.0}


def test_rapl_that_is_for_root_says_the_command_that_helps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))

    def refuse(zone: Path) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(rapl, "_counter", refuse)
    assert why_not(rapl.open_meter) == (
        "RAPL is readable by root only; sudo chmod a+r /sys/class/powercap/*/energy_uj "
        "/sys/class/powercap/*/*/energy_uj (until it restarts)"
    )


def test_rapl_knows_its_joules_to_a_step_and_a_period(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))
    meter = rapl.open_meter()
    (path,) = meter.read()[1]
    left = meter.u_joules((0.0, {path: 0}), (10.0, {path: 100_000_000}))
    assert left == {"cpu_package": pytest.approx(math.hypot(61e-6 / math.sqrt(6), 1e-3 * 10 / math.sqrt(6)))}


def test_rapl_in_a_container_says_so(root: Path) -> None:
    plant(root, {".dockerenv": ""})
    assert "containers hide them; run outside" in why_not(rapl.open_meter)


def test_rapl_that_shows_the_platform_only_is_not_taken_for_a_processor(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "psys", 0))
    assert "no package zone here (psys only)" in why_not(rapl.open_meter)


def test_rapl_that_goes_away_ends_its_windows_not_the_job(root: Path) -> None:
    plant(root, zone("intel-rapl:0", "package-0", 0))
    meter = rapl.open_meter()
    (root / ZONES / "intel-rapl:0/energy_uj").unlink()
    with pytest.raises(Unavailable, match="any more"):
        meter.read()


# ------------------------------------------------------------------ hwmon

INA226 = {
    "sys/class/hwmon/hwmon2/name": "ina226\n",
    "sys/class/hwmon/hwmon2/power1_input": "6400000\n",
    "sys/class/hwmon/hwmon2/update_interval": "10\n",
    "sys/class/hwmon/hwmon2/shunt_resistor": "100000\n",
}


def test_an_ina226_says_power_in_microwatts(root: Path) -> None:
    plant(root, {**INA226, "sys/class/hwmon/hwmon0/name": "cpu_thermal\n"})
    meter = hwmon.open_meter()
    assert meter.note == ""
    started_s = time.monotonic()
    joules = joules_of(meter, seconds=0.2)
    assert joules.keys() == {"rail:ina226"}
    assert 0.2 * 6.4 * 0.99 <= joules["rail:ina226"] <= (time.monotonic() - started_s) * 6.4
    meter.close()


@pytest.mark.parametrize(
    ("files", "watts"),
    [
        ({"name": "ina219", "in1_input": "5120", "curr1_input": "1250"}, 6.4),
        ({"name": "powerz", "in0_input": "5120", "curr1_input": "-1250"}, -6.4),
    ],
)
def test_sensors_without_power_have_voltage_and_current(files: dict[str, str], watts: float, root: Path) -> None:
    plant(root, {f"sys/class/hwmon/hwmon0/{name}": text for name, text in files.items()})
    assert hwmon.Hwmon(hwmon._sensors()).power_w() == {f"rail:{files['name']}": pytest.approx(watts)}


def test_a_shunt_that_nobody_set_is_noted_with_the_cure(root: Path) -> None:
    plant(root, {**INA226, "sys/class/hwmon/hwmon2/shunt_resistor": "10000\n"})
    note = hwmon.open_meter().note
    assert "10 times too high" in note and "echo 100000 | sudo tee" in note and "hwmon2/shunt_resistor" in note


def test_sensors_that_were_numbered_anew_are_found_again(root: Path) -> None:
    plant(root, {**INA226, "sys/class/hwmon/hwmon2/label": "supply\n"})
    sensors = hwmon.Hwmon(hwmon._sensors())
    (root / "sys/class/hwmon/hwmon2").rename(root / "sys/class/hwmon/hwmon5")
    assert sensors.power_w() == {"rail:supply": pytest.approx(6.4)}
    (root / "sys/class/hwmon/hwmon5/power1_input").unlink()
    with pytest.raises(OSError, match="No such file"):
        sensors.power_w()


def test_two_chips_of_a_kind_are_two_rails(root: Path) -> None:
    plant(root, {**INA226, **{name.replace("hwmon2", "hwmon3"): text for name, text in INA226.items()}})
    assert hwmon.Hwmon(hwmon._sensors()).power_w().keys() == {"rail:ina226", "rail:ina226'"}


@pytest.mark.parametrize(
    ("name", "shunt", "accuracy"),
    [
        ("ina226", "100000", {"gain": 0.011, "offset_w": 0.0, "source": "datasheet:SBOS547 and a shunt of 1 %"}),
        ("ina260", "2000", {"gain": 0.0015, "offset_w": 0.025, "source": "datasheet:INA260"}),
        ("ina226", "10000", None),  # nobody told the driver its shunt
        ("powerz", "", None),
    ],
)
def test_accuracy_is_the_datasheets_where_there_is_one(
    name: str, shunt: str, accuracy: dict[str, Any] | None, root: Path
) -> None:
    folder = "sys/class/hwmon/hwmon0"
    plant(root, {f"{folder}/name": name, f"{folder}/power1_input": "6400000", f"{folder}/shunt_resistor": shunt})
    instrument = hwmon.open_meter().instrument
    assert instrument["accuracy"] == accuracy


# ------------------------------------------------------------------ INA3221

CHIP = "sys/bus/i2c/drivers/ina3221/1-0040"


def jetson_channel(number: int, label: str, millivolts: int, milliamperes: int) -> dict[str, str]:
    folder = f"{CHIP}/hwmon/hwmon4"
    return {
        f"{folder}/in{number}_label": f"{label}\n",
        f"{folder}/in{number}_input": f"{millivolts}\n",
        f"{folder}/curr{number}_input": f"{milliamperes}\n",
    }


def test_a_jetson_has_its_input_and_the_rails_inside(root: Path) -> None:
    plant(
        root,
        {
            **jetson_channel(1, "VDD_IN", 19_000, 500),
            **jetson_channel(2, "VDD_CPU_GPU_CV", 19_000, 200),
            **jetson_channel(3, "NC", 0, 0),
            f"{CHIP}/hwmon/hwmon4/in7_label": "sum of shunt voltages\n",
        },
    )
    watts = ina3221.open_meter()._power_w()
    assert watts == {"board_input": pytest.approx(9.5), "rail:VDD_CPU_GPU_CV": pytest.approx(3.8)}


def test_a_jetson_without_an_input_rail_has_the_sum_of_its_rails(root: Path) -> None:
    plant(root, {**jetson_channel(1, "VDD_CPU", 5000, 1000), **jetson_channel(2, "VDD_GPU", 5000, 400)})
    watts = ina3221.open_meter()._power_w()
    assert watts["soc_rails"] == pytest.approx(7.0) and "board_input" not in watts


def test_an_old_jetson_says_milliwatts(root: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    plant(root, {f"{folder}/rail_name_0": "POM_5V_IN\n", f"{folder}/in_power0_input": "3210\n"})
    plant(root, {f"{folder}/rail_name_1": "POM_5V_GPU\n", f"{folder}/in_power1_input": "210\n"})
    assert ina3221.open_meter()._power_w() == {"board_input": 3.21, "rail:POM_5V_GPU": 0.21}


# ------------------------------------------------------------------ Raspberry Pi


def test_the_rails_of_a_pi_5_are_paired_by_name() -> None:
    rails = rpi_pmic.parse(PI_5_ADC)
    assert len(rails) == 12 and not {"EXT5V", "BATT"} & rails.keys()
    assert rails["0V8_AON"] == (0.79584670, 0.00459456)  # their numbers are 16 and 19
    assert sum(volts * amperes for volts, amperes in rails.values()) == pytest.approx(2.0851, abs=1e-4)


def test_a_pi_5_is_measured_by_its_rails(tmp_path: Path) -> None:
    plant_vcgencmd(tmp_path / "bin", f"cat <<'END'\n{PI_5_ADC}END")
    meter = rpi_pmic.open_meter()
    joules = joules_of(meter, seconds=0.1)
    meter.close()
    assert joules["soc_rails"] > 0.1 * 2.06
    seconds = joules["soc_rails"] / 2.0851
    assert joules["board_input"] == pytest.approx(1.1451 * joules["soc_rails"] + 0.5879 * seconds, rel=1e-3)
    assert rpi_pmic.OTHERS.keys() == {"board_input"} and rpi_pmic.OTHERS["board_input"][0] == "estimated"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'error=1 error_msg=\"Command not registered\"'", "put a meter into its supply"),
        ("echo 'VCHI initialization failed' >&2; exit 255", "sudo usermod -aG video"),
        ("echo 'Can'\"'\"'t open device file: /dev/vcio' >&2; exit 1", "sudo usermod -aG video"),
        ("exit 1", "vcgencmd: no answer"),
        ("exec sleep 20", "no answer for 2 s"),
    ],
)
def test_a_pi_without_that_chip_or_permission_says_so(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(rpi_pmic, "TIMEOUT_S", 0.2)
        said = "no answer for 0 s"
    plant_vcgencmd(tmp_path / "bin", script)
    assert said in why_not(rpi_pmic.open_meter)


def test_without_vcgencmd_it_is_no_pi() -> None:
    assert "only a Raspberry Pi has it" in why_not(rpi_pmic.open_meter)


# ------------------------------------------------------------------ NVIDIA


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
    """70 W, moved every 100 ms: read at any instants, the joules are as well known as is said."""
    driver.energy_mj = moving(clock, 0.1)
    meter = nvml.open_meter()
    errors = []
    for number in range(200):
        seen = []
        for clock.now_s in (100 + 0.0137 * number, 105 + 0.0168 * number):
            seen.append(meter.read())
        span_s = seen[1][0] - seen[0][0]
        left_j = meter.u_joules(*seen)["gpu_board"]
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
    assert meter.u_joules(before, meter.read())["gpu_board"] == pytest.approx(period_s * 70 / math.sqrt(6), rel=0.15)


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
    assert meter.instrument["period_s"] == nvml.COUNTER_PERIOD_S and "stood still while it idled" in meter.note
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
    assert "shows no GPU" in why_not(nvml.open_meter)


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
    monkeypatch.delenv(codecarbon.ASKED, raising=False)
    assert "only when asked for: deploy --carbon DEU" in why_not(codecarbon.open_meter)
    monkeypatch.setenv(codecarbon.ASKED, "DEU")
    meter = codecarbon.open_meter()
    joules = joules_of(meter, seconds=0.3)
    meter.close()
    assert joules.keys() == {"cpu_package", "ram"} == codecarbon.OTHERS.keys()
    assert all(0 < value < 0.3 * 500 for value in joules.values())
    assert {provenance for provenance, _ in codecarbon.OTHERS.values()} == {"modelled"}
    assert meter.note == "DEU: 380.95 g CO2e per kWh (2023)" and "codecarbon" in meter.instrument["version"]
    assert list(tmp_path.glob("*.csv")) == []


def test_a_country_that_codecarbon_does_not_know_is_no_world_mean(
    offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(codecarbon.ASKED, "XXX")
    assert "knows no country XXX" in why_not(codecarbon.open_meter)
    with pytest.raises(UnknownName, match="Did you mean 'DEU'"):
        carbon.check_country("DEUT")
    assert carbon.check_country("FRA") == "FRA"


# ------------------------------------------------------------------ power added up


@pytest.mark.parametrize(
    ("kind", "joules", "left_j"),
    [
        ("point", 2 * 3.0 + 1 * 5.0, math.sqrt(((2 * 2.0) ** 2 + (1 * 2.0) ** 2) / 2)),
        ("average", 2 * 4.0 + 1 * 6.0, 3600 * math.sqrt(2 / 3) * (6.0 - 2.0)),
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


def test_the_windows_before_a_meter_stopped_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    quits = Quits()
    module = SimpleNamespace(open_meter=lambda: quits, OTHERS={})
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

    energy.measure_energy([SimpleNamespace(index=0, worker=worker)], plan, notebook, survives)
    assert [line["event"] for line in lines[:4]] == ["meter", "idle", "energy", "meter"]
    assert lines[3] == {"event": "meter", "meter": "quits", "reason": "it stopped answering"}
    assert [line["joules"] for line in lines[1:3]] == [{"quits": {"board_input": 1.0}}] * 2
    assert all(line["joules"] == {} for line in lines[4:])
    assert quits.closed


def test_a_record_whose_job_died_before_its_windows_still_says_why_there_is_no_energy() -> None:
    import msgspec

    known = msgspec.structs.replace(FACTS, meters={"rapl": MeterFound(False, "root only"), "nvml": MeterFound(True)})
    (row,) = compare.compare([make_record(facts=known)]).rows
    assert row.no_energy == ("rapl: root only",)
