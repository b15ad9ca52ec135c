"""Sensors on a board: those of hwmon, a Jetson's INA3221 and the chip that feeds a Raspberry Pi 5."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from device_agents.python import meters
from device_agents.python.meters import hwmon, ina3221, rpi_pmic
from tests.support.device_meters import joules_of, why_not
from tests.support.device_meters import root as root
from tests.support.fake_meters import PI_5_ADC, plant_vcgencmd
from tests.support.machine import plant

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
        ("ina226", "10000", None),  # the driver was not given its shunt
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


def test_a_probe_starts_nothing(root: Path) -> None:
    import threading

    plant(root, INA226)
    before = threading.active_count()
    assert meters.probe(lambda name: True)["hwmon"]["available"]
    assert threading.active_count() == before


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
    assert rpi_pmic.NOT_MEASURED.keys() == {"board_input"} and rpi_pmic.NOT_MEASURED["board_input"][0] == "estimated"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'error=1 error_msg=\"Command not registered\"'", "put a meter into its supply"),
        ("echo 'VCHI initialization failed' >&2; exit 255", "sudo usermod -aG video"),
        ("echo 'Can'\"'\"'t open device file: /dev/vcio' >&2; exit 1", "sudo usermod -aG video"),
        ("exit 1", "vcgencmd: no answer"),
        ("exec sleep 20", "did not answer within 2 s"),
    ],
)
def test_a_pi_without_that_chip_or_permission_says_so(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(rpi_pmic, "TIMEOUT_S", 0.2)
        said = "did not answer within 0 s"
    plant_vcgencmd(tmp_path / "bin", script)
    assert said in why_not(rpi_pmic.open_meter)


def test_without_vcgencmd_it_is_no_pi() -> None:
    assert "only a Raspberry Pi has it" in why_not(rpi_pmic.open_meter)
