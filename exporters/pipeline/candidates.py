"""Choose between INT8 files of one network: by their answers to the validation split, then by their speed here.

First the ranges: one file for each method, and the one whose answers are closest to the parent's is kept (`criterion`).
For networks whose activations are slow as integers: the same with the first layers in float; the fastest of the files
that are as good is kept. Last, only if the accuracy drop exceeds the limit the user set, operators stay float.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from edgebench.schema import tensors
from exporters import Choice, ConversionJob, ConvertedFile, Scheme
from exporters.arithmetic.ranges import METHODS
from exporters.pipeline import accuracy_drop, answers, bisection
from exporters.pipeline.accuracy_drop import AccuracyDrop
from exporters.pipeline.criterion import AGREEMENT, Criterion
from exporters.pipeline.reference_data import ReferenceData
from exporters.pipeline.samples import Samples
from exporters.workers.messages import RaceTask
from exporters.workers.process import WorkerPool, WorkerProcess, at_once

# Within these limits answers count as equally good, and speed decides.
AGREEMENT_TIE = 0.001
DIVERGENCE_TIE = 0.1  # relative to the lowest
# A file must be this much faster to win, so that the same file is chosen every time.
FASTER_BY = 0.03
RACE_S = 1.0
# Prefix of the notes that describe candidates.
CANDIDATE = "candidate_"

SCHEMES = tuple(Scheme(ranges) for ranges in METHODS)


@dataclass(frozen=True)
class Candidate:
    """agreement, accuracy, divergence, drop: on labelled samples, otherwise only distance. latency_s: set where speed
    decided.
    """

    made: ConvertedFile
    agreement: float = 0.0
    accuracy: float = 0.0
    latency_s: float | None = None
    divergence: float = 0.0
    drop: AccuracyDrop | None = None
    distance: float = 0.0

    @property
    def scheme(self) -> Scheme:
        assert self.made.scheme is not None
        return self.made.scheme

    @property
    def label(self) -> str:
        count = len(self.scheme.float_layers)
        return f"{self.scheme.ranges}, {count} float" if count else self.scheme.ranges

    @property
    def lost_points(self) -> float:
        assert self.drop is not None
        return self.drop.points.value

    @property
    def is_int8(self) -> bool:
        """Whether it is INT8 in more than its name: some layer with weights is, and the file is smaller for it."""
        some = not set(self.made.weighted).issubset(self.scheme.float_layers)
        return some and Path(self.made.file).stat().st_size < self.made.float32_bytes

    def loss(self, criterion: Criterion) -> float:
        if criterion.kind == "distance":
            return self.distance
        return self.divergence if criterion.kind == "divergence" else 1 - self.agreement


@dataclass(frozen=True)
class Best:
    """notes: why this file. drop: on the validation split, None if there was only one file.

    tried: in words, what was done to keep the drop small.
    """

    made: ConvertedFile
    notes: dict[str, str]
    drop: AccuracyDrop | None
    tried: str


@dataclass(frozen=True)
class CandidateSelection:
    """The INT8 files of one plugin. worker: its converter, which still runs and can make more of them."""

    choice: Choice
    job: ConversionJob
    worker: WorkerProcess
    workers: WorkerPool
    reference: ReferenceData

    def best(self, made: Iterable[ConvertedFile], max_drop_points: float | None) -> Best:
        """The chosen file. max_drop_points: how many points of accuracy it may lose."""
        criterion = self.reference.criterion
        scored = self._all_scored(made)
        best = min(scored, key=lambda one: one.loss(criterion))
        tried = f"{len(scored)} ways to choose ranges"
        if best.made.float_starts:
            others = [one for one in scored if one is not best]
            raced = self._with_float_starts(best)
            scored, best = others + raced, fastest(raced, criterion)
            tried += f", the first {' or '.join(str(len(start)) for start in best.made.float_starts)} layers in float"
        drops: dict[str, str] = {}
        if max_drop_points is not None and best.lost_points > max_drop_points:
            drops["drop_before"] = f"{best.lost_points:.2f} points"
            found, mixed = self._mixed(best, max_drop_points)
            tried += f", {mixed}"
            if found is not best:
                scored.append(found)
                best = found
            drops["drop_after"] = f"{best.lost_points:.2f} points"
        notes = {
            "calibration": self.reference.calibration_note,
            "ranges": best.scheme.ranges,
            "chosen_on": self.reference.chosen_on,
            "chosen_by": criterion.why,
            **{f"{CANDIDATE}{one.label}": described(one, criterion, chosen=one is best) for one in scored},
            **float_note(best),
            **drops,
        }
        return Best(best.made, notes, best.drop, tried)

    @property
    def _validation(self) -> Samples:
        assert self.reference.selection is not None
        return self.reference.selection

    def _variants(self, scheme: Scheme, float_layers: Iterable[tuple[str, ...]]) -> list[Scheme]:
        return [msgspec.structs.replace(scheme, float_layers=layers) for layers in float_layers]

    def _made(self, schemes: Sequence[Scheme]) -> Iterator[ConvertedFile]:
        job = msgspec.structs.replace(self.job, precisions=("int8",), schemes=tuple(schemes))
        for line in self.worker.answers(job):
            assert line.made is not None
            yield line.made

    def _all_scored(self, made: Iterable[ConvertedFile]) -> list[Candidate]:
        with ThreadPoolExecutor(at_once()) as pool:
            return list(pool.map(self._scored, made))

    def _scored(self, made: ConvertedFile) -> Candidate:
        samples = self._validation
        found, _ = samples.answers(self.choice.plugin, Path(made.file), self.workers)
        if samples.labels is None:
            return Candidate(made, distance=answers.distance(found, samples.reference))
        (logits,), (expected,) = found.like_parent, samples.reference
        return Candidate(
            made,
            tensors.agreement(logits, expected),
            tensors.accuracy(logits, samples.labels),
            divergence=tensors.divergence(logits, expected),
            drop=accuracy_drop.measured(logits, expected, samples.labels, "validation images"),
        )

    def _raced(self, candidates: list[Candidate]) -> list[Candidate]:
        files = tuple(one.made.file for one in candidates)
        latencies = self.workers.race(self.choice.plugin, RaceTask(files, RACE_S))
        return [replace(one, latency_s=latency) for one, latency in zip(candidates, latencies, strict=True)]

    def _with_float_starts(self, best: Candidate) -> list[Candidate]:
        more = self._made(self._variants(best.scheme, best.made.float_starts))
        return self._raced([best, *self._all_scored(more)])

    def _mixed(self, start: Candidate, max_drop_points: float) -> tuple[Candidate, str]:
        """The file with the fewest float operators that keeps the drop within its limit; in words, what was tried.

        If no INT8 file keeps it, the one that loses least.
        """
        if not start.made.layers:
            return start, "no operators in float: they cannot be chosen in this format"
        kept = start.scheme.float_layers
        ranking = self._ranked(start.scheme, [layer for layer in start.made.layers if layer not in kept])
        # With all layers that have weights in float, it would be INT8 in name only.
        limit = max((place for place, layer in enumerate(ranking) if layer in start.made.weighted), default=0)
        if not limit:
            return start, f"no operators in float, because only one of {len(ranking)} has weights"
        found: dict[int, Candidate] = {}

        def holds(count: int) -> bool:
            if count not in found:
                (made,) = self._made(self._variants(start.scheme, [(*kept, *ranking[:count])]))
                found[count] = self._scored(made)
            return found[count].lost_points <= max_drop_points

        count = bisection.fewest(limit, holds)
        is_kept = holds(count)
        tried = f"the {', '.join(map(str, sorted(found)))} most costly of {len(ranking)} operators in float"
        if is_kept and found[count].is_int8:
            return found[count], tried
        usable = [one for one in (start, *found.values()) if one.is_int8] or [start]
        best = min(usable, key=lambda one: (one.lost_points, len(one.scheme.float_layers)))
        if any(not one.is_int8 for one in found.values()):
            tried += ", not counting files that are no smaller than fp32"
        return best, tried

    def _ranked(self, scheme: Scheme, layers: list[str]) -> list[str]:
        """Operators by how much accuracy it costs to make them INT8, most costly first: each in turn is the only one.

        Leaving a single operator of an INT8 network in float shows less: a tensor that eight bits cannot hold is
        spoiled by either of the operators around it.
        """
        samples = self.reference.ranking
        assert samples is not None
        exactly = msgspec.structs.replace(scheme, exactly=True)
        alone = [(*scheme.float_layers, *(other for other in layers if other != layer)) for layer in layers]
        losses = {}
        for layer, made in zip(layers, self._made(self._variants(exactly, alone)), strict=True):
            found, _ = samples.answers(self.choice.plugin, Path(made.file), self.workers)
            losses[layer] = tensors.divergence(found.like_parent[0], samples.reference[0])
            Path(made.file).unlink()
        return sorted(layers, key=losses.__getitem__, reverse=True)


def fastest(candidates: Sequence[Candidate], criterion: Criterion = AGREEMENT) -> Candidate:
    """Among those about as good as the best; an earlier one is kept unless a later one is clearly faster."""
    if criterion.kind != "agreement":
        least = min(one.loss(criterion) for one in candidates)
        good = [one for one in candidates if one.loss(criterion) <= least * (1 + DIVERGENCE_TIE)]
    else:
        most = max(one.agreement for one in candidates)
        good = [one for one in candidates if one.agreement >= most - AGREEMENT_TIE]
    best = good[0]
    for one in good[1:]:
        assert one.latency_s is not None and best.latency_s is not None
        if one.latency_s < best.latency_s * (1 - FASTER_BY):
            best = one
    return best


def described(candidate: Candidate, criterion: Criterion, *, chosen: bool) -> str:
    text = f"agreement {candidate.agreement:.2%}, accuracy {candidate.accuracy:.2%}"
    if criterion.kind == "distance":
        text = f"relative error {candidate.distance:.2%}"
    elif criterion.kind == "divergence":
        text = f"divergence {candidate.divergence:.1e}, agreement {candidate.agreement:.2%}"
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
        why.append(f"{', '.join(start)}: more accurate in float, or faster on this machine")
    if layers[len(start) :]:
        why.append(f"{', '.join(layers[len(start) :])}: cost most accuracy as INT8, most costly first")
    return {"float_layers": f"{len(layers)} of {len(chosen.made.layers)} operators; {'; '.join(why)}"}
