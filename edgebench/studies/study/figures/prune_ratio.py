"""Accuracy, size and latency over the requested pruning ratio or sparsity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from edgebench.schema.estimate import Estimate
from edgebench.studies.study.figures import _cells, _devices, _ratios, _values
from edgebench.studies.study.results import Results, Section, VariantResults

HEADING = "Over the ratio"


def render(results: Results) -> Section:
    if not any(_ratios.ratio_percent(variant) for variant in results.variants):
        return Section(HEADING, "No network of this study was pruned by a ratio.")
    from edgebench.studies.study.figures import _charts

    right, size = (partial(_values.estimate, value=one) for one in (_values.accuracy_percent, _values.file_mb))
    panels = [
        ("Accuracy", _panel(results, "test accuracy, %", right, zero=False)),
        ("Size", _panel(results, "checkpoint, MB (10^6 B)", size)),
    ]
    for where in _devices.settings(results):
        chart = _panel(results, "p50 of one inference, ms", partial(_devices.latency_ms, where=where))
        panels.append((f"Latency, {where}", chart))
    return Section(HEADING, f"{_ratios.LINE} {_cells.WHISKERS}", chart=_charts.panels(panels))


def _panel(results: Results, value: str, of: Callable[[VariantResults], Estimate | None], *, zero: bool = True) -> Any:
    from edgebench.studies.study.figures import _charts

    points = []
    for variant in results.variants:
        found, ratio = of(variant), _ratios.ratio_percent(variant)
        if found:
            points += [
                _charts.Point(ratio, found.value, line, low=found.low, high=found.high, order=ratio)
                for line in _ratios.lines(results, variant)
            ]
    return _charts.lines(points, x="requested ratio, %", y=value, zero=zero)
