"""One factor at a time: the effect of each change to the reference on the accuracy."""

from __future__ import annotations

from edgebench.analysis import stats
from edgebench.analysis.formatting import NOTHING
from edgebench.schema.estimate import Estimate
from edgebench.studies.study import numbers
from edgebench.studies.study.figures import _values
from edgebench.studies.study.results import ReportTable, Results, Section, VariantResults

HEADING = "Ablation"
COLUMNS = (
    "part",
    "reference",
    "changed",
    "n seeds in common",
    "change of test accuracy, points",
    "95 % interval, points",
)
TEXT = (
    "Reference: the first variant of each part, network and data set. Each row differs from it as its name says. The "
    "difference is taken seed by seed, with Student's interval over the seeds. With one seed the interval is over the "
    "test images, image by image, where it is known which of them each network got right (else: n = 1, no interval); "
    "another seed would change the value by more. An interval that contains 0 shows no change."
)


def render(results: Results) -> Section:
    compared = [
        (reference, label, variant, differences)
        for (_, reference), *others in _values.families(results).values()
        for label, variant in others
        if (differences := _by_seed(reference, variant))
    ]
    if not compared:
        return Section(HEADING, "No part of this study has a second variant of a network on the same data.")
    from edgebench.studies.study.figures import _charts

    rows = []
    bars = []
    for reference, label, variant, differences in compared:
        change = _change(reference, variant, differences)
        part, name = str(variant.axes.get("part", "")), str(reference.axes.get("variant", reference.label))
        rows.append(
            (part, name, label, str(len(differences)), f"{change.value:+.2f}", _interval(change, len(differences)))
        )
        bars.append(_charts.Bar(label, change.value, change.low, change.high))
    drawn = _charts.bars(bars, value="change of test accuracy against the reference, points")
    return Section(HEADING, TEXT, ReportTable(COLUMNS, tuple(rows)), _charts.alone(drawn))


def _by_seed(reference: VariantResults, variant: VariantResults) -> list[float]:
    """Differences in points, for the seeds that both share."""
    base = {run.seed: _values.accuracy_percent(run) for run in reference.runs}
    return [_values.accuracy_percent(run) - base[run.seed] for run in variant.runs if run.seed in base]


def _change(reference: VariantResults, variant: VariantResults, differences: list[float]) -> Estimate:
    """In points."""
    if len(differences) > 1:
        return stats.mean(differences)
    base = {run.seed: run for run in reference.runs}
    (own,) = (run for run in variant.runs if run.seed in base)
    found = numbers.image_by_image(own, base[own.seed])
    if found is None or found.low is None or found.high is None:
        return Estimate(differences[0])
    return Estimate(differences[0], 100 * found.low, 100 * found.high)


def _interval(change: Estimate, seeds: int) -> str:
    if change.low is None or change.high is None:
        return f"{NOTHING} (n = 1, no interval)"
    over = " (n = 1, over images)" if seeds == 1 else ""
    return f"{change.low:+.2f} to {change.high:+.2f}{over}"
