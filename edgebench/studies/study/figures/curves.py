"""Loss and validation accuracy over the epochs of all trainings of a network."""

from __future__ import annotations

from collections.abc import Callable

from edgebench.schema.history import Epoch
from edgebench.studies.study.figures import _values
from edgebench.studies.study.results import Results, Section, VariantRun

HEADING = "Training curves"
PANEL = 300
_QUANTITIES: tuple[tuple[str, Callable[[Epoch], float]], ...] = (
    ("training loss, nats", lambda epoch: epoch.loss),
    ("validation loss, nats", lambda epoch: epoch.validation_loss),
    ("validation accuracy, %", lambda epoch: 100 * epoch.validation_accuracy),
)


def render(results: Results) -> Section:
    from edgebench.studies.study.figures import _charts

    panels = []
    for family, variants in _values.families(results).items():
        for quantity, value in _QUANTITIES:
            points = [
                _charts.Point(number, value(epoch), label, f"{label}, seed {run.seed}", order=number)
                for label, variant in variants
                for run in variant.runs
                for number, epoch in enumerate(_epochs(run), start=1)
            ]
            if points:
                chart = _charts.lines(points, x="epoch", y=quantity, whole=True, size=(PANEL, _charts.LINES_HEIGHT))
                panels.append((family, chart))
    if not panels:
        return Section(HEADING, "No training of this study has a history.")
    text = (
        "One line per seed; training after a change continues the first line. The training loss includes label "
        "smoothing, mixing and augmentation, so it may lie above the validation loss."
    )
    return Section(HEADING, text, chart=_charts.panels(panels, columns=3, own_colours=True))


def _epochs(run: VariantRun) -> list[Epoch]:
    """Of all trainings that led to the weights."""
    return [epoch for training in run.checkpoint.about.training for epoch in training.history]
