"""The condition of the device while a worker is timed: a thread looks once a second and sleeps in between.

rounds   ──A──  ──B──  ──A──  ──B──          begin() and take() stand around each
looks    .    .    .    .    .    .          bits of any of them count; a clock only if it was read inside a round
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Watchable(Protocol):
        """What is looked at; None for what cannot be read."""

        def throttled(self) -> int | None: ...
        def clock_hz(self) -> int | None: ...
        def temperature_c(self) -> float | None: ...

    class RoundWatch(Protocol):
        """Use as a context; begin() and take() stand around each round. take() -> what NOTHING has."""

        def __enter__(self) -> RoundWatch: ...
        def __exit__(self, *_: object) -> None: ...
        def begin(self) -> None: ...
        def take(self) -> dict[str, Any]: ...


PERIOD_S = 1.0
NOTHING = {"temperature_c": None, "throttled": None, "clock_hz": None}


class DeviceWatch:
    """Use as a context. What it saw is handed out round by round."""

    def __init__(self, device: Watchable, period_s: float = PERIOD_S) -> None:
        self._device = device
        self._period_s = period_s
        self._lock = threading.Lock()
        # Held until it is over; waiting for a lock costs less than waiting for an event.
        self._over = threading.Lock()
        self._over.acquire()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_timing = False
        self._bits: int | None = None
        self._clock_hz: int | None = None
        self._temperature_c = device.temperature_c()

    def __enter__(self) -> DeviceWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.release()
        self._thread.join()

    def begin(self) -> None:
        """A round begins."""
        with self._lock:
            self._is_timing = True
            self._clock_hz = None

    def take(self) -> dict[str, Any]:
        """A round has ended: throttle bits since the last one, its lowest clock, the temperature of the last look."""
        with self._lock:
            self._is_timing = False
            bits, self._bits = self._bits, None
            return {"throttled": bits, "clock_hz": self._clock_hz, "temperature_c": self._temperature_c}

    def _run(self) -> None:
        while not self._over.acquire(timeout=self._period_s):
            self._look()

    def _look(self) -> None:
        bits, clock_hz = self._device.throttled(), self._device.clock_hz()
        temperature_c = self._device.temperature_c()
        with self._lock:
            self._temperature_c = temperature_c
            if bits is not None:
                self._bits = bits | (self._bits or 0)
            # Between rounds the worker sleeps, and the governor lets the clock sink.
            if self._is_timing and clock_hz is not None:
                self._clock_hz = min(clock_hz, self._clock_hz or clock_hz)


class NoWatch:
    """Looks at nothing: the cost of looking is found by leaving it out."""

    def __enter__(self) -> NoWatch:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self) -> None:
        pass

    def take(self) -> dict[str, Any]:
        return dict(NOTHING)
