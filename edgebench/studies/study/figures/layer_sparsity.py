"""Sparsity per layer: of all weights, and of those that can have an effect at this input size."""

from __future__ import annotations

from edgebench.studies.study.figures import _values
from edgebench.studies.study.results import ReportTable, Results, Section, VariantResults

HEADING = "Sparsity per layer"
ALL, LIVE = "of all weights", "of live weights"
TEXT = (
    "Zeros in the weights of each Conv2d and Linear, first seed, for networks that have any. A weight is live if it "
    "ever meets anything but zero padding; the others have no effect, so zeros there cost nothing."
)
MOST_PANELS = 6


def render(results: Results) -> Section:
    sparse = [(label, variant) for label, variant in _values.labelled(results) if _has_zeros(variant)]
    if not sparse:
        return Section(HEADING, "No network of this study has weights that are zero.")
    from edgebench.studies.study.figures import _charts

    rows: list[tuple[str, ...]] = []
    panels = []
    for label, variant in sparse:
        layers = variant.runs[0].sparsity
        rows += [
            (label, one.layer, f"{one.weights:,}", f"{one.weights - one.nonzero:,}", f"{one.weights - one.live:,}",
             f"{100 * one.sparsity:.2f}", f"{100 * one.live_sparsity:.2f}")
            for one in layers
        ]  # fmt: skip
        rows.append(_total(label, variant))
        bars = [
            _charts.Bar(one.layer, 100 * share, group=group)
            for one in layers
            for group, share in ((ALL, one.sparsity), (LIVE, one.live_sparsity))
        ]
        panels.append((label, _charts.bars(bars, value="zeros, %")))
    columns = ("network", "layer", "weights", "zeros", "dead weights", "zeros of all, %", "zeros of live, %")
    cut = "" if len(panels) <= MOST_PANELS else f" Drawn: the first {MOST_PANELS} of {len(panels)} networks."
    return Section(HEADING, TEXT + cut, ReportTable(columns, tuple(rows)), _charts.panels(panels[:MOST_PANELS]))


def _has_zeros(variant: VariantResults) -> bool:
    return any(one.nonzero < one.weights for one in variant.runs[0].sparsity)


def _total(label: str, variant: VariantResults) -> tuple[str, ...]:
    layers = variant.runs[0].sparsity
    weights, live = sum(one.weights for one in layers), sum(one.live for one in layers)
    zeros = weights - sum(one.nonzero for one in layers)
    live_zeros = live - sum(one.live_nonzero for one in layers)
    return (
        label, "all layers", f"{weights:,}", f"{zeros:,}", f"{weights - live:,}",
        f"{100 * zeros / weights:.2f}", f"{100 * live_zeros / live:.2f}",
    )  # fmt: skip
