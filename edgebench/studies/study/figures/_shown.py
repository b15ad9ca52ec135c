"""The variants that are drawn where a picture of each would be too many."""

from __future__ import annotations

from edgebench.networks.evaluation import Evaluation
from edgebench.studies.study.figures._values import accuracy_percent, labelled, network, over_seeds
from edgebench.studies.study.results import Results, VariantResults

MOST = 6
CHOICE = f"Drawn: the most accurate variant of each network and data set (at most {MOST}), its first seed."
NO_EVALUATION = "No network of this study was evaluated."


def best_of_each_network(results: Results) -> list[tuple[str, Evaluation]]:
    """(label, evaluation of the first seed), in the study's order."""
    best: dict[str, tuple[str, VariantResults]] = {}
    for label, variant in labelled(results):
        if variant.runs[0].evaluation is None:
            continue
        other = best.get(network(variant))
        if other is None or _accuracy(variant) > _accuracy(other[1]):
            best[network(variant)] = (label, variant)
    chosen = [(label, variant.runs[0].evaluation) for label, variant in best.values()]
    return [(label, evaluation) for label, evaluation in chosen if evaluation is not None][:MOST]


def _accuracy(variant: VariantResults) -> float:
    found = over_seeds(variant, accuracy_percent)
    return found.mean if found else 0.0
