"""A phone's on-device power monitor (ODPM): joules that each rail has drawn since boot, counted by the power chip.

Pixel 6 and later have it. Downstream of the battery: the display's and the charger's own losses are not in it, and a
charging cable does not disturb it. Each rail is a scope of its own; they are not summed, since rails can feed others.
"""

from .. import android
from . import Unavailable

PROVENANCE = "measured"


def open_meter():
    if not android.is_here():
        raise Unavailable("this is no Android phone")
    meter = Rails()
    try:
        rails = meter.read()
    except Unavailable as reason:
        raise Unavailable("no power monitor (%s); Pixel 6 and later have one, else a USB meter" % reason) from None
    meter.note = "%d rails, measured behind the battery" % len(rails)
    return meter


class Rails:
    def read(self):
        try:
            rails = android.parse_rails(android.shell(android.RAILS))
        except OSError as error:
            raise Unavailable(str(error)) from None
        if not rails:
            raise Unavailable("it tells no rails")
        return rails

    def joules(self, before, after):
        return {rail: after[rail] - before[rail] for rail in after if rail in before}
