"""Receiver operating characteristic of each class against the rest."""

from __future__ import annotations

from edgebench.analysis.formatting import NOTHING
from edgebench.networks.evaluation import Roc
from edgebench.studies.study.figures import _shown
from edgebench.studies.study.results import ReportTable, Results, Section

HEADING = "ROC"
PANEL = 300
MOST_CURVES = 12


def render(results: Results) -> Section:
    shown = _shown.best_of_each_network(results)
    if not shown:
        return Section(HEADING, _shown.NO_EVALUATION)
    from edgebench.studies.study.figures import _charts

    panels = []
    rows = []
    for label, evaluation in shown:
        macro = NOTHING if evaluation.macro_auc is None else f"{evaluation.macro_auc:.4f}"
        curves = list(zip(evaluation.class_names, evaluation.roc, strict=True))
        rows += [(label, name, NOTHING if one.auc is None else f"{one.auc:.4f}") for name, one in curves]
        rows.append((label, "mean over classes", macro))
        points = [
            _charts.Point(x, y, name, order=step)
            for name, one in _drawn(curves)
            for step, (x, y) in enumerate(zip(one.false_positive, one.true_positive, strict=True))
        ]
        if points:
            chart = _charts.lines(
                points, x="false positive rate", y="true positive rate", points=False, size=(PANEL, PANEL)
            )
            panels.append((f"{label}, mean AUC {macro}", chart))
    text = (
        "One class against the rest, by its probability; images with equal probabilities share a threshold. AUC: how "
        "often an image of the class gets a higher probability than an image of another class. "
        f"With more than {MOST_CURVES} classes, only those with the smallest AUC are drawn. {_shown.CHOICE}"
    )
    table = ReportTable(("network", "class", "AUC (0 to 1)"), tuple(rows))
    return Section(HEADING, text, table, _charts.panels(panels, columns=3, own_colours=True))


def _drawn(curves: list[tuple[str, Roc]]) -> list[tuple[str, Roc]]:
    """All classes, or the worst ones."""
    known = [(name, one) for name, one in curves if one.auc is not None]
    if len(known) <= MOST_CURVES:
        return known
    return sorted(known, key=lambda pair: pair[1].auc or 0.0)[:MOST_CURVES]
