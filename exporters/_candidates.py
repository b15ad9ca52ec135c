"""Choose between INT8 files of one network: by their answers to the validation split, then by their speed here.

First the ranges: of one file per method, the one that agrees best with the parent goes on. Networks whose activations
are slow as integers: the same with the first layers float, and of those that agree as well, the fastest. Last, only if
a largest drop of accuracy was asked for and is exceeded, more layers stay float.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import msgspec

from exporters import Choice, Job, Made, Scheme, _mixed
from exporters import _parity as parity
from exporters._evidence import Evidence, Samples
from exporters._process import Worker, Workers, at_once
from exporters._ranges import METHODS
from exporters._worker import Race

# Within this the answers count as equally good, and speed decides.
AGREEMENT_TIE = 0.001
# What a slower file must lose by, so that the same file is chosen every time.
FASTER_BY = 0.03
RACE_S = 1.0
# Begins the names of the notes that describe candidates.
CANDIDATE = "candidate_"

SCHEMES = tuple(Scheme(ranges) for ranges in METHODS)


@dataclass(frozen=True)
class Candidate:
    """agreement, accuracy: on the validation split. latency_s: where speed decided."""

    made: Made
    agreement: float
    accuracy: float
    latency_s: float | None = None

    @property
    def scheme(self) -> Scheme:
        assert self.made.scheme is not None
        return self.made.scheme

    @property
    def label(self) -> str:
        count = len(self.scheme.float_layers)
        return f"{self.scheme.ranges}, {count} float" if count else self.scheme.ranges


@dataclass(frozen=True)
class Choosing:
    """The INT8 files of one plugin. worker: its converter, still there to make more of them."""

    choice: Choice
    job: Job
    worker: Worker
    workers: Workers
    evidence: Evidence

    def best(self, made: Iterable[Made], max_drop: float | None) -> tuple[Made, dict[str, str]]:
        """The chosen file and the notes that say why. max_drop: of accuracy, as a fraction."""
        scored = self._all_scored(made)
        best = max(scored, key=lambda one: one.agreement)
        if best.made.float_starts:
            others = [one for one in scored if one is not best]
            raced = self._with_float_starts(best)
            scored, best = others + raced, fastest(raced)
        drops: dict[str, str] = {}
        if max_drop is not None and self._drop(best) > max_drop:
            drops["drop_before"] = f"{self._drop(best) * 100:.2f} points"
            best = self._mixed(best, max_drop)
            drops["drop_after"] = f"{self._drop(best) * 100:.2f} points"
            scored.append(best)
        return best.made, {
            "calibration": self.evidence.calibration_note,
            "ranges": best.scheme.ranges,
            "chosen_on": f"{len(self._validation.reference)} images of the validation split",
            **{f"{CANDIDATE}{one.label}": described(one, chosen=one is best) for one in scored},
            **float_note(best),
            **drops,
        }

    @property
    def _validation(self) -> Samples:
        assert self.evidence.selection is not None
        return self.evidence.selection

    def _variants(self, scheme: Scheme, float_layers: Iterable[tuple[str, ...]]) -> list[Scheme]:
        return [msgspec.structs.replace(scheme, float_layers=layers) for layers in float_layers]

    def _made(self, schemes: Sequence[Scheme]) -> Iterator[Made]:
        job = msgspec.structs.replace(self.job, precisions=("int8",), schemes=tuple(schemes))
        for line in self.worker.answers(job):
            assert line.made is not None
            yield line.made

    def _all_scored(self, made: Iterable[Made]) -> list[Candidate]:
        with ThreadPoolExecutor(at_once()) as pool:
            return list(pool.map(self._scored, made))

    def _scored(self, made: Made) -> Candidate:
        samples = self._validation
        answers, _ = samples.answers(self.choice.plugin, Path(made.file), self.workers)
        assert samples.labels is not None
        return Candidate(made, parity.agreement(answers, samples.reference), parity.accuracy(answers, samples.labels))

    def _raced(self, candidates: list[Candidate]) -> list[Candidate]:
        files = tuple(one.made.file for one in candidates)
        latencies = self.workers.race(self.choice.plugin, Race(files, RACE_S))
        return [replace(one, latency_s=latency) for one, latency in zip(candidates, latencies, strict=True)]

    def _with_float_starts(self, best: Candidate) -> list[Candidate]:
        more = self._made(self._variants(best.scheme, best.made.float_starts))
        return self._raced([best, *self._all_scored(more)])

    def _drop(self, candidate: Candidate) -> float:
        samples = self._validation
        assert samples.labels is not None
        return parity.accuracy(samples.reference, samples.labels) - candidate.accuracy

    def _mixed(self, start: Candidate, max_drop: float) -> Candidate:
        """The fewest layers stay float that bring the drop under its limit."""
        kept = start.scheme.float_layers
        left = [layer for layer in start.made.layers if layer not in kept]
        ranking = self._ranked(start.scheme, left)

        @cache
        def with_float(count: int) -> Candidate:
            (made,) = self._made(self._variants(start.scheme, [(*kept, *ranking[:count])]))
            return self._scored(made)

        return with_float(_mixed.fewest(len(ranking), lambda count: self._drop(with_float(count)) <= max_drop))

    def _ranked(self, scheme: Scheme, layers: list[str]) -> list[str]:
        """Layers by what it costs that they are INT8, dearest first: each is, in turn, the only one.

        Leaving one out of a whole INT8 network tells less: a tensor that eight bits cannot hold is spoiled by either of
        the layers that it lies between.
        """
        samples = self.evidence.ranking
        assert samples is not None
        alone = [(*scheme.float_layers, *(other for other in layers if other != layer)) for layer in layers]
        losses = {}
        for layer, made in zip(layers, self._made(self._variants(scheme, alone)), strict=True):
            answers, _ = samples.answers(self.choice.plugin, Path(made.file), self.workers)
            losses[layer] = parity.divergence(answers, samples.reference)
            Path(made.file).unlink()
        return sorted(layers, key=losses.__getitem__, reverse=True)


def fastest(candidates: Sequence[Candidate]) -> Candidate:
    """Of those that agree about as well as the best one; an earlier one is kept unless a later is clearly faster."""
    most = max(one.agreement for one in candidates)
    good = [one for one in candidates if one.agreement >= most - AGREEMENT_TIE]
    best = good[0]
    for one in good[1:]:
        assert one.latency_s is not None and best.latency_s is not None
        if one.latency_s < best.latency_s * (1 - FASTER_BY):
            best = one
    return best


def described(candidate: Candidate, *, chosen: bool) -> str:
    text = f"agreement {candidate.agreement:.2%}, accuracy {candidate.accuracy:.2%}"
    if candidate.latency_s is not None:
        text += f", {candidate.latency_s * 1e3:.3g} ms"
    return f"{text}, chosen" if chosen else text


def float_note(chosen: Candidate) -> dict[str, str]:
    """Which layers stayed float and why."""
    layers, starts = chosen.scheme.float_layers, chosen.made.float_starts
    if not layers:
        return {}
    start = max((one for one in starts if layers[: len(one)] == one), key=len, default=())
    why = []
    if start:
        why.append(f"{', '.join(start)}: more often right so, or faster on this machine")
    if layers[len(start) :]:
        why.append(f"{', '.join(layers[len(start) :])}: dearest to the accuracy as INT8, dearest first")
    return {"float_layers": f"{len(layers)} of {len(chosen.made.layers)}; {'; '.join(why)}"}
