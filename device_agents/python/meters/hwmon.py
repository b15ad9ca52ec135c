"""INA2xx power monitors and ChargerLAB Power-Z meters with a kernel driver.

Source: Linux Documentation/hwmon/{ina2xx,ina238,powerz}.rst. Their values are averages over `update_interval`.
Only its owner knows what an INA2xx is wired to: the scope is `rail:` and its label in the device tree, or the chip's
name.
"""

from __future__ import annotations

from .. import facts
from . import Unavailable
from ._sampler import Sampler
from ._sysfs import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

NOT_MEASURED: dict[str, list[str]] = {}
CHIPS = {"ina219", "ina220", "ina226", "ina230", "ina231", "ina234", "ina237", "ina238", "ina260", "powerz"}
# Datasheet limits at 25 C, as (gain, offset in A), with those of a usual board's shunt for chips without their own.
ACCURACY = {
    "ina219": (0.005 + 0.01, 0.0, "datasheet:SBOS448 and a shunt of 1 %"),
    "ina226": (0.001 + 0.01, 0.0, "datasheet:SBOS547 and a shunt of 1 %"),
    "ina260": (0.0015, 0.005, "datasheet:INA260"),
}
# Turns an offset in current into power where the voltage is not known.
USUAL_V = 5.0
# Where the kernel does not say: an average of 16 conversions of 12 bits.
PERIOD_S = 0.035
# The ina2xx driver assumes this many micro-ohms until configured; usual boards have 100000.
DEFAULT_SHUNT = "10000"


def open_meter() -> Sampler:
    sensors = _sensors()
    if not sensors:
        raise Unavailable(
            "no INA2xx or Power-Z among the kernel's sensors; for one on I2C bus 1 at 0x40: "
            "echo ina226 0x40 | sudo tee /sys/bus/i2c/devices/i2c-1/new_device"
        )
    hwmon = Hwmon(sensors)
    try:
        hwmon.power_w()
    except (OSError, ValueError) as error:
        raise Unavailable("the sensor cannot be read: %s" % error) from None
    names = [text(folder / "name") for folder in sensors.values()]
    known = {"device_id": ", ".join(names), "accuracy": _accuracy(sensors)}
    return Sampler(hwmon.power_w, _period_s(sensors), "average", _note(sensors), **known)


def _sensors() -> dict[str, Path]:
    """{scope: folder}; a scope that occurs again gets a prime."""
    sensors = {}
    for folder in sorted((facts.ROOT / "sys/class/hwmon").glob("hwmon*")):
        if text(folder / "name") in CHIPS:
            scope = "rail:" + (text(folder / "label") or text(folder / "name"))
            while scope in sensors:
                scope += "'"
            sensors[scope] = folder
    return sensors


class Hwmon:
    """The kernel renumbers sensors when a driver is reloaded: after an error they are searched for once more."""

    def __init__(self, sensors: dict[str, Path]) -> None:
        self._sensors = sensors

    def power_w(self) -> dict[str, float]:
        try:
            return self._read()
        except OSError:
            again = _sensors()
            if again.keys() != self._sensors.keys():
                raise
            self._sensors = again
            return self._read()

    def _read(self) -> dict[str, float]:
        return {scope: _power_w(folder) for scope, folder in self._sensors.items()}


def _power_w(folder: Path) -> float:
    """power1 is in microwatts; bus voltage (in1; in0 of a Power-Z) in mV; current in mA, signed."""
    if (folder / "power1_input").exists():
        return int((folder / "power1_input").read_text()) / 1e6
    voltage = "in0_input" if text(folder / "name") == "powerz" else "in1_input"
    return int((folder / voltage).read_text()) * int((folder / "curr1_input").read_text()) / 1e6


def _accuracy(sensors: dict[str, Path]) -> dict[str, Any] | None:
    """Of one chip, or several of one kind, whose datasheet is known; else None."""
    names = {text(folder / "name") for folder in sensors.values()}
    limits = ACCURACY.get(names.pop()) if len(names) == 1 else None
    if limits is None or _with_default_shunt(sensors):
        return None
    gain, offset_a, source = limits
    return {"gain": gain, "offset_w": offset_a * USUAL_V, "source": source}


def _period_s(sensors: dict[str, Path]) -> float:
    """Of the slowest; update_interval is in ms."""
    given = [text(folder / "update_interval") for folder in sensors.values()]
    return max([PERIOD_S] + [int(one) / 1000 for one in given if one.isdigit()])


def _note(sensors: dict[str, Path]) -> str:
    doubtful = _with_default_shunt(sensors)
    if not doubtful:
        return ""
    return (
        "%s: the shunt is still the driver's 0.01 ohm; for a board with 0.1 ohm readings are 10 times too high: "
        "echo 100000 | sudo tee %s" % (", ".join(doubtful), sensors[doubtful[0]] / "shunt_resistor")
    )


def _with_default_shunt(sensors: dict[str, Path]) -> list[str]:
    return [scope for scope, folder in sensors.items() if text(folder / "shunt_resistor") == DEFAULT_SHUNT]
