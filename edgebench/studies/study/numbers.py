"""The number that a claim is about, for one variant or as a difference of two, with its interval.

The interval is over seeds where there are several (paired by seed), and over images where there is only one (image by
image where it is known which of them each network got right). For latencies it is over rounds, widened by the
difference between two identical files in the job, or between two jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgebench.analysis import between_jobs, ratios, stats, verdict
from edgebench.analysis.ratios import Ratio
from edgebench.schema.estimate import Estimate
from edgebench.schema.history import EnergyShare, Metrics
from edgebench.schema.record import Record
from edgebench.studies.study.file import EXACT_METRICS
from edgebench.studies.study.results import VariantResults, VariantRun


class NotMeasured(Exception):
    """The reason why there is no such number."""


@dataclass(frozen=True)
class ClaimNumber:
    """over: what the interval is over, in words; empty if the number needs or has none."""

    estimate: Estimate
    over: str = ""


def find(metric: str, of: VariantResults, to: VariantResults | None, bands: Mapping[str, float]) -> ClaimNumber:
    """For `of` alone if there is no `to`. bands: see `edgebench.studies.study.results`. Raises NotMeasured."""
    if metric == "latency_ratio":
        ratio = _latency_ratio(of, to, bands)
        return ClaimNumber(Estimate(ratio.value, ratio.low, ratio.high), f"rounds; {ratio.outcome}")
    if metric in EXACT_METRICS:
        number = _value(metric, of.runs[0]) - (_value(metric, to.runs[0]) if to else 0)
        return ClaimNumber(Estimate(number, number, number))
    own = {run.seed: run for run in of.runs}
    base = {run.seed: run for run in to.runs} if to else own
    seeds = sorted(own.keys() & base.keys())
    if not seeds:
        raise NotMeasured(f"{of.label} and its counterpart have no seed in common")
    if len(seeds) == 1:
        one = own[seeds[0]]
        return _of_one_seed(metric, one, base[seeds[0]] if to else None)
    values = [_value(metric, own[seed]) - (_value(metric, base[seed]) if to else 0) for seed in seeds]
    return ClaimNumber(stats.mean(values), f"{len(seeds)} seeds")


def _of_one_seed(metric: str, own: VariantRun, base: VariantRun | None) -> ClaimNumber:
    """A share has an interval over its images; other numbers have none."""
    value, images = _value(metric, own), _images(metric, own)
    other = _value(metric, base) if base else 0.0
    if not images:
        return ClaimNumber(Estimate(value - other))
    if base is None:
        found = Estimate(value, *stats.wilson_interval(value * images, images))
    elif metric == "accuracy" and (paired := image_by_image(own, base)) is not None:
        return ClaimNumber(paired, f"{images:,} images of 1 seed, image by image")
    else:
        found = stats.proportion_difference(value, other, images, _images(metric, base))
    return ClaimNumber(found, f"{images:,} images of 1 seed")


def image_by_image(own: VariantRun, base: VariantRun) -> Estimate | None:
    """Accuracy minus the other's, for two networks that classified the same test images: images that both get right, or
    both get wrong, add no noise. None if it is not known which images they got right.
    """
    if own.checkpoint.about.dataset != base.checkpoint.about.dataset:
        return None
    right = []
    for run in (own, base):
        kept = run.evaluation.right_by_image if run.evaluation and run.evaluation.split == "test" else None
        if kept is None or len(kept) != _images("accuracy", run) or abs(kept.mean() - run.accuracy) > 1.5 / len(kept):
            return None  # not the images of the accuracy
        right.append(kept)
    return stats.paired_difference(*right) if len(right[0]) == len(right[1]) else None


def _images(metric: str, run: VariantRun) -> int:
    """The number of images that a metric is a share of; 0 if it is not a share."""
    found = _metrics(metric, run)
    return found.test_images if found and metric.endswith("accuracy") else 0


def _metrics(metric: str, run: VariantRun) -> Metrics | None:
    about = run.checkpoint.about
    last = about.training[-1] if about.training else None
    if metric == "train_accuracy":
        return last.train if last else None
    if metric == "validation_accuracy":
        return last.validation if last else None
    return about.metrics


def _value(metric: str, run: VariantRun) -> float:
    about = run.checkpoint.about
    found: float | None = None
    if metric in ("parameters", "macs"):
        found = getattr(about.size, metric)
    elif metric == "nonzero":
        found = sum(layer.nonzero for layer in run.sparsity) if run.sparsity else None
    elif metric == "file_bytes":
        found = run.file_bytes
    elif metric == "loss":
        found = about.metrics.loss
    elif metric.endswith("accuracy"):
        found = metrics.accuracy if (metrics := _metrics(metric, run)) else None
    elif metric == "ece":
        found = run.evaluation.ece if run.evaluation else None
    elif metric == "training_s":
        found = sum(one.cost.seconds for one in about.training if one.cost) or None
    elif metric == "training_j":
        found = _joules([share for one in about.training if one.cost for share in one.cost.energy])
    elif metric == "peak_memory_bytes":
        found = max(
            (size for one in about.training if one.cost for size in one.cost.peak_memory_bytes.values()), default=None
        )
    if found is None:
        raise NotMeasured(f"{metric} of {about.model} was not measured")
    return float(found)


def _joules(shares: Sequence[EnergyShare]) -> float | None:
    """Measured shares only: modelled energy cannot support a claim."""
    measured = [share.joules for share in shares if share.provenance == "measured"]
    return sum(measured) if measured else None


def _latency_ratio(of: VariantResults, to: VariantResults | None, bands: Mapping[str, float]) -> Ratio:
    """For the same kind of file on the same target: from the newest job that has both, else from the newest of each."""
    if to is None:
        raise NotMeasured("a latency ratio needs something to compare with")
    timed = [
        (own, base)
        for own in reversed(_trusted(of))
        for base in reversed(_trusted(to))
        if _setting(own) == _setting(base)
    ]
    deviations = between_jobs.deviations([*_trusted(of), *_trusted(to)])
    for own, base in sorted(timed, key=lambda pair: pair[0].job != pair[1].job):
        ratio = ratios.latency_ratio(own, base, between_jobs.spread(own, base, deviations))
        if ratio:
            band = max(bands.get(own.job, 1.0), bands.get(base.job, 1.0))
            if ratio.low is None or ratio.high is None:
                return ratio
            return replace(ratio, low=ratio.low / band, high=ratio.high * band)
    raise NotMeasured("no target measured the latency of both")


def _trusted(variant: VariantResults) -> list[Record]:
    """Oldest first, without invalid records, which did not finish or gave wrong answers."""
    return [one for run in variant.runs for one in run.records if verdict.judge(one).level != "invalid"]


def _setting(one: Record) -> tuple[str, str, str]:
    return one.target.name, one.artifact.format, one.artifact.precision
