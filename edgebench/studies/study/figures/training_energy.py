"""Energy of training by provenance, as bars with the smallest and largest run."""

from __future__ import annotations

from functools import partial

from edgebench.schema.history import Provenance
from edgebench.studies.study.figures import _cells, _values
from edgebench.studies.study.figures._values import Summary
from edgebench.studies.study.results import ReportTable, Results, Section, VariantResults

HEADING = "Energy of training"
COLUMNS = (
    "network", "n seeds", "provenance (components)", "energy, J", "energy, Wh", "smallest run, J", "largest run, J",
    "CO2, g",
)  # fmt: skip
JOULES_PER_WH = 3600.0


def render(results: Results) -> Section:
    found = [
        (label, variant, provenance, joules)
        for label, variant in _values.labelled(results)
        for provenance in _values.PROVENANCES
        if (joules := _values.over_seeds(variant, partial(_values.training_joules, provenance=provenance)))
    ]
    if not found:
        return Section(HEADING, f"No training energy: {_values.no_energy(results)}.")
    from edgebench.studies.study.figures import _charts

    bars = [
        _charts.Bar(label, joules.mean, min(joules.values), max(joules.values), provenance)
        for label, _, provenance, joules in found
    ]
    text = (
        "Training loops only, summed over every training that led to a network. Bar: mean; whisker: smallest and "
        "largest run. Energies of different provenance are not added. "
        f"CO2 at {_values.intensities(results) or 'no stated intensity'}."
    )
    drawn = _charts.bars(bars, value="energy of all trainings of a network, J")
    return Section(HEADING, text, ReportTable(COLUMNS, tuple(_row(*one) for one in found)), _charts.alone(drawn))


def _row(label: str, variant: VariantResults, provenance: Provenance, joules: Summary) -> tuple[str, ...]:
    return (
        label,
        str(joules.count),
        f"{provenance} ({_values.components(variant, provenance)})",
        _cells.three_digits(joules),
        _cells.three_digits(Summary(tuple(one / JOULES_PER_WH for one in joules.values))),
        f"{min(joules.values):,.4g}",
        f"{max(joules.values):,.4g}",
        _cells.three_digits(_values.over_seeds(variant, partial(_values.co2_g, provenance=provenance))),
    )
