"""A phone's battery gauge: the whole phone, display included; coarse, and useless while a cable charges it.

Manufacturers disagree about the unit and sign of `current_now`: more than 10,000 is microamperes, less is milliamperes,
and while the battery says "Discharging" the current that flows is drawn. The gauge is refreshed every 0.25 to 10 s.
"""

from __future__ import annotations

import re

from . import Unavailable
from ._sampler import Sampler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..android import AndroidShell

TAKES = ("phone",)
NOT_MEASURED = {"battery": ["estimated", "by the battery's gauge, whose accuracy and unit manufacturers leave open"]}
PERIOD_S = 1.0
_QUESTION = "cd /sys/class/power_supply/battery && cat status current_now voltage_now"
CHARGED = "a cable charges the phone, so its battery shows nothing: connect adb over Wi-Fi and unplug the cable"


def open_meter(phone: AndroidShell | None = None) -> Sampler:
    if phone is None:
        raise Unavailable("this is not an Android phone")

    def power_w() -> dict[str, float]:
        return {"battery": parse(phone.ask(_QUESTION))}

    try:
        power_w()
    except (OSError, ValueError) as error:
        raise Unavailable(str(error)) from None
    return Sampler(power_w, PERIOD_S, "point", note="the battery's gauge: whole phone, coarse")


def parse(text: str) -> float:
    """Watts drawn, from the three lines status, current, voltage (microvolts). Raises OSError."""
    lines = text.split("\n")
    if len(lines) < 3 or not all(re.fullmatch(r"-?\d+", line.strip()) for line in lines[1:3]):
        raise OSError("the battery does not report its current")
    status, current, microvolts = lines[0].strip(), int(lines[1]), int(lines[2])
    if status != "Discharging":
        raise OSError(CHARGED)
    amperes = abs(current) / (1e6 if abs(current) > 10_000 else 1e3)
    return amperes * microvolts / 1e6
