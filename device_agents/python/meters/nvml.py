"""NVIDIA GPUs, through the driver's own library: their energy counter (Volta and newer), or else their power.

Source: NVIDIA's NVML reference. The counter is in mJ since the driver was loaded and moves every 20 to 100 ms, which is
measured before the first window; power is in mW, on most GPUs an average over a second. The scope is the whole board,
whoever uses it: gpu_board, followed by a number where there are several.
"""

from __future__ import annotations

import ctypes
import time

from .. import series
from . import Unavailable, counter_u_j
from ._sampler import Sampler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from . import Joules

    Reading = tuple[float, Joules]

NOT_MEASURED: dict[str, list[str]] = {}
LIBRARY = "libnvidia-ml.so.1"
NOT_SUPPORTED = 3
# A counter that does not move for so long is broken: an idle board draws watts.
STILL_S = 1.0
POWER_PERIOD_S = 0.1
# Of the slowest counter known: assumed for one that does not move while nothing runs.
COUNTER_PERIOD_S = 0.1
# How its period is found: the time between looks, the moves waited for, and the longest wait.
LOOK_S = 0.002
MOVES = 9
LOOKING_MAX_S = 2.0
STEP_J = 1e-3


def open_meter() -> Nvml | Sampler:
    boards = Boards(_load())
    try:
        boards.energies_j()
    except NotSupported:
        return _open_power(boards)
    return Nvml(boards)


def _open_power(boards: Boards) -> Sampler:
    note = "no energy counter on this GPU: its power is sampled every %.1f s" % POWER_PERIOD_S
    try:
        boards.powers_w()
    except NotSupported:
        raise Unavailable("this GPU reports neither energy nor power") from None
    return Sampler(boards.powers_w, POWER_PERIOD_S, "average", note, device_id=boards.names())


def _load() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        raise Unavailable("no %s: no NVIDIA GPU, or its driver is not installed" % LIBRARY) from None


class NotSupported(OSError):
    """This GPU has no such reading."""


class Boards:
    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handles = {}
        try:
            self._call("nvmlInit_v2")
            count = ctypes.c_uint()
            self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
            for index in range(count.value):
                handle = ctypes.c_void_p()
                self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
                self._handles["gpu_board" if count.value == 1 else "gpu_board:%d" % index] = handle
        except OSError as error:
            raise Unavailable("the NVIDIA driver does not answer: %s" % error) from None
        if not self._handles:
            raise Unavailable("the NVIDIA driver lists no GPU")

    def energies_j(self) -> Joules:
        return self._each("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong)

    def powers_w(self) -> dict[str, float]:
        return self._each("nvmlDeviceGetPowerUsage", ctypes.c_uint)

    def names(self) -> str:
        """What the boards call themselves; "" where the driver does not say."""
        names = []
        for handle in self._handles.values():
            name = ctypes.create_string_buffer(96)
            try:
                self._call("nvmlDeviceGetName", handle, name, ctypes.c_uint(len(name)))
            except (OSError, AttributeError):
                continue
            names.append(name.value.decode(errors="replace"))
        return ", ".join(names)

    def _each(self, function: str, type_: Any) -> dict[str, float]:
        """{scope: value}, converted from thousandths."""
        found = {}
        for scope, handle in self._handles.items():
            value = type_()
            self._call(function, handle, ctypes.byref(value))
            found[scope] = value.value / 1000
        return found

    def _call(self, function: str, *arguments: Any) -> None:
        code = getattr(self._library, function)(*arguments)
        if code == NOT_SUPPORTED:
            raise NotSupported("%s is not supported" % function)
        if code:
            raise OSError("%s failed with code %d" % (function, code))


class Nvml:
    """The counters. Their period is measured at the first read, so that a probe does not wait for it."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards
        self._period_s: float | None = None
        self.note = ""
        self.instrument: dict[str, Any] = {
            "sampling": "counter",
            "period_s": COUNTER_PERIOD_S,
            "device_id": boards.names(),
        }

    def read(self) -> Reading:
        try:
            if self._period_s is None:
                self._find_period()
            return time.monotonic(), self._boards.energies_j()
        except OSError as error:
            raise Unavailable(str(error)) from None

    def _find_period(self) -> None:
        found_s = counter_period_s(self._boards.energies_j)
        if found_s is None:
            self.note = "its counter did not move while idle: assumed to move every %g s" % COUNTER_PERIOD_S
        self._period_s = found_s or COUNTER_PERIOD_S
        self.instrument["period_s"] = self._period_s

    def joules(self, before: Reading, after: Reading) -> Joules:
        """Raises Unavailable for a counter that went back or stood still."""
        moved = {scope: after[1][scope] - before[1][scope] for scope in after[1]}
        if min(moved.values()) < 0:
            raise Unavailable("its counter went back: the driver was reloaded meanwhile")
        if min(moved.values()) == 0 and after[0] - before[0] > STILL_S:
            raise Unavailable("its counter stood still for %.1f s" % (after[0] - before[0]))
        return moved

    def u_joules(self, before: Reading, after: Reading) -> Joules:
        return {scope: counter_u_j(STEP_J) for scope in self.joules(before, after)}

    @property
    def age_s(self) -> float:
        return self._period_s or COUNTER_PERIOD_S


def counter_period_s(energies_j: Callable[[], Joules]) -> float | None:
    """Seconds between two moves of a counter: the median of several, of the slowest board. None if none of them moves.

    energies_j() -> {scope: J}. Never less than the time between two looks.
    """
    moves_s: dict[str, list[float]] = {scope: [] for scope in energies_j()}
    started_s = time.monotonic()
    last = None
    while min(map(len, moves_s.values())) < MOVES and time.monotonic() - started_s < LOOKING_MAX_S:
        now_s, seen = time.monotonic(), energies_j()
        for scope, joules in seen.items():
            if last and joules != last[scope]:
                moves_s[scope].append(now_s)
        last = seen
        time.sleep(LOOK_S)
    return max((_typical_s(moves) for moves in moves_s.values() if moves), default=None)


def _typical_s(moves_s: Sequence[float]) -> float:
    """Too few moves show only that it is slow."""
    if len(moves_s) < 3:
        return LOOKING_MAX_S
    return series.median([later - earlier for earlier, later in zip(moves_s, moves_s[1:])])
