"""How long a job takes: a range from its plan before it begins, a narrower one with every line of its journal.

The low end is what the plan asks for in any case, the high end is where its budgets end. Before one was seen, an
inference is taken to last at most UNSEEN_S, and starting a process with its libraries START_S.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from edgebench.device.job_store import JobRequest
from edgebench.device.journal import (
    AnswersLine,
    AnyLine,
    ArtifactLine,
    EnergyLine,
    FactsLine,
    FailedLine,
    GateLine,
    IdleLine,
    LoadedLine,
    MemoryLine,
    RoundLine,
    WarmLine,
    event,
)
from edgebench.schema.plan import Plan

UNSEEN_S = 0.1
START_S = 2.0
# How many windows a warm-up is expected to need at most. The plan's own limit is ten times that, and is rarely reached.
UNSEEN_WINDOWS = 25
# The fewest windows after which a warm-up may end, and the fewest rounds that give a median an interval (series.py).
LEAST_WINDOWS = 10
LEAST_ROUNDS = 6
# Rounds last as long as the inferences that were expected to fill them: by these factors shorter or longer.
SHORT, LONG = 0.7, 1.25
IMAGE_S = 0.001
# The facts at the end, and anything else that belongs to no artifact.
REST_S = 3.0
# The rest before an energy window, as a share of its length (device_agents/python/energy.py).
LEAST_PAUSE, MOST_PAUSE = 0.1, 0.2


@dataclass(frozen=True)
class Range:
    low_s: float = 0.0
    high_s: float = 0.0

    def __add__(self, other: Range) -> Range:
        return Range(self.low_s + other.low_s, self.high_s + other.high_s)

    def __str__(self) -> str:
        """`9 to 35 minutes`, `20 seconds to 4 minutes`; rounded away from what lies in between."""
        low, low_unit = _rounded(self.low_s, math.floor)
        high, high_unit = _rounded(self.high_s, math.ceil)
        if not low:
            return f"at most {_counted(high, high_unit)}"
        if low_unit != high_unit:
            return f"{_counted(low, low_unit)} to {_counted(high, high_unit)}"
        return _counted(high, high_unit) if low == high else f"{low:g} to {_counted(high, high_unit)}"


def _rounded(seconds: float, way: Callable[[float], int]) -> tuple[float, str]:
    if seconds <= 120:
        return way(seconds), "second"
    if seconds <= 7200:
        return way(seconds / 60), "minute"
    return way(seconds / 360) / 10, "hour"


def _counted(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


@dataclass
class ArtifactProgress:
    """How far one artifact has come in a job. inference_s: at most this, as far as was seen.

    golden: inputs that it answers; pieces: images in each piece of its test set; answered: pieces that are done.
    warm_s: how long its warm-up took; 0 if it did not settle.
    """

    golden: int = 0
    pieces: tuple[int, ...] = ()
    answered: int = 0
    is_out: bool = False
    loaded: bool = False
    weighed: bool = False
    gated: bool = False
    warm_s: float | None = None
    rounds: int = 0
    seconds: float = 0.0
    round_s: float | None = None
    windows: int = 0
    inference_s: float = UNSEEN_S


@dataclass
class JobEstimate:
    """How far a job has come, and how long the rest takes. metered: whether something measures its energy; watched:
    whether something on this machine does, whatever meters the device has.
    """

    plan: Plan
    artifacts: list[ArtifactProgress]
    metered: bool = True
    watched: bool = False
    start_s: float = START_S
    phase: int = 0
    idle: int = 0
    _before_ns: int = field(default=0, repr=False)

    def hear(self, entry: AnyLine) -> None:
        """Learn from one line of its journal, in their order."""
        self.phase = max(self.phase, _PHASE_OF_EVENT.get(event(entry), 0))
        match entry:
            case FactsLine(when="after"):
                self.phase = _OVER
            case FactsLine():
                self.metered = self.watched or any(meter.available for meter in entry.facts.meters.values())
            case GateLine():
                for index in range(len(self.artifacts)) if entry.artifacts is None else entry.artifacts:
                    if index < len(self.artifacts):
                        self.artifacts[index].gated = True
            case IdleLine():
                self.idle += 1
            case EnergyLine() | ArtifactLine():
                self._hear_of(self.artifacts[entry.artifact], entry)
        self._before_ns = entry.t_ns

    def _hear_of(self, mine: ArtifactProgress, entry: EnergyLine | ArtifactLine) -> None:
        match entry:
            case FailedLine():
                mine.is_out = True
            case LoadedLine():
                self._hear_loaded(mine, entry)
            case MemoryLine():
                mine.weighed = True
            case WarmLine():
                mine.warm_s = entry.spent_s if entry.stationary else 0.0
                mine.inference_s = min(mine.inference_s, entry.spent_s / max(1, entry.windows))
            case RoundLine() if entry.round.duration_ns and not entry.round.interrupted:
                mine.rounds, mine.round_s = mine.rounds + 1, entry.round.duration_ns / 1e9
                mine.seconds += mine.round_s
                mine.inference_s = min(mine.inference_s, mine.round_s)
            case EnergyLine():
                mine.windows += 1
                mine.inference_s = entry.window.duration_s / entry.window.inferences
            case AnswersLine():
                mine.answered = entry.piece + 1

    def _hear_loaded(self, mine: ArtifactProgress, entry: LoadedLine) -> None:
        first = not any(one.loaded for one in self.artifacts)
        took_s = max(0, entry.t_ns - self._before_ns) / 1e9 if self._before_ns else START_S
        self.start_s = took_s if first else max(self.start_s, took_s)
        mine.loaded = True
        mine.inference_s = (entry.loaded.first_inference_ns or 0) / 1e9

    @property
    def is_settled(self) -> bool:
        """Whether the estimate rests on what was seen: all warm-ups are over."""
        return all(one.is_out or one.warm_s is not None for one in self.artifacts)

    def left(self) -> Range:
        """How much longer it takes, from the last line on."""
        if self.phase == _OVER:
            return Range(0.0, REST_S)
        alive = [one for one in self.artifacts if not one.is_out]
        total = Range(0.0, REST_S)
        if self.phase <= _ROUNDS:
            total += _sum(self._checked(one) for one in alive)
            groups = [[one] for one in alive] if self.plan.sustained else [alive] if alive else []
            total += _sum(self._timed(group) for group in groups)
        if self.phase <= _ENERGY:
            total += self._energy(alive)
        images_s = (sum(one.pieces[one.answered :]) * (1.5 * one.inference_s + IMAGE_S) for one in alive)
        layers_s = (self.plan.layers_s and LONG * self.plan.layers_s + 3 * self._started_s(one) for one in alive)
        return total + Range(0.0, sum(images_s) + sum(layers_s))

    def _checked(self, one: ArtifactProgress) -> Range:
        """Golden inputs, the memory pass."""
        most = 0.0
        if not one.loaded:
            most += self._started_s(one)
        if not one.weighed:
            most += self.start_s + (1 + self.plan.memory_inferences) * 1.5 * one.inference_s
        return Range(0.0, most)

    def _started_s(self, one: ArtifactProgress) -> float:
        """At most, until its process has answered."""
        return 1.5 * self.start_s + (1 + one.golden) * 1.5 * one.inference_s

    def _timed(self, group: Sequence[ArtifactProgress]) -> Range:
        """Gate, warm-up and rounds of artifacts that take turns."""
        plan = self.plan
        total = Range() if all(one.gated for one in group) else Range(0.0, plan.gate_max_s + 1.0)
        total += _sum(self._warm_up(one) for one in group)
        total += _sum(self._rounds(one, group) for one in group)
        return total + self._renewed(group)

    def _warm_up(self, one: ArtifactProgress) -> Range:
        plan = self.plan
        pause_s = 1 / plan.duty_hz if plan.duty_hz else 0.0
        window_s = self._lasts(plan.warmup_window_s, one)
        if one.warm_s is None:
            least_s = min(plan.warmup_max_s, SHORT * LEAST_WINDOWS * plan.warmup_window_s)
            return Range(least_s, 2 * (plan.warmup_max_s + 2 * window_s) + pause_s)
        return Range() if one.rounds else Range(0.0, LONG * one.warm_s + window_s)

    def _lasts(self, seconds: float, one: ArtifactProgress) -> float:
        """Of inferences that are to fill so many seconds: one at least, and with a pace a number of them."""
        if self.plan.duty_hz:
            return max(2, round(seconds * self.plan.duty_hz)) * max(1 / self.plan.duty_hz, one.inference_s)
        return max(seconds, one.inference_s)

    def _round_s(self, one: ArtifactProgress) -> float:
        if one.round_s is not None:
            return one.round_s
        plan = self.plan
        inferences_s = plan.window_inferences_min * one.inference_s
        return max(self._lasts(plan.round_s, one), plan.window_s_min, inferences_s)

    @property
    def _least_rounds(self) -> int:
        return self.plan.rounds_min if self.plan.precision is None else max(self.plan.rounds_min, LEAST_ROUNDS)

    def _seconds(self) -> float:
        """Of each artifact's rounds, after which they end in any case."""
        return self.plan.seconds_min if self.plan.precision is None else self.plan.seconds_max

    def _rounds(self, one: ArtifactProgress, group: Sequence[ArtifactProgress]) -> Range:
        plan, left = self.plan, max(0, self._least_rounds - one.rounds)
        mine_s = self._round_s(one)
        low_s = max(plan.seconds_min - one.seconds, left * SHORT * max(plan.round_s, plan.window_s_min), 0.0)
        # All take part in every round until the last one has enough.
        longest_s = max(max(0.0, self._seconds() - other.seconds) / self._round_s(other) for other in group) * mine_s
        slack = LONG if len(group) > 1 else 1.0
        return Range(low_s, max(slack * longest_s, LONG * left * mine_s, 0.0) + 2 * LONG * mine_s)

    def _renewed(self, group: Sequence[ArtifactProgress]) -> Range:
        """Fresh processes, every few rounds."""
        plan = self.plan
        every = plan.rounds_per_process
        if not every:
            return Range()
        done = min(one.rounds for one in group)
        least = max(done, self._least_rounds)
        seconds_left = max(max(0.0, self._seconds() - one.seconds) / self._round_s(one) for one in group)
        most = max(least, done + math.ceil(LONG * seconds_left) + 1)
        before = max(0, max(one.rounds for one in group) - 1) // every
        low, high = (max(0, (rounds - 1) // every - before) for rounds in (least, most))
        total = _sum(self._renewal(one) for one in group)
        return Range(low * total.low_s, (high + 1) * total.high_s)

    def _renewal(self, one: ArtifactProgress) -> Range:
        window_s = self._lasts(self.plan.warmup_window_s, one)
        if one.warm_s is None:
            least_s = 2 * SHORT * LEAST_WINDOWS * self.plan.warmup_window_s
            most_s = min(2 * self.plan.warmup_max_s, 2 * UNSEEN_WINDOWS * window_s)
        else:
            least_s, most_s = SHORT * 2 * one.warm_s, LONG * 2 * one.warm_s + window_s
        return Range(least_s, self._started_s(one) + most_s)

    def _energy(self, alive: Sequence[ArtifactProgress]) -> Range:
        plan = self.plan
        if not plan.energy_windows or not self.metered or not alive:
            return Range()
        window_s, total = plan.energy_window_s, Range()
        for one in (None, *alive):
            done = self.idle if one is None else one.windows
            extra = 1 if one is None else 0  # one idle window more than rounds
            low = max(0, plan.energy_windows + extra - done)
            high = max(0, plan.energy_windows_max + extra - done)
            longest_s = (1 + MOST_PAUSE) * window_s + (one.inference_s if one else 0.5)
            total += Range(low * (1 + LEAST_PAUSE) * window_s, high * longest_s)
        return total


_ROUNDS, _ENERGY, _ANSWERS, _OVER = range(1, 5)
_PHASE_OF_EVENT = {"meter": _ENERGY, "idle": _ENERGY, "energy": _ENERGY, "answers": _ANSWERS, "end": _OVER}


def _sum(ranges: Iterable[Range]) -> Range:
    return sum(ranges, Range())


def of_plan(plan: Plan, artifacts: int, *, golden: int = 0, images: int = 0, metered: bool = True) -> Range:
    """A job that has not begun. golden, images: of each artifact; metered: whether anything will measure its energy."""
    return JobEstimate(plan, [ArtifactProgress(golden, (images,)) for _ in range(artifacts)], metered).left()


def job_of(request: JobRequest, *, metered: bool, watched: bool) -> JobEstimate:
    """metered: whether the device is known to measure its energy; watched: whether something on this machine does."""
    seen = []
    for spec in request.specs:
        golden = (spec.get("golden") or {}).get("count", 0)
        seen.append(ArtifactProgress(golden, tuple(count for _, count in (spec.get("test") or {}).get("pieces", ()))))
    simulated = any(spec["runtime"] == "simulated" for spec in request.specs)
    watched = watched or bool(request.plan.carbon)
    return JobEstimate(request.plan, seen, metered or simulated or watched, watched)
