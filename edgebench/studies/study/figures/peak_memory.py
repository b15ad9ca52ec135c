"""Peak memory of training."""

from __future__ import annotations

from functools import partial

from edgebench.studies.study.figures import _cells, _values
from edgebench.studies.study.results import ReportTable, Results, Section, VariantRun

HEADING = "Peak memory of training"
MIB = 2**20


def peak_mib(run: VariantRun, what: str) -> float | None:
    """The highest over all trainings that led to the weights."""
    return max(
        (cost.peak_memory_bytes[what] / MIB for cost in _values.costs(run) if what in cost.peak_memory_bytes),
        default=None,
    )


def render(results: Results) -> Section:
    runs = [run for variant in results.variants for run in variant.runs]
    kinds = sorted({what for run in runs for cost in _values.costs(run) for what in cost.peak_memory_bytes})
    if not kinds:
        return Section(HEADING, "No training of this study recorded its peak memory.")
    from edgebench.studies.study.figures import _charts

    rows = []
    bars: dict[str, list[_charts.Bar]] = {what: [] for what in kinds}
    for label, variant in _values.labelled(results):
        peaks = {what: _values.over_seeds(variant, partial(peak_mib, what=what)) for what in kinds}
        rows.append((label, str(len(variant.runs)), *(_cells.decimals(peaks[what], 1) for what in kinds)))
        for what, peak in peaks.items():
            if peak:
                bars[what].append(_charts.Bar(label, peak.mean, min(peak.values), max(peak.values)))
    drawn = [(what, _charts.bars(bars[what], value="peak, MiB (2^20 B)")) for what in kinds]
    text = "Mean over seeds; whisker: smallest and largest run. A process's high-water mark includes the libraries."
    columns = ("network", "n seeds", *(f"{what}, MiB (2^20 B)" for what in kinds))
    return Section(HEADING, text, ReportTable(columns, tuple(rows)), _charts.panels(drawn))
