"""A phone's on-device power monitor (ODPM): joules that each rail has drawn since boot, counted by the power chip.

Pixel 6 and later have it. Downstream of the battery: the display's and the charger's own losses are not in it, and a
charging cable does not disturb it. Each rail is a scope of its own; they are not summed, since rails can feed others.
"""

from __future__ import annotations

import time

from .. import android
from . import Unavailable, counter_u_j

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Joules

    Reading = tuple[float, Joules]

TAKES = ("phone",)
NOT_MEASURED: dict[str, list[str]] = {}
# How often the sums are renewed is not documented: assumed to be no slower than this.
PERIOD_S = 1.0
STEP_J = 1e-5


def open_meter(phone: android.AndroidShell | None = None) -> Rails:
    if phone is None:
        raise Unavailable("this is not an Android phone")
    meter = Rails(phone)
    try:
        _, rails = meter.read()
    except Unavailable as reason:
        raise Unavailable(
            "no power monitor (%s); Pixel 6 and later have one; on other phones use a USB meter" % reason
        ) from None
    meter.note = "%d rails, measured behind the battery" % len(rails)
    return meter


class Rails:
    instrument = {"sampling": "counter", "period_s": PERIOD_S, "device_id": "on-device power monitor"}
    age_s = PERIOD_S
    note = ""

    def __init__(self, phone: android.AndroidShell) -> None:
        self._phone = phone

    def read(self) -> Reading:
        """(s, {rail: J since boot})."""
        try:
            rails = android.parse_rails(self._phone.ask(android.RAILS))
        except OSError as error:
            raise Unavailable(str(error)) from None
        if not rails:
            raise Unavailable("it lists no rails")
        return time.monotonic(), rails

    def joules(self, before: Reading, after: Reading) -> Joules:
        joules = {"rail:" + rail: after[1][rail] - before[1][rail] for rail in after[1] if rail in before[1]}
        if any(value < 0 for value in joules.values()):
            raise Unavailable("its rails' counters started again: the phone was restarted")
        return joules

    def u_joules(self, before: Reading, after: Reading) -> Joules:
        return {scope: counter_u_j(STEP_J) for scope in self.joules(before, after)}
