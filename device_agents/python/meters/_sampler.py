"""For meters that show power, not energy: a thread samples them and adds up joules.

    point     ──•────•────•──   trapezoids between values
    average   ──┐    ┌────┐     a value holds since the one before it

It sleeps between samples and runs in idle windows as well: its cost is part of the baseline.
"""

from __future__ import annotations

import collections
import math
import threading
import time

from .. import series
from . import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from . import Joules

    # ({scope: joules so far}, {scope: squared joules between values so far}, instant, looks and moves so far)
    Reading = tuple[Joules, dict[str, float], float, int, int]

# No value for longer than this many periods is a gap in the energy; the minimum allows for a busy board.
GAP_PERIODS = 10
GAP_MIN_S = 1.0
# Variance of the joules between two values of a point meter, as a share of (jump times interval) squared. Slow meters
# hit bursts by chance (von Neumann 1941); dense ones miss only the instant of the jump, which is anywhere between the
# two values: d^2 / 12.
SHARE_OF_JUMP = {True: 1 / 12, False: 1 / 2}
DENSE_PERIOD_S = 0.011
# A chip renews its averages at its own pace, up to a tenth off the nominal one (INA226 converts in 1.1 ms typically,
# 1.21 at most, SBOS547; others are assumed to be like it): a share r of them is seen twice or not at all. For values of
# variance d^2 / 2 that is r (1 - r) d^2 / 2 each; this is the mean over r.
SHARE_OF_MISSED = (0.1 / 2 - 0.1**2 / 3) / 2
# Slow meters are better judged by how the means of parts of a window differ (Conway 1963): the length of a part in
# seconds, the fewest parts, and how many are kept.
PART_S, PARTS_MIN, PARTS_KEPT = 1.0, 8, 2000
# Point values that are kept, as they may be in step with the load.
VALUES_KEPT = 20_000
# Values that never changed in this many samples, idle and inferring, are frozen.
STILL_LOOKS = 20
# Power below this flows backwards; above it is an offset.
BACK_W = -0.02


class Sampler:
    """power_w() -> {scope: W}, or raises OSError; called every period_s from the first `read` on.

    age_s: an average is held until the next one, so it is at most that old.
    """

    def __init__(
        self, power_w: Callable[[], dict[str, float]], period_s: float, kind: str, note: str = "", **known: Any
    ) -> None:
        self.note = note
        self.instrument = {"sampling": kind, "period_s": period_s, **known}
        self._power_w = power_w
        self.age_s = period_s if kind == "average" else 0.0
        self._period_s = period_s
        self._kind = kind
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._last: tuple[float, dict[str, float]] | None = None
        self._joules: Joules = {}
        self._jumps_j2: dict[str, float] = {}
        self._looks = self._moves = 0
        self._parts: collections.deque[tuple[float, Joules]] = collections.deque(maxlen=PARTS_KEPT)
        self._points: collections.deque[tuple[float, dict[str, float]]] = collections.deque(maxlen=VALUES_KEPT)
        self._problem: str | None = None

    def points(self, scope: str, start_s: float, end_s: float) -> tuple[list[float], list[float]]:
        """(instants, W) of a window; empty for averages, which cover all of the power."""
        with self._lock:
            found = [(at_s, watts[scope]) for at_s, watts in self._points if start_s < at_s < end_s]
        return [at_s for at_s, _ in found], [power_w for _, power_w in found]

    def read(self) -> Reading:
        """({scope: joules so far}, {scope: squared joules between values so far}, instant, looks and moves so far)."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._look()
            self._thread.start()
        else:
            self._look()
        with self._lock:
            if self._problem or not self._last:
                raise Unavailable(self._problem or "it has no value yet")
            return dict(self._joules), dict(self._jumps_j2), self._last[0], self._looks, self._moves

    def joules(self, before: Reading, after: Reading) -> Joules:
        moved = {scope: joules - before[0][scope] for scope, joules in after[0].items()}
        seconds = after[2] - before[2]
        for scope, joules in moved.items():
            if seconds and joules / seconds < BACK_W:
                raise Unavailable(
                    "current flows backwards (%s: %.3g W): swap the leads of the sensor" % (scope, joules / seconds)
                )
        return moved

    def check_moving(self, before: Reading, after: Reading) -> None:
        """Raises Unavailable for values that are identical to the digit, whatever the device did."""
        looks = after[3] - before[3]
        if looks >= STILL_LOOKS and after[4] == before[4]:
            raise Unavailable(
                "its %d values never changed, idle or inferring: the sensor hangs; reload its driver" % looks
            )

    def u_joules(self, before: Reading, after: Reading) -> Joules:
        """point: due to what happens between values. average: due to those seen twice or not at all."""
        if self._kind == "point":
            parts = [part for part in self._parts if before[2] <= part[0] <= after[2]]
            if self._period_s > DENSE_PERIOD_S and len(parts) > PARTS_MIN:
                return {scope: _spread_j(parts, scope, after[2] - before[2]) for scope in after[1]}
            share = SHARE_OF_JUMP[self._period_s <= DENSE_PERIOD_S]
            return {scope: math.sqrt(share * (jumps - before[1][scope])) for scope, jumps in after[1].items()}
        return {scope: math.sqrt(SHARE_OF_MISSED * (j2 - before[1][scope])) for scope, j2 in after[1].items()}

    def close(self) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._period_s):
            self._look()

    def _look(self) -> None:
        """Take one value and add it up. The first problem ends everything: a window with a gap is not valid."""
        with self._lock:
            if self._problem:
                return
            try:
                now_s, watts = time.monotonic(), self._power_w()
            except (OSError, ValueError) as error:
                self._problem = "it stopped answering: %s" % error
                return
            if self._last:
                self._add(now_s, watts, *self._last)
            else:
                self._joules = {scope: 0.0 for scope in watts}
                self._jumps_j2 = dict(self._joules)
            self._looks += 1
            self._moves += self._last is not None and watts != self._last[1]
            self._last = now_s, watts
            if self._kind == "point":
                self._points.append(self._last)

    def _add(self, now_s: float, watts: dict[str, float], then_s: float, watts_then: dict[str, float]) -> None:
        span_s = now_s - then_s
        if span_s > max(GAP_PERIODS * self._period_s, GAP_MIN_S):
            self._problem = "no value for %.1f s: the device is too busy to read it" % span_s
            return
        for scope, power_w in watts.items():
            mean_w = (power_w + watts_then[scope]) / 2 if self._kind == "point" else power_w
            self._joules[scope] += mean_w * span_s
            self._jumps_j2[scope] += ((power_w - watts_then[scope]) * span_s) ** 2
        if not self._parts or now_s - self._parts[-1][0] >= PART_S:
            self._parts.append((now_s, dict(self._joules)))


def _spread_j(parts: Sequence[tuple[float, Joules]], scope: str, seconds: float) -> float:
    """Standard uncertainty of a window's joules, from (instant, joules so far) at the ends of its parts."""
    means_w = [
        (later[1][scope] - earlier[1][scope]) / (later[0] - earlier[0]) for earlier, later in zip(parts, parts[1:])
    ]
    half = series.mean_half_width(means_w)
    return half / 2 * seconds if half is not None else 0.0
