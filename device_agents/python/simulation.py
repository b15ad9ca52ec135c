"""A device that does not exist: its speed, noise, heat and power draw are prescribed.

A prescription is one JSON file with the suffix .sim: what an inference takes (SimulatedModel) and, under "device", the
device it runs on (SimulatedBoard). What is left out takes the default below; the default device has no faults.

Time is the device's own. It passes while something runs or sleeps there, so a minute of it takes milliseconds.
Job and workers share the device's state through a small mapped file; only one of them runs at a time.
The same job gives the same values: every process draws from the seed and its own number.
"""

from __future__ import annotations

import ctypes
import functools
import json
import math
import mmap
import os
import random
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from .watch import PERIOD_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNDER_VOLTAGE, THROTTLED = 1 << 0, 1 << 2  # Raspberry Pi's bits; the same since boot are 16 higher
SINCE_BOOT = 16
HYSTERESIS_C = 3.0
# Environment variable: the file with the state that job, workers and meters share. Without it a process has a device
# of its own.
STATE = "EDGEBENCH_SIMULATION"


@dataclass(frozen=True)
class SimulatedBoard:
    """Factors multiply latencies; wander is the standard deviation of a logarithm, wander_s its correlation time."""

    seed: int = 0
    clock_step_ns: int = 40
    clock_skew_ppm: float = 0.0
    idle_w: float = 2.0
    active_w: float = 4.0
    ambient_c: float = 25.0
    warmth_c_per_w: float = 5.0
    cooling_s: float = 60.0
    throttle_c: float = 80.0
    throttle_factor: float = 1.5
    clock_hz: int = 1_500_000_000
    under_voltage_at_s: float | None = None
    under_voltage_s: float = 0.5
    under_voltage_factor: float = 1.2
    # The kernel clears the bits since boot, as raspberrypi-hwmon does: only the current ones are left.
    forgets: bool = False
    drift_per_hour: float = 0.0
    wander: float = 0.0
    wander_s: float = 1.0
    # Another program: the mean time between its runs (exponential; 0: never), how long one lasts, and how much slower
    # everything is meanwhile.
    busy_every_s: float = 0.0
    busy_s: float = 0.2
    busy_factor: float = 1.35


@dataclass(frozen=True)
class SimulatedModel:
    """noise, wander, placement: standard deviations of logarithms; of one inference, over time, between processes.

    startup: slower by the excess at first, decaying with busy time; waking: the same after others ran.
    answers: the outputs for inputs 0, 1, 2, ...; an input is one byte. fallback_nodes: that no accelerator takes.
    """

    latency_ns: int
    noise: float = 0.01
    wander: float = 0.0
    wander_s: float = 1.0
    placement: float = 0.0
    outlier_share: float = 0.0
    outlier_factor: float = 5.0
    startup_excess: float = 0.0
    startup_s: float = 0.5
    waking_excess: float = 0.0
    waking_s: float = 0.005
    load_s: float = 0.01
    nodes: int = 10
    fallback_nodes: int = 0
    answers: list[list[float]] = field(default_factory=lambda: [[1.0, 0.0], [0.0, 1.0]])
    device: SimulatedBoard = SimulatedBoard()


def read(path: Path | str) -> SimulatedModel:
    """The SimulatedModel of a file. Raises ValueError for what is not one."""
    try:
        content = json.loads(Path(path).read_text())
        board = SimulatedBoard(**content.pop("device", {}))
        model = SimulatedModel(device=board, **content)
        if min(model.latency_ns, board.clock_step_ns, board.cooling_s, board.wander_s, model.wander_s) <= 0:
            raise ValueError("latency, clock step and time constants must be above 0")
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError("not a prescription of a simulated device: %s" % error) from None
    return model


