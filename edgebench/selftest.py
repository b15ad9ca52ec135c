"""selftest(): which differences a device can resolve, found by comparing a file with itself.

    clock ─ link ─ the same file twice in a job, job after job, with and without sampling of the device between rounds

Identical files have a ratio of 1. A real difference must exceed the reach of their intervals.
"""

from __future__ import annotations

import base64
import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec

from device_agents.python.latency import MIN_CLOCK_STEPS
from edgebench import plugins
from edgebench.analysis import between_jobs, ratios, selftest_band, stats
from edgebench.analysis.between_jobs import Deviation, Spread
from edgebench.analysis.ratios import EQUIVALENCE_MARGIN, Ratio, RatioOutcome
from edgebench.deploy import artifacts_at, deploy
from edgebench.device import provisioning, simulated
from edgebench.device.agent import Agent
from edgebench.device.transports import open_transport
from edgebench.errors import UserError
from edgebench.progress import Progress
from edgebench.schema.estimate import Estimate
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

ROUND_TRIPS = 20
# A device on which identical files differ by more is useless for comparing networks.
USELESS = 0.05


@dataclass(frozen=True)
class Pair:
    """One file measured twice in a job. sampled: the device was sampled after every round, as usual."""

    first: Record
    twin: Record
    sampled: bool

    @property
    def ratio(self) -> Ratio:
        ratio = ratios.latency_ratio(self.twin, self.first)
        assert ratio is not None  # both have rounds: _pair checks that
        return ratio

    @property
    def reach(self) -> float:
        """How far the interval of the ratio reaches from 1, as a fraction; infinite without an interval."""
        ratio = self.ratio
        if ratio.low is None or ratio.high is None:
            return math.inf
        return math.exp(max(abs(math.log(ratio.low)), abs(math.log(ratio.high)))) - 1

    @property
    def precise(self) -> bool:
        return self.first.outcome.status == self.twin.outcome.status == "complete"


@dataclass(frozen=True)
class SelfTest:
    """stopped: by Ctrl-C before all jobs had ended."""

    target: str
    plan: Plan
    round_trips_s: tuple[float, ...]
    pairs: tuple[Pair, ...]
    stopped: bool = False

    @property
    def detectable(self) -> float:
        """The reach that four jobs of five stay within, as a fraction: larger differences are real."""
        reaches = sorted(pair.reach for pair in self.pairs)
        return reaches[math.ceil(0.8 * len(reaches)) - 1]

    @property
    def useless(self) -> bool:
        return self.detectable > USELESS

    @property
    def observer(self) -> Estimate:
        """What sampling between rounds adds to a latency, as a fraction; with an interval from six jobs on."""
        on, off = ([_log_p50(pair.first) for pair in self.pairs if pair.sampled is asked] for asked in (True, False))
        shift, interval = ratios.shift_of(on, off)
        return Estimate(math.expm1(shift), *(map(math.expm1, interval) if interval else ()))

    @property
    def between_jobs(self) -> float:
        """Standard deviation of the same file's p50 between jobs (new processes, other times), as a fraction."""
        return statistics.stdev(_log_p50(pair.first) for pair in self.pairs)

    def facts(self) -> dict[str, Any]:
        """Plain values, all differences as fractions."""
        deviation = self.jobs_deviation
        return {
            "target": self.target,
            "plan": self.plan.preset,
            "artifact": self.pairs[0].first.artifact.name,
            "round_trips_s": self.round_trips_s,
            "ratios": [
                {"value": one.value, "low": one.low, "high": one.high, "outcome": one.outcome, "sampled": pair.sampled}
                for pair in self.pairs
                for one in (pair.ratio,)
            ],
            "detectable_in_a_job": self.detectable,
            "detectable_between_jobs": deviation and Spread(deviation, deviation).least,
            "deviation_between_jobs": self.between_jobs,
            "sampling": self.observer,
            "is_too_noisy": self.useless,
            "stopped": self.stopped,
        }

    def lines(self) -> Iterator[str]:
        """For a terminal of 80 columns."""
        jobs, trips_ms = len(self.pairs), [1e3 * trip_s for trip_s in self.round_trips_s]
        outcomes = Counter(pair.ratio.outcome for pair in self.pairs)
        called, same, open_ = (outcomes[one] for one in get_args(RatioOutcome))
        imprecise = sum(not pair.precise for pair in self.pairs)
        first = self.pairs[0].first
        yield f"{self.target}: {first.artifact.name} against itself, {jobs} jobs of plan {self.plan.preset}"
        step_ns, resolution_ns = first.facts_before.clock_step_ns, first.facts_before.clock_resolution_ns
        if step_ns:
            alone_us = MIN_CLOCK_STEPS * step_ns / 1e3
            steps = f", in steps of {resolution_ns} ns" if resolution_ns else ""
            yield f"  clock           {step_ns} ns a reading{steps}; below {alone_us:.3g} µs it times blocks"
        yield f"  link            {statistics.median(trips_ms):.2f} ms a round trip, at most {max(trips_ms):.2f} ms"
        yield f"  noise           p50 known to within {self._noise():.2%}; from job to job ±{self.between_jobs:.2%}"
        yield f"  sampling        {_signed(self.observer)} on the latency"
        yield f"  A/A             {called} of {jobs} jobs report a difference between identical files"
        margin = f"{EQUIVALENCE_MARGIN:.0%}"
        yield f"  outcomes        {called} different, {same} same within {margin}, {open_} not resolved"
        yield f"  not precise     {imprecise} of {jobs} jobs within {self.plan.seconds_max:g} s"
        yield f"  can resolve     above {self.detectable:.2%} inside one job{self._between_two()}"
        if self.stopped:
            yield f"  stopped after {jobs} jobs"
        if self.useless:
            yield f"  too noisy: differences below {USELESS:.0%} cannot be resolved with this plan"

    @property
    def jobs_deviation(self) -> Deviation | None:
        """None with too few jobs."""
        known = between_jobs.deviations(one for pair in self.pairs for one in (pair.first, pair.twin))
        return known.get(self.pairs[0].first.target.name)

    def _between_two(self) -> str:
        found = self.jobs_deviation
        return f", above {Spread(found, found).least:.2%} between two jobs" if found else ""

    def _noise(self) -> float:
        latencies = [stats.latency_ns(pair.first.rounds, 0.5) for pair in self.pairs]
        return statistics.median(math.inf if one.reach is None else one.reach for one in latencies if one is not None)


