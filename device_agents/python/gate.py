"""Before anything is timed: wait until the device is as it was when the job began."""

from __future__ import annotations

from .device import MACHINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .artifact_run import ArtifactRun
    from .device import Device
    from .journal import Notebook

POLL_S = 1.0
# Live bits of facts.throttled(): under-voltage, clock capped, throttled, soft temperature limit.
LIVE_BITS = 0xF
# A clock within this share of what it was counts as the same.
SAME_CLOCK = 0.99


class Condition:
    """How a device was before the job: how hot, and how fast it could run."""

    def __init__(self, device: Device) -> None:
        self.temperature_c = device.temperature_c()
        self.clock_limit_hz = device.clock_limit_hz()


def gate(
    plan: Mapping[str, Any],
    start: Condition,
    journal: Notebook,
    device: Device = MACHINE,
    artifacts: Sequence[ArtifactRun] | None = None,
) -> None:
    """Wait until it is cool, its clock not limited and nothing throttled, at most gate_max_s; journal how it went.

    start: the Condition to come back to. artifacts: those that the gate is for, if not for all. The cooling curve has
    seconds, degrees Celsius and clock limit, once a second.
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
        artifacts=None if artifacts is None else [artifact.index for artifact in artifacts],
        open=is_open,
        cooling={"waited_s": waited_s, "limit_c": limit_c, "limit_hz": start.clock_limit_hz, "curve": curve},
    )


def _is_above(value: float | None, limit: float | None) -> bool:
    """False if one of them cannot be read, or no longer."""
    return value is not None and limit is not None and value > limit
