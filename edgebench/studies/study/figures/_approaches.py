"""How networks were pruned: short names, as in the PLOS study's figures, and their colours.

S_50_L_PT: small network, 50 % of the weights, layer-wise, pruned before training by magnitude.
"""

from __future__ import annotations

from typing import Any

from edgebench.studies.study.results import VariantResults

_SIZES = {"mlp-small": "S", "mlp-medium": "M"}
_LAYER_WISE = {"l1-hidden"}
_GLOBAL = {"l1-uniform", "l1-global", "set"}

DENSE, GLOBAL, LAYER_WISE, OTHER = "dense", "global", "layer-wise", "other"
COLOURS = {DENSE: "#2e8b57", GLOBAL: "#d1495b", LAYER_WISE: "#2c6fbb", OTHER: "#6a4c93"}


def approach(variant: VariantResults) -> str:
    """Global, in the study's sense: every layer, uniformly or not. Layer-wise: all but the first and the last."""
    method = variant.axes.get("method")
    if method is None:
        return DENSE
    if method in _LAYER_WISE or _options(variant).get("layers") == "hidden":
        return LAYER_WISE
    return GLOBAL if method in _GLOBAL else OTHER


def short(variant: VariantResults) -> str:
    """The study file's own note, if there is one."""
    axes = variant.axes
    if "note" in axes:
        return str(axes["note"])
    size = _SIZES.get(str(axes.get("model")), str(axes.get("model", variant.label)))
    if "method" not in axes:
        return f"{size}_dense"
    how = {GLOBAL: "G", LAYER_WISE: "L"}.get(approach(variant))
    technique = "SET" if axes["method"] == "set" else "PT"
    ratio = f"{100 * float(axes.get('ratio', 0)):.0f}"
    return "_".join([size, ratio, how, technique] if how else [size, ratio, str(axes["method"])])


def method(variant: VariantResults) -> str:
    """The method and its settings, in one line; "" for what was not pruned."""
    given = [f"{name} {value}" for name, value in _options(variant).items() if isinstance(value, str | int | float)]
    return ", ".join([str(variant.axes["method"]), *given]) if "method" in variant.axes else ""


def _options(variant: VariantResults) -> dict[str, Any]:
    """Settings of the last pruning."""
    steps = variant.runs[0].checkpoint.about.pruning if variant.runs else ()
    return steps[-1].options if steps else {}
