"""Made-up round medians, as a stop rule and the statistics see them: no agent, thousands of experiments in seconds.

A round median is exp(noise); its true median is 1. Two identical artifacts share what the device does to both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from device_agents.python import series
from edgebench.analysis import ratios
from edgebench.schema.plan import Plan

Interval = tuple[float, float]
Noise = Callable[[np.random.Generator, int], np.ndarray]


def independent(size: float) -> Noise:
    return lambda source, count: source.normal(0, size, count)


def heavy_tailed(size: float) -> Noise:
    """Student's t with three degrees of freedom."""
    return lambda source, count: size * source.standard_t(3, count)


def skewed(size: float) -> Noise:
    """Exponential, less its median."""
    return lambda source, count: size * (source.exponential(size=count) - math.log(2))


def autocorrelated(size: float, phi: float) -> Noise:
    """AR(1)."""

    def draw(source: np.random.Generator, count: int) -> np.ndarray:
        values = source.normal(0, size, count)
        for step in range(1, count):
            values[step] = phi * values[step - 1] + math.sqrt(1 - phi**2) * values[step]
        return values

    return draw


def per_process(size: float, level: float, plan: Plan) -> Noise:
    """Every process has a level of its own as well, which all of its rounds share."""
    every = plan.rounds_per_process

    def draw(source: np.random.Generator, count: int) -> np.ndarray:
        levels = source.normal(0, level, math.ceil(count / every))
        return source.normal(0, size, count) + np.repeat(levels, every)[:count]

    return draw


def with_slow_rounds(size: float, share: float, factor: float) -> Noise:
    """A share of the rounds is slower by a factor; less the median of all."""
    everything = _slowed(np.random.default_rng(0), 1_000_000, size, share, factor)
    median = float(np.median(everything))
    return lambda source, count: _slowed(source, count, size, share, factor) - median


def _slowed(source: np.random.Generator, count: int, size: float, share: float, factor: float) -> np.ndarray:
    return source.normal(0, size, count) + math.log(factor) * (source.random(count) < share)


@dataclass(frozen=True)
class Measured:
    """Two files in one job: round medians, whether both are known well enough, the interval of their log ratio."""

    first: list[float]
    twin: list[float]
    precise: bool
    interval: Interval | None

    @property
    def differs(self) -> bool:
        return not _holds(self.interval, 0.0)


def measured(own: Noise, shared: Noise, plan: Plan, seed: int, *, difference: float = 0.0) -> Measured:
    """One job. difference: by what fraction the second file is slower."""
    source = np.random.default_rng(seed)
    most = math.ceil(plan.seconds_max / plan.round_s)
    common = shared(source, most)
    first, twin = (np.exp(own(source, most) + common).tolist() for _ in range(2))
    twin = [median * (1 + difference) for median in twin]
    stop, precise = _stop(first, twin, plan)
    first, twin = first[:stop], twin[:stop]
    differences = np.log(np.divide(twin, first)).tolist()
    return Measured(first, twin, precise, series.median_interval(differences, cautious=True))


@dataclass(frozen=True)
class Outcome:
    """Of many jobs of two identical files; shares are fractions of all of them."""

    rounds: float
    covered: float
    precise: float
    called_paired: float
    called_unpaired: float
    detectable: float
    """The smallest difference that the paired interval finds in 80 % of the jobs, as a fraction."""


def experiment(own: Noise, shared: Noise, plan: Plan, count: int) -> Outcome:
    jobs = [measured(own, shared, plan, seed) for seed in range(count)]
    logs = [np.log(job.first).tolist() for job in jobs]
    across = [ratios.shift_of(one, next_)[1] for one, next_ in zip(logs, logs[1:], strict=False)]
    return Outcome(
        rounds=float(np.median([len(job.first) for job in jobs])),
        covered=sum(_holds(series.median_interval(job.first), 1.0) for job in jobs) / count,
        precise=sum(job.precise for job in jobs) / count,
        called_paired=sum(job.differs for job in jobs) / count,
        called_unpaired=sum(not _holds(interval, 0.0) for interval in across) / len(across),
        # A true difference moves the interval as a whole: it is found from where the interval no longer holds 0.
        detectable=float(np.quantile([-job.interval[0] if job.interval else math.inf for job in jobs], 0.8)),
    )


def _stop(first: Sequence[float], twin: Sequence[float], plan: Plan) -> tuple[int, bool]:
    """After how many rounds the agent would have ended, and whether because both were precise."""
    rule = msgspec.to_builtins(plan)
    for count in range(plan.rounds_min, len(first) + 1):
        seconds = count * plan.round_s
        if all(series.is_enough(medians[:count], plan.values_min, seconds, rule) for medians in (first, twin)):
            return count, True
    return len(first), False


def _holds(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]