def selftest(
    target: Target,
    plan: Plan,
    *,
    file: Path | None = None,
    runs: int = 6,
    results: Path | None = None,
    progress: Progress,
) -> SelfTest:
    """Compare a file with itself in `runs` jobs with sampling and `runs` without, alternating.

    file: default is the tiny model of the target's runtime, or an artifact of a simulated device. results: folder for
    the records, which are not kept without it; by how much jobs differed is always kept, for `compare`. Ctrl-C ends it
    with the finished jobs; raises KeyboardInterrupt if they are fewer than two.
    """
    trips_s, runtime = _reach(target, progress)
    pairs: list[Pair] = []
    with tempfile.TemporaryDirectory(prefix="edgebench-") as scratch:
        folder = Path(scratch)
        with progress.step(f"Comparing a file with itself on {target.name}", total=2 * runs) as step:
            try:
                for number in range(2 * runs):
                    path = file or _own_file(runtime, folder, number)
                    pair = _pair(target, path, plan, results or folder / "results", sampled=number % 2 == 0)
                    pairs.append(pair)
                    step.advance(1, _described(pair.ratio))
            except KeyboardInterrupt:
                if len(pairs) < 2:
                    raise
    found = SelfTest(target.name, plan, tuple(trips_s), tuple(pairs), stopped=len(pairs) < 2 * runs)
    if found.jobs_deviation:
        selftest_band.keep(found.jobs_deviation, pairs[0].first)
    return found


def _reach(target: Target, progress: Progress) -> tuple[list[float], str]:
    """Round-trip times of the smallest request in s, and the first of the target's runtimes that works."""
    with progress.step(f"Reaching {target.name}"):
        agent = Agent(open_transport(target), f"target '{target.name}'")
        try:
            trips_s = [_round_trip_s(agent) for _ in range(ROUND_TRIPS)]
            return trips_s, _working_runtime(agent, target)
        finally:
            agent.close()


def _working_runtime(agent: Agent, target: Target) -> str:
    problems = []
    for name in target.runtimes:
        here = provisioning.look(agent, target, [name])[name]
        if not here.problem:
            return name
        problems.append(f"{name}: {here.problem}")
    raise UserError(f"target '{target.name}'", "; ".join(problems), "`edgebench targets check` shows what is missing")


def _round_trip_s(agent: Agent) -> float:
    started = time.perf_counter()
    agent.missing({})
    return time.perf_counter() - started


def _own_file(runtime: str, folder: Path, number: int) -> Path:
    """The runtime's tiny model; for a simulated device one with other noise in every job."""
    if runtime == "simulated":
        return simulated.write_bundle(folder / str(number), {"net": simulated.network("clean", seed=number)})
    module = plugins.load("device_agents.python.runtimes", runtime, kind="runtime")
    path = folder / f"tiny{module.SUFFIXES[0]}"
    path.write_bytes(base64.b64decode(module.TINY_MODEL))
    return path


def _pair(target: Target, path: Path, plan: Plan, results: Path, *, sampled: bool) -> Pair:
    """A job with the file, or the first artifact of a bundle, twice. Raises KeyboardInterrupt if it was stopped."""
    found = artifacts_at([path, path])
    wanted = [found[0], found[len(found) // 2]]
    asked = msgspec.structs.replace(plan, sampling=sampled)
    first, twin = deploy(target, wanted, asked, results)
    if "stopped" in (first.outcome.status, twin.outcome.status):
        raise KeyboardInterrupt
    for one in (first, twin):
        if not one.rounds:
            raise UserError(
                f"target '{target.name}'", f"{one.artifact.name} was not measured: {one.outcome.reason}",
                "Try another file, or `edgebench targets check`",
            )  # fmt: skip
    return Pair(first, twin, sampled)


def _log_p50(one: Record) -> float:
    latency = stats.latency_ns(one.rounds, 0.5)
    assert latency is not None
    return math.log(latency.value)


def _described(ratio: Ratio) -> str:
    if ratio.low is None or ratio.high is None:
        return f"ratio {ratio.value:.4f}"
    return f"ratio {ratio.value:.4f} ({ratio.low:.4f} to {ratio.high:.4f})"


def _signed(share: Estimate) -> str:
    if share.low is None or share.high is None:
        return f"{share.value:+.2%}"
    return f"{share.value:+.2%} ({share.low:+.2%} to {share.high:+.2%})"