class SharedState(ctypes.Structure):
    """What a job's processes share of a device; zeros before it is switched on."""

    if TYPE_CHECKING:
        now_s: float
        joules: float
        warmth_c: float
        wander: float
        wander_at_s: float
        busy_at_s: float
        clock_skew: float
        clock_step_ns: int
        throttled: int
        watched: int
        watched_at_s: float
        processes: int
        board: int

    _fields_ = [
        ("now_s", ctypes.c_double),
        ("joules", ctypes.c_double),
        ("warmth_c", ctypes.c_double),  # above the temperature of an idle device
        ("wander", ctypes.c_double),
        ("wander_at_s", ctypes.c_double),
        ("busy_at_s", ctypes.c_double),
        ("clock_skew", ctypes.c_double),
        ("clock_step_ns", ctypes.c_int64),
        ("throttled", ctypes.c_int64),
        ("watched", ctypes.c_int64),
        ("watched_at_s", ctypes.c_double),
        ("processes", ctypes.c_int64),
        ("board", ctypes.c_int64),
    ]

    def clock_ns(self) -> int:
        """The device's clock: too fast by its skew, read in whole steps."""
        now_ns = int(self.now_s * 1e9 * (1 + self.clock_skew))
        return now_ns - now_ns % (self.clock_step_ns or 1)


@functools.lru_cache(maxsize=1)
def state() -> SharedState:
    """The state of this process's device: shared with the job that it belongs to, if it belongs to one."""
    path = os.environ.get(STATE)
    if path is None:
        return SharedState()
    with Path(path).open("r+b") as stream:
        return SharedState.from_buffer(mmap.mmap(stream.fileno(), ctypes.sizeof(SharedState)))


def create_state(path: Path) -> None:
    """A device that is off, for this process and those that it starts."""
    Path(path).write_bytes(bytes(ctypes.sizeof(SharedState)))
    os.environ[STATE] = str(path)
    state.cache_clear()


