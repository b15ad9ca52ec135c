"""The study's main table: accuracy, size, and the emissions of training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from edgebench.schema.history import Provenance
from edgebench.studies.study.figures import _cells, _values
from edgebench.studies.study.results import ReportTable, Results, Section, VariantResults

COLUMNS = (
    "network", "n seeds", "test accuracy, %", "test loss, nats", "parameters", "non-zero parameters", "MACs per image",
    "FLOPs per image (2 x MACs)", "file, MB (10^6 B)", "file, MiB (2^20 B)",
)  # fmt: skip


def render(results: Results) -> Section:
    emitted = [kind for kind in _values.PROVENANCES if any(_co2(variant, kind) for variant in results.variants)]
    columns = (*COLUMNS, *(f"training CO2, g ({_origin(results, kind)})" for kind in emitted))
    rows = tuple(_row(label, variant, emitted) for label, variant in _values.labelled(results))
    carbon = f"CO2 at {_values.intensities(results)}." if emitted else f"No CO2: {_values.no_energy(results)}."
    cut = " Sizes were reduced (--subset): accuracies are not comparable with the study's." if results.subset else ""
    return Section("Results", f"{_cells.SEEDS} {carbon}{cut}", ReportTable(columns, rows))


def _origin(results: Results, provenance: Provenance) -> str:
    """`modelled: cpu, ram`"""
    named = {_values.components(variant, provenance) for variant in results.variants} - {""}
    return f"{provenance}: {' or '.join(sorted(named))}"


def _row(label: str, variant: VariantResults, emitted: Sequence[Provenance]) -> tuple[str, ...]:
    over = partial(_values.over_seeds, variant)
    return (
        label,
        str(len(variant.runs)),
        _cells.decimals(over(_values.accuracy_percent), 2),
        _cells.decimals(over(_values.loss), 4),
        _cells.whole(over(_values.parameters)),
        _cells.whole(over(_values.nonzero_parameters)),
        _cells.whole(over(_values.macs)),
        _cells.whole(over(lambda run: 2 * _values.macs(run))),
        _file(variant, 1e6),
        _file(variant, 2**20),
        *(_cells.three_digits(_co2(variant, provenance)) for provenance in emitted),
    )


def _file(variant: VariantResults, unit: float) -> str:
    """Mean over seeds, which differ at most in the digits of their metadata."""
    return f"{sum(run.file_bytes for run in variant.runs) / len(variant.runs) / unit:,.3f}"


def _co2(variant: VariantResults, provenance: Provenance) -> _values.Summary | None:
    return _values.over_seeds(variant, partial(_values.co2_g, provenance=provenance))
