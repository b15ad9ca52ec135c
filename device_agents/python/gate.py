"""Before anything is timed: wait until the device is as it was when the job began."""

from .device import MACHINE

POLL_S = 1.0
# Live bits of facts.throttled(): under-voltage, clock capped, throttled, soft temperature limit.
LIVE_BITS = 0xF
# A clock that is nearer to what it was than this is the same.
SAME_CLOCK = 0.99


class Condition:
    """What a device was like before the job: how hot, and how fast it may run."""

    def __init__(self, device):
        self.temperature_c = device.temperature_c()
        self.clock_limit_hz = device.clock_limit_hz()


def gate(plan, start, journal, device=MACHINE, subjects=None):
    """Wait until it is cool, its clock not limited and nothing throttled, at most gate_max_s; say how it went.

    start: the Condition to come back to. subjects: those that the gate is for, if not for all. The journal gets the
    cooling curve: seconds, degrees Celsius and clock limit, once a second.
    """
    started_s = device.now_s()
    limit_c = None if start.temperature_c is None else start.temperature_c + plan["gate_margin_c"]
    curve = []
    while True:
        waited_s = device.now_s() - started_s
        temperature_c, clock_hz = device.temperature_c(), device.clock_limit_hz()
        curve.append([round(waited_s, 2), temperature_c, clock_hz])
        is_open = not (
            _is_above(temperature_c, limit_c)
            or _is_above(start.clock_limit_hz, clock_hz and clock_hz / SAME_CLOCK)
            or (device.throttled() or 0) & LIVE_BITS
        )
        if is_open or waited_s >= plan["gate_max_s"]:
            break
        device.sleep(POLL_S)
    journal.write(
        "gate",
        artifacts=None if subjects is None else [subject.index for subject in subjects],
        waited_s=waited_s,
        limit_c=limit_c,
        limit_hz=start.clock_limit_hz,
        curve=curve,
        open=is_open,
    )


def _is_above(value, limit):
    """False where one of them cannot be read, or no longer."""
    return None not in (value, limit) and value > limit