class SimulatedDevice:
    """The device as one process sees it. Raises ValueError if another process described it differently."""

    def __init__(self, board: SimulatedBoard) -> None:
        self.board = board
        self.phone = None
        self._state = state()
        self.random = random.Random("%d %d" % (board.seed, self._state.processes))
        fingerprint = zlib.crc32(repr(board).encode())
        if not self._state.processes:
            self._switch_on(fingerprint)
        if self._state.board != fingerprint:
            raise ValueError("its device differs from that of the first artifact; the artifacts of a job share one")
        self._state.processes += 1

    def _switch_on(self, fingerprint: int) -> None:
        board, state = self.board, self._state
        state.board = fingerprint
        state.clock_skew = board.clock_skew_ppm * 1e-6
        state.clock_step_ns = board.clock_step_ns
        state.wander = self.random.gauss(0, board.wander)
        state.busy_at_s = self._pause_s()

    # ------------------------------------------------------------------ what runs on it

    def spend(self, seconds: float, watts: float) -> None:
        """Let time pass at a power: the device warms up or cools down, throttles, uses energy."""
        board, state = self.board, self._state
        state.now_s += seconds
        state.joules += seconds * watts
        settled_c = (watts - board.idle_w) * board.warmth_c_per_w
        state.warmth_c = settled_c + (state.warmth_c - settled_c) * math.exp(-seconds / board.cooling_s)
        state.throttled = self._bits()
        if state.now_s >= state.watched_at_s + PERIOD_S:
            state.watched |= state.throttled
            state.watched_at_s = state.now_s

    def infer(self, seconds: float) -> None:
        """Run something that takes `seconds` on an undisturbed device."""
        self.spend(seconds * self._slowness(), self.board.active_w)

    def _bits(self) -> int:
        board, bits = self.board, self._state.throttled
        limit_c = board.throttle_c - (HYSTERESIS_C if bits & THROTTLED else 0)
        live = THROTTLED if self._celsius() >= limit_c else 0
        if self._supply_is_low():
            live |= UNDER_VOLTAGE
        if board.forgets:
            return live
        return bits >> SINCE_BOOT << SINCE_BOOT | live << SINCE_BOOT | live

    def _supply_is_low(self) -> bool:
        start_s = self.board.under_voltage_at_s
        return start_s is not None and start_s <= self._state.now_s < start_s + self.board.under_voltage_s

    def _slowness(self) -> float:
        board, state = self.board, self._state
        factor = 1 + board.drift_per_hour * state.now_s / 3600
        if state.throttled & THROTTLED:
            factor *= board.throttle_factor
        if state.throttled & UNDER_VOLTAGE:
            factor *= board.under_voltage_factor
        if board.wander:
            elapsed_s = state.now_s - state.wander_at_s
            state.wander = wandered(state.wander, elapsed_s, board.wander, board.wander_s, self.random)
            state.wander_at_s = state.now_s
            factor *= math.exp(state.wander)
        return factor * self._busy_factor()

    def _busy_factor(self) -> float:
        board, state = self.board, self._state
        if not board.busy_every_s:
            return 1.0
        while state.now_s >= state.busy_at_s + board.busy_s:
            state.busy_at_s += board.busy_s + self._pause_s()
        return board.busy_factor if state.now_s >= state.busy_at_s else 1.0

    def _pause_s(self) -> float:
        every_s = self.board.busy_every_s
        return self.random.expovariate(1 / every_s) if every_s else 0.0

    def _celsius(self) -> float:
        return self.board.ambient_c + self.board.idle_w * self.board.warmth_c_per_w + self._state.warmth_c

    # ------------------------------------------------------------------ what it says of itself (device.Device)

    def now_s(self) -> float:
        return self._state.now_s

    def sleep(self, seconds: float) -> None:
        self.spend(seconds, self.board.idle_w)

    def clock_step_ns(self) -> int:
        return self.board.clock_step_ns

    def temperature_c(self) -> float:
        return round(self._celsius(), 1)

    def throttled(self) -> int:
        return self._state.throttled

    def clock_hz(self) -> int:
        return round(self.board.clock_hz / (self.board.throttle_factor if self.throttled() & THROTTLED else 1))

    def clock_limit_hz(self) -> int:
        return self.board.clock_hz

    def clocks_s(self) -> dict[str, dict[int, float]]:
        return {}

    def watch(self) -> SimulatedWatch:
        return SimulatedWatch(self, self._state)

    def static_facts(self) -> dict[str, Any]:
        step_ns = self.board.clock_step_ns
        clock = {"clock_step_ns": step_ns, "clock_resolution_ns": step_ns}
        return {"model": "simulated device", "cpu": "simulated", **clock}

    def momentary_facts(self) -> dict[str, Any]:
        state = {"temperature_c": self.temperature_c(), "throttled": self.throttled()}
        clocks = {"clock_hz": self.clock_hz(), "clock_max_hz": self.clock_limit_hz()}
        return {"governor": "performance", "uptime_s": self._state.now_s, **clocks, **state}

    def machine_cpu_s(self) -> dict[str, float]:
        """Unknown: the load of the real machine is not that of this one."""
        return {}

    def has_meter(self, name: str) -> bool:
        return name == "simulated"


class SimulatedWatch:
    """watch.DeviceWatch on the device's own time: its looks are taken where that time is spent."""

    def __init__(self, device: SimulatedDevice, state: SharedState) -> None:
        self._device = device
        self._state = state

    def __enter__(self) -> SimulatedWatch:
        self._state.watched = 0
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self) -> None:
        pass

    def take(self) -> dict[str, Any]:
        bits, self._state.watched = self._state.watched | self._device.throttled(), 0
        return {
            "throttled": bits,
            "clock_hz": self._device.clock_hz(),
            "temperature_c": self._device.temperature_c(),
        }


def wandered(value: float, elapsed_s: float, size: float, memory_s: float, source: random.Random) -> float:
    """An Ornstein-Uhlenbeck process, `elapsed_s` later: autocorrelated over memory_s, of standard deviation `size`."""
    kept = math.exp(-elapsed_s / memory_s)
    return kept * value + math.sqrt(1 - kept * kept) * source.gauss(0, size)
