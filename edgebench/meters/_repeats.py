"""From windows to joules per inference: idle power taken off, the spread between windows, and when to stop."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from device_agents.python import series
from edgebench.meters._integration import WindowEnergy

WINDOWS_MIN = 5
WINDOWS_MAX = 20
PRECISION = 0.02
DRIFT_SHARE = 0.03


@dataclass(frozen=True)
class Baseline:
    """Idle power in W before and after the windows, by the same meter; u_w: standard uncertainty of their mean."""

    before_w: float
    after_w: float
    u_w: float

    @property
    def mean_w(self) -> float:
        return (self.before_w + self.after_w) / 2

    @property
    def drift_w(self) -> float:
        return abs(self.after_w - self.before_w)

    def drifted(self, active_w: float) -> bool:
        return self.drift_w > DRIFT_SHARE * active_w


def baseline(before: WindowEnergy, after: WindowEnergy) -> Baseline:
    """A drift between the two is part of what is not known: it went in any way from one to the other."""
    drift_w = after.mean_w - before.mean_w
    own_w = math.hypot(before.u_window_j / before.duration_s, after.u_window_j / after.duration_s) / 2
    return Baseline(before.mean_w, after.mean_w, math.hypot(own_w, drift_w / math.sqrt(12)))


@dataclass(frozen=True)
class PerInference:
    """Joules for one inference. half_width_j: 95 %, from the spread between windows (Student's t), None below three.

    u_systematic_j: standard uncertainty of the meter's accuracy, which repeating does not lower and which cancels in
    ratios of the same meter; None if nobody states it.
    """

    mean_j: float
    median_j: float
    half_width_j: float | None
    u_systematic_j: float | None

    @property
    def u95_j(self) -> float | None:
        """Both parts; None where either is not known."""
        if self.half_width_j is None or self.u_systematic_j is None:
            return None
        return math.hypot(self.half_width_j, 2 * self.u_systematic_j)


def gross(windows: Sequence[WindowEnergy], inferences: Sequence[int]) -> PerInference:
    """What the supply pays, idle power included."""
    energies_j = [one.energy_j / count for one, count in zip(windows, inferences, strict=True)]
    return _per_inference(energies_j, _systematic(windows, inferences))


def net(windows: Sequence[WindowEnergy], inferences: Sequence[int], idle: Baseline) -> PerInference:
    """Without idle power. What is not known of the idle power is the same in every window: it is systematic."""
    energies_j, idle_j = [], []
    for one, count in zip(windows, inferences, strict=True):
        energies_j.append((one.energy_j - one.duration_s * idle.mean_w) / count)
        idle_j.append(one.duration_s * idle.u_w / count)
    meter_j = _systematic(windows, inferences)
    return _per_inference(energies_j, None if meter_j is None else math.hypot(meter_j, statistics.mean(idle_j)))


def enough(energies_j: Sequence[float], precision: float = PRECISION) -> bool:
    """Whether the 95 % interval of the mean is within +/- `precision` of it."""
    if len(energies_j) < WINDOWS_MIN:
        return False
    half_j = series.mean_half_width(energies_j)
    return half_j is not None and half_j <= precision * abs(statistics.mean(energies_j))


def why_not_enough(energies_j: Sequence[float], precision: float = PRECISION) -> str:
    """The reason to refuse windows that stay too far apart; "" while there is none: go on, or stop if `enough`."""
    if len(energies_j) < WINDOWS_MAX or enough(energies_j, precision):
        return ""
    half = (series.mean_half_width(energies_j) or math.inf) / abs(statistics.mean(energies_j))
    return f"known to ±{half:.1%} after {len(energies_j)} windows, asked for ±{precision:.1%}; longer windows help"


def _per_inference(energies_j: list[float], u_systematic_j: float | None) -> PerInference:
    half_j = series.mean_half_width(energies_j)
    return PerInference(statistics.mean(energies_j), statistics.median(energies_j), half_j, u_systematic_j)


def _systematic(windows: Sequence[WindowEnergy], inferences: Sequence[int]) -> float | None:
    known = [
        one.u_systematic_j / count
        for one, count in zip(windows, inferences, strict=True)
        if one.u_systematic_j is not None
    ]
    return statistics.mean(known) if known and len(known) == len(windows) else None
