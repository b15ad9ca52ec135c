"""The INA3221 of NVIDIA Jetson boards: three rails a chip, one of them usually the board's input.

Source: Linux Documentation/hwmon/ina3221.rst, and the older layout of L4T 32 (iio). Scopes: board_input is the rail
that feeds the others, `rail:NAME` are parts of it. Where there is no such rail, soc_rails is the sum of all.
"""

from __future__ import annotations

from .. import facts
from . import Unavailable
from ._sampler import Sampler
from ._sysfs import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

NOT_MEASURED: dict[str, list[str]] = {}
CHIPS = "sys/bus/i2c/drivers/ina3221*/*-*"
PERIOD_S = 0.1
INPUTS = ("VIN", "VDD_IN", "POM_5V_IN")


def open_meter() -> Sampler:
    rails = _rails()
    if not rails:
        raise Unavailable("no INA3221 here (NVIDIA Jetson boards have them)")

    def power_w() -> dict[str, float]:
        watts = {name: _power_w(files) for name, files in rails.items()}
        scopes = {_scope(name): value for name, value in watts.items()}
        if "board_input" not in scopes:
            scopes["soc_rails"] = sum(watts.values())
        return scopes

    try:
        power_w()
    except PermissionError:
        raise Unavailable("the INA3221 is readable by root only; run as root, or chmod a+r its files") from None
    except (OSError, ValueError) as error:
        raise Unavailable("the INA3221 cannot be read: %s" % error) from None
    return Sampler(power_w, PERIOD_S, "average", device_id="INA3221: " + ", ".join(rails))


def _rails() -> dict[str, tuple[Path, ...]]:
    """{name: its files}. Channels 1-3 are rails, the next one is their sum; `NC` is not connected."""
    rails: dict[str, tuple[Path, ...]] = {}
    for chip in sorted(facts.ROOT.glob(CHIPS)):
        for label in sorted(chip.glob("hwmon/hwmon*/in[123]_label")):
            number = label.name[2]
            rails[text(label)] = label.with_name("in%s_input" % number), label.with_name("curr%s_input" % number)
        for label in sorted(chip.glob("iio:device*/rail_name_*")):
            rails[text(label)] = (label.with_name("in_power%s_input" % label.name[-1]),)
    return {name: files for name, files in rails.items() if name not in ("", "NC")}


def _scope(name: str) -> str:
    return "board_input" if name.startswith(INPUTS) else "rail:" + name


def _power_w(files: tuple[Path, ...]) -> float:
    """Millivolts times milliamperes, or milliwatts."""
    values = [int(path.read_text()) for path in files]
    return values[0] * values[1] / 1e6 if len(values) == 2 else values[0] / 1e3
