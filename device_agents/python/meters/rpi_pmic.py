"""The power chip of a Raspberry Pi 5: voltage and current of twelve rails, through the firmware.

It does not see what the 5 V rail feeds directly (USB, HATs, the fan): the sum is scope soc_rails, from which that of
the board is estimated. A query starts a process for some milliseconds, and values are instantaneous, hence five a
second. Source: `vcgencmd pmic_read_adc`; the regression comes from the project RPi5-power.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from . import Unavailable
from ._sampler import Sampler

NOT_MEASURED = {
    "board_input": [
        "estimated",
        "from the power chip's rails, by a regression made on a single board: 1.1451 x + 0.5879 W",
    ]
}
PERIOD_S = 0.2
TIMEOUT_S = 2
_READING = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=(-?[\d.]+)[AV]\s*$", re.MULTILINE)
EXTERNAL = "this board has no sensor for what it draws; put a meter into its supply: edgebench meters"


def open_meter() -> Sampler:
    if not shutil.which("vcgencmd"):
        raise Unavailable("no vcgencmd here: only a Raspberry Pi has it (apt: raspi-utils)")
    try:
        power_w()
    except OSError as error:
        raise Unavailable(str(error)) from None
    return Sampler(power_w, PERIOD_S, "point", device_id="Raspberry Pi 5 PMIC")


def power_w() -> dict[str, float]:
    """{scope: W}. Raises OSError with the reason."""
    try:
        done = subprocess.run(["vcgencmd", "pmic_read_adc"], capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise OSError("vcgencmd did not answer within %d s" % TIMEOUT_S) from None
    printed = (done.stdout + done.stderr).strip()
    if "VCHI" in printed or "vcio" in printed:
        raise OSError("vcgencmd may not access the firmware; sudo usermod -aG video $USER, then log in again")
    rails = parse(done.stdout)
    if not rails:
        raise OSError("%s (vcgencmd: %s)" % (EXTERNAL, printed.splitlines()[0] if printed else "no answer"))
    rails_w = sum(volts * amperes for volts, amperes in rails.values())
    return {"soc_rails": rails_w, "board_input": 1.1451 * rails_w + 0.5879}


def parse(text: str) -> dict[str, tuple[float, float]]:
    """{rail: (V, A)} of the rails with both. Voltage and current are paired by name: their numbers do not match."""
    values = {(name, unit): float(value) for name, unit, value in _READING.findall(text)}
    return {
        name: (values[name, "V"], values[name, "A"]) for name, unit in values if unit == "A" and (name, "V") in values
    }
