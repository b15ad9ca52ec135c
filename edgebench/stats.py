"""Pure functions on the raw values of records. Times are in ns; intervals are two-sided 95 %.

The interval of a quantile is that of the method of batch means over rounds (see device_agents/python/series.py):
values inside a round are correlated, so their number says nothing about how well the quantile is known.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from device_agents.python import series
from edgebench.plan import Plan
from edgebench.record import EnergyReading, Provenance, Record, Round

# A quantile q of one round needs this many values beyond it to mean anything (10 x 0.1 is less than 1 in binary).
_TAIL_VALUES = 1 - 1e-9


@dataclass(frozen=True)
class Estimate:
    """A value with the half-width of its 95 % interval; None where there are too few rounds or values."""

    value: float
    half_width: float | None = None

    @property
    def relative(self) -> float | None:
        return None if self.half_width is None else self.half_width / self.value


def settled_ns(round_: Round) -> np.ndarray:
    """Latencies of one inference in a round, without the cold start of the worker's waking up. Float [values]."""
    cold = series.cold_prefix(round_.values_ns)
    return np.asarray(round_.values_ns[cold:], dtype=float) / round_.block


def round_quantiles_ns(rounds: Sequence[Round], q: float) -> list[float]:
    return [float(np.quantile(settled_ns(round_), q)) for round_ in rounds]


def latency_ns(rounds: Sequence[Round], q: float) -> Estimate | None:
    """Quantile q of the latency over all rounds, in ns."""
    if not rounds:
        return None
    pooled = np.concatenate([settled_ns(round_) for round_ in rounds])
    value = float(np.quantile(pooled, q))
    enough = all(len(settled_ns(round_)) * (1 - q) >= _TAIL_VALUES for round_ in rounds)
    return Estimate(value, series.half_width(round_quantiles_ns(rounds, q)) if enough else None)


def is_enough(rounds: Sequence[Round], plan: Plan) -> bool:
    """Whether the plan's stop rule was met; the agent stops by the same one."""
    medians = round_quantiles_ns(rounds, 0.5)
    values = sum(len(settled_ns(round_)) for round_ in rounds)
    seconds = sum(sum(round_.values_ns) for round_ in rounds) / 1e9
    return series.is_enough(medians, values, seconds, msgspec.to_builtins(plan))


def throughput_hz(rounds: Sequence[Round]) -> float | None:
    """Inferences per second of busy time, batch 1, one after the other (single-stream)."""
    if not rounds:
        return None
    pooled = np.concatenate([settled_ns(round_) for round_ in rounds])
    return 1e9 / float(pooled.mean())


@dataclass(frozen=True)
class Ratio:
    """A ratio of medians with its 95 % interval (None: too few rounds). paired: round by round, in one job."""

    value: float
    low: float | None
    high: float | None
    paired: bool

    @property
    def differs(self) -> bool | None:
        """Whether the interval leaves 1 out; None if there is none."""
        if self.low is None or self.high is None:
            return None
        return self.low > 1 or self.high < 1


def latency_ratio(record: Record, baseline: Record) -> Ratio | None:
    """Median latency of `record` over that of `baseline`.

    In one job the rounds are paired: what slowed one round slowed both. Otherwise Welch's interval on the
    logarithms of the round medians (Welch 1947).
    """
    own, base = _log_medians(record), _log_medians(baseline)
    if not own or not base:
        return None
    common = sorted(own.keys() & base.keys())
    if record.job == baseline.job and len(common) >= 3:
        differences = [own[number] - base[number] for number in common]
        return _ratio(statistics.mean(differences), series.half_width(differences), paired=True)
    left, right = list(own.values()), list(base.values())
    return _ratio(statistics.mean(left) - statistics.mean(right), _welch_half_width(left, right), paired=False)


def _log_medians(record: Record) -> dict[int, float]:
    medians = round_quantiles_ns(record.rounds, 0.5)
    return {round_.number: math.log(median) for round_, median in zip(record.rounds, medians, strict=True)}


def _welch_half_width(left: list[float], right: list[float]) -> float | None:
    if len(left) < 3 or len(right) < 3:
        return None
    a = statistics.variance(left) / len(left)
    b = statistics.variance(right) / len(right)
    if a + b == 0:
        return 0.0
    freedom = (a + b) ** 2 / (a**2 / (len(left) - 1) + b**2 / (len(right) - 1))
    return series.t95(int(freedom)) * math.sqrt(a + b)


def _ratio(log_ratio: float, half: float | None, *, paired: bool) -> Ratio:
    low = None if half is None else math.exp(log_ratio - half)
    high = None if half is None else math.exp(log_ratio + half)
    return Ratio(math.exp(log_ratio), low, high, paired)


@dataclass(frozen=True)
class EnergyPerInference:
    """Joules for one inference: gross, and net of the idle power of the window before."""

    meter: str
    scope: str
    provenance: Provenance
    gross_j: Estimate
    net_j: Estimate


def energy_per_inference(reading: EnergyReading) -> list[EnergyPerInference]:
    """Per scope, never summed across scopes. The interval is that of the spread between windows."""
    scopes = sorted({scope for window in reading.windows for scope in window.active_j})
    found = []
    for scope in scopes:
        gross = [window.active_j[scope] / window.inferences for window in reading.windows]
        net = [
            (window.active_j[scope] - window.idle_j[scope] / window.idle_s * window.active_s) / window.inferences
            for window in reading.windows
        ]
        found.append(EnergyPerInference(reading.meter, scope, reading.provenance, _mean(gross), _mean(net)))
    return found


def _mean(values: list[float]) -> Estimate:
    return Estimate(statistics.mean(values), series.half_width(values))


def wilson_interval(successes: float, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927), as fractions."""
    z = 1.959964
    share = successes / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (centre - spread) / (1 + z * z / count), (centre + spread) / (1 + z * z / count)
