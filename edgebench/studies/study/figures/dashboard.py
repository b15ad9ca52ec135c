"""The UltraLight study's dashboard: one panel of bars per quantity, for each data set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edgebench.schema.estimate import Estimate
from edgebench.schema.history import Provenance
from edgebench.studies.study.figures import _cells, _devices, _values
from edgebench.studies.study.figures.green import green_score
from edgebench.studies.study.results import Results, Section, VariantResults, VariantRun

PANEL = 400


def render(results: Results) -> Section:
    from edgebench.studies.study.figures import _charts

    panels = []
    for dataset, variants in _by_dataset(results).items():
        for title, of in _quantities(results):
            bars = _charts.estimates(variants, of)
            if bars:
                panels.append((dataset, _charts.bars(bars, value=title, width=PANEL)))
    missing = "" if _values.shared_provenance(results) else f" No CO2: {_values.no_energy(results)}."
    text = f"Bars start at 0. {_cells.WHISKERS}{missing}"
    return Section("Dashboard", text, chart=_charts.panels(panels, columns=2))


def _by_dataset(results: Results) -> dict[str, list[tuple[str, VariantResults]]]:
    found: dict[str, list[tuple[str, VariantResults]]] = {}
    for label, variant in _values.labelled(results):
        found.setdefault(variant.runs[0].checkpoint.about.dataset, []).append((label, variant))
    return found


def _quantities(results: Results) -> list[tuple[str, Callable[[VariantResults], Estimate | None]]]:
    """(title with its unit, what is shown of a variant)"""
    wanted: list[tuple[str, _values.Value]] = [
        ("test accuracy, %", _values.accuracy_percent),
        ("parameters, thousands", lambda run: _values.parameters(run) / 1e3),
        ("MACs per image, millions", lambda run: _values.macs(run) / 1e6),
        ("file, MB (10^6 B)", _values.file_mb),
    ]
    provenance = _values.shared_provenance(results)
    if provenance:
        wanted.append((f"training CO2, mg ({provenance})", partial(_milligrams, provenance=provenance)))
        wanted.append((f"Green Score, %/mg ({provenance})", partial(_score, provenance=provenance)))
    found = [(title, partial(_values.estimate, value=value)) for title, value in wanted]
    latencies = [(f"p50, ms, {one}", partial(_devices.latency_ms, where=one)) for one in _devices.settings(results)[:1]]
    return [*found, *latencies]


def _milligrams(run: VariantRun, provenance: Provenance) -> float | None:
    grams = _values.co2_g(run, provenance)
    return None if grams is None else 1e3 * grams


def _score(run: VariantRun, provenance: Provenance) -> float | None:
    milligrams = _milligrams(run, provenance)
    return green_score(_values.accuracy_percent(run), milligrams) if milligrams else None
