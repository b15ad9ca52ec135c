"""Accuracy and emissions: the UltraLight study's Green Score, energy to a common accuracy, the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from edgebench.analysis.formatting import NOTHING, significant
from edgebench.schema.history import Provenance
from edgebench.studies.study.figures import _cells, _values
from edgebench.studies.study.results import ReportTable, Results, Section, VariantResults, VariantRun

HEADING = "Green table"
FRONT = "on the Pareto front"
TEXT = (
    "Green Score = test accuracy in percent / training CO2 in mg, means over seeds. It rewards training little: it "
    "grows without limit as the CO2 goes to zero. So the table also gives the energy until a validation accuracy "
    "that every network of the data set reaches (assuming that all epochs of a training cost the same), and whether a "
    "network is on the Pareto front of its data set: no other is as accurate for as little CO2."
)


@dataclass(frozen=True)
class Green:
    """A network in the table; co2_mg and accuracy_percent are means over seeds."""

    label: str
    variant: VariantResults
    co2_mg: float
    accuracy_percent: float

    @property
    def dataset(self) -> str:
        return self.variant.runs[0].checkpoint.about.dataset


def green_score(accuracy_percent: float, co2_mg: float) -> float:
    """Accuracy in percent per milligram of CO2."""
    return accuracy_percent / co2_mg


def on_front(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Pareto front: no other is at least as good on both, and better on one. Small costs and large values are good."""
    points = list(zip(costs, values, strict=True))
    return [
        not any(
            cost <= own_cost and value >= own_value and (cost, value) != (own_cost, own_value) for cost, value in points
        )
        for own_cost, own_value in points
    ]


def joules_to(run: VariantRun, target: float, provenance: Provenance) -> float | None:
    """Energy until the end of the first epoch whose validation accuracy is at least `target`."""
    spent = 0.0
    for training, cost in zip(run.checkpoint.about.training, _values.costs(run), strict=False):
        joules = sum(one.joules for one in cost.energy if one.provenance == provenance)
        for number, epoch in enumerate(training.history, start=1):
            if epoch.validation_accuracy >= target:
                return spent + joules * number / training.epochs
        spent += joules
    return None


def render(results: Results) -> Section:
    provenance = _values.shared_provenance(results)
    if provenance is None:
        return Section(HEADING, f"No Green Score: {_values.no_energy(results)}.")
    compared = [
        Green(label, variant, 1e3 * grams.mean, right.mean)
        for label, variant in _values.labelled(results)
        if (grams := _values.over_seeds(variant, partial(_values.co2_g, provenance=provenance)))
        and (right := _values.over_seeds(variant, _values.accuracy_percent))
    ]
    if not compared:
        return Section(HEADING, "No Green Score: no carbon intensity is recorded with the energies.")
    from edgebench.studies.study.figures import _charts

    rows: list[tuple[str, ...]] = []
    panels = []
    for dataset in dict.fromkeys(one.dataset for one in compared):
        alike = [one for one in compared if one.dataset == dataset]
        front = on_front([one.co2_mg for one in alike], [one.accuracy_percent for one in alike])
        target = _common_target([one.variant for one in alike])
        rows += [_row(one, best, target, provenance) for one, best in zip(alike, front, strict=True)]
        points = [
            _charts.Point(one.co2_mg, one.accuracy_percent, FRONT if best else "not", one.label)
            for one, best in zip(alike, front, strict=True)
        ]
        panels.append((dataset, _charts.scatter(points, x=f"training CO2, mg ({provenance})", y="test accuracy, %")))
    columns = (
        "network", "n seeds", "test accuracy, %", "parameters", f"training CO2, mg ({provenance})", "Green Score, %/mg",
        "common validation accuracy, %", "energy to it, J", FRONT,
    )  # fmt: skip
    text = f"{TEXT} CO2 at {_values.intensities(results)}."
    return Section(HEADING, text, ReportTable(columns, tuple(rows)), _charts.panels(panels))


def _row(one: Green, best: bool, target: float, provenance: Provenance) -> tuple[str, ...]:
    variant = one.variant
    reached = _values.over_seeds(variant, partial(joules_to, target=target, provenance=provenance)) if target else None
    return (
        one.label,
        str(len(variant.runs)),
        _cells.decimals(_values.over_seeds(variant, _values.accuracy_percent), 2),
        _cells.whole(_values.over_seeds(variant, _values.parameters)),
        significant(one.co2_mg),
        significant(green_score(one.accuracy_percent, one.co2_mg)),
        f"{100 * target:.1f}" if target else NOTHING,
        _cells.three_digits(reached),
        "yes" if best else "no",
    )


def _common_target(variants: Sequence[VariantResults]) -> float:
    """The highest validation accuracy that every run reaches in some epoch; 0 without a history."""
    best = [
        max((epoch.validation_accuracy for one in run.checkpoint.about.training for epoch in one.history), default=0.0)
        for variant in variants
        for run in variant.runs
    ]
    return min(best, default=0.0)
