"""Groups of networks that differ only in their pruning ratio."""

from __future__ import annotations

from edgebench.studies.study.figures import _approaches, _values
from edgebench.studies.study.results import Results, VariantResults

LINE = (
    "A line is one network and method. It begins at the control: the network of the same part that was not pruned and "
    "had the same number of trainings."
)


def ratio_percent(variant: VariantResults) -> float:
    """0 if it was not pruned, or not by a ratio."""
    return 100 * float(variant.axes.get("ratio", 0.0))


def lines(results: Results, variant: VariantResults) -> list[str]:
    """The lines that a variant is a point of: its own, or those that begin with it."""
    if ratio_percent(variant):
        return [_line(variant)]
    if "method" in variant.axes:
        return []
    return list(dict.fromkeys(_line(other) for other in results.variants if _begins(variant, other)))


def _line(variant: VariantResults) -> str:
    return f"{_values.network(variant)} {_approaches.method(variant)}"


def _begins(dense: VariantResults, pruned: VariantResults) -> bool:
    return bool(ratio_percent(pruned)) and _kind(dense) == _kind(pruned)


def _kind(variant: VariantResults) -> tuple[object, ...]:
    return variant.axes.get("part"), _values.network(variant), len(variant.runs[0].checkpoint.about.training)
