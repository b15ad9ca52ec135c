"""Size of the weights in each packing format, over the ratio."""

from __future__ import annotations

from functools import partial

from edgebench.analysis.formatting import NOTHING
from edgebench.studies.study.figures import _ratios, _values
from edgebench.studies.study.results import ReportTable, Results, Section, VariantRun

HEADING = "Packed sizes"
CHECKPOINT = "checkpoint, dense"


def render(results: Results) -> Section:
    packed = [(label, one) for label, one in _values.labelled(results) if one.runs[0].packed_bytes]
    if not packed:
        return Section(HEADING, "No network of this study was packed.")
    from edgebench.studies.study.figures import _charts

    formats = list(dict.fromkeys(name for _, variant in packed for name in variant.runs[0].packed_bytes))
    rows = []
    points: dict[str, list[_charts.Point]] = {}
    for label, variant in packed:
        ratio = _ratios.ratio_percent(variant)
        sizes = {name: _values.over_seeds(variant, partial(_packed_mb, name=name)) for name in formats}
        sizes = {CHECKPOINT: _values.over_seeds(variant, _values.file_mb), **sizes}
        cells = (f"{one.mean:,.3f}" if one else NOTHING for one in sizes.values())
        rows.append((label, f"{ratio:.0f}", *cells))
        points.setdefault(_values.network(variant), []).extend(
            _charts.Point(ratio, one.mean, name, f"{name}, {line}", order=ratio)
            for name, one in sizes.items()
            if one
            for line in _ratios.lines(results, variant)
        )
    panels = [
        (network, _charts.lines(some, x="requested ratio, %", y="file, MB (10^6 B)", zero=True))
        for network, some in points.items()
        if some
    ]
    columns = ("network", "ratio, %", f"{CHECKPOINT}, MB (10^6 B)", *(f"{name}, MB (10^6 B)" for name in formats))
    text = (
        f"Mean over seeds. {_ratios.LINE} Only formats that leave zeros out get smaller; none makes inference faster."
    )
    return Section(HEADING, text, ReportTable(columns, tuple(rows)), _charts.panels(panels) if panels else None)


def _packed_mb(run: VariantRun, name: str) -> float | None:
    found = run.packed_bytes.get(name)
    return None if found is None else found / 1e6
