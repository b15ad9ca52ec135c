"""The features before a network's last layer, in two dimensions."""

from __future__ import annotations

from edgebench.studies.study.figures import _shown
from edgebench.studies.study.results import Results, Section

HEADING = "t-SNE of the features"
PANEL = 300


def render(results: Results) -> Section:
    shown = _shown.best_of_each_network(results)
    if not shown:
        return Section(HEADING, _shown.NO_EVALUATION)
    reasons = [f"{label}: {one.tsne.reason}." for label, one in shown if one.tsne.reason]
    drawn = [(label, one) for label, one in shown if one.tsne.points]
    if not drawn:
        return Section(HEADING, " ".join(reasons))
    from edgebench.studies.study.figures import _charts

    panels = []
    for label, evaluation in drawn:
        names = [evaluation.class_names[number] for number in evaluation.tsne.labels]
        points = [_charts.Point(x, y, name) for (x, y), name in zip(evaluation.tsne.points, names, strict=True)]
        panels.append((label, _charts.cloud(points, size=PANEL)))
    text = (
        "The last layer's inputs for test images; neighbours are similar. Axes have no unit, and distances between "
        f"clusters mean nothing. {' '.join([*reasons, _shown.CHOICE])}"
    )
    return Section(HEADING, text, chart=_charts.panels(panels, columns=3, own_colours=True))
