"""Accuracy, size and latency side by side, and accuracy against size."""

from __future__ import annotations

from functools import partial

from edgebench.studies.study.figures import _cells, _devices, _values
from edgebench.studies.study.results import Results, Section

HEADING = "Accuracy, size and latency"
ACCURACY, SIZE = "test accuracy, %", "checkpoint, MB (10^6 B)"


def render(results: Results) -> Section | None:
    if not results.variants:
        return None
    from edgebench.studies.study.figures import _charts

    variants = _values.labelled(results)
    right = _charts.estimates(variants, partial(_values.estimate, value=_values.accuracy_percent))
    size = _charts.estimates(variants, partial(_values.estimate, value=_values.file_mb))
    panels = [("Accuracy", _charts.bars(right, value=ACCURACY)), ("Size", _charts.bars(size, value=SIZE))]
    for where in _devices.settings(results):
        timed = _charts.estimates(variants, partial(_devices.latency_ms, where=where))
        panels.append((f"Latency, {where}", _charts.bars(timed, value="p50 of one inference, ms")))
    points = [
        _charts.Point(bytes_.value, one.value, _values.network(variant), one.label, one.low, one.high)
        for (_, variant), one, bytes_ in zip(variants, right, size, strict=True)
    ]
    scattered = _charts.scatter(points, x=SIZE, y=ACCURACY)
    panels.append(("Accuracy against size (axes do not start at 0)", scattered))
    text = f"Bars start at 0. {_cells.WHISKERS} With one seed, the latency's interval is over its rounds."
    return Section(HEADING, text, chart=_charts.panels(panels, own_colours=True))
