"""How well a network's confidence matches its accuracy."""

from __future__ import annotations

from edgebench.networks.evaluation.measures import BINS
from edgebench.studies.study.figures import _cells, _shown, _values
from edgebench.studies.study.results import ReportTable, Results, Section, VariantRun

HEADING = "Calibration"
CERTAIN = "confidence is accuracy"
COLUMNS = ("network", "n seeds", "ECE, %", "NLL, nats", "Brier score (0 to 2)", "mean confidence, %", "accuracy, %")


def render(results: Results) -> Section:
    shown = _shown.best_of_each_network(results)
    if not shown:
        return Section(HEADING, _shown.NO_EVALUATION)
    from edgebench.studies.study.figures import _charts

    rows = tuple(
        (
            label,
            str(len(variant.runs)),
            *(_cells.decimals(_values.over_seeds(variant, value), digits) for value, digits in _MEASURES),
        )
        for label, variant in _values.labelled(results)
    )
    points = [_charts.Point(end, end, CERTAIN, order=end) for end in (0.0, 1.0)]
    points += [
        _charts.Point(one.confidence, one.accuracy, label, order=one.confidence)
        for label, evaluation in shown
        for one in evaluation.reliability
        if one.count
    ]
    ideal = {CERTAIN: "#999"}
    drawn = _charts.lines(points, x="mean confidence", y="accuracy", zero=True, size=(520, 360), colours=ideal)
    text = (
        f"ECE: mean gap between confidence and accuracy over {BINS} equal intervals of confidence, weighted by "
        "images (arXiv:1706.04599). NLL: negative log-likelihood. Below the straight line a network is overconfident. "
        f"{_cells.SEEDS} {_shown.CHOICE}"
    )
    return Section(HEADING, text, ReportTable(COLUMNS, rows), _charts.alone(drawn))


def _ece_percent(run: VariantRun) -> float | None:
    return 100 * run.evaluation.ece if run.evaluation else None


def _nll(run: VariantRun) -> float | None:
    return run.evaluation.nll if run.evaluation else None


def _brier(run: VariantRun) -> float | None:
    return run.evaluation.brier if run.evaluation else None


def _confidence_percent(run: VariantRun) -> float | None:
    if run.evaluation is None:
        return None
    return 100 * sum(one.count * one.confidence for one in run.evaluation.reliability) / run.evaluation.images


def _accuracy_percent(run: VariantRun) -> float | None:
    return 100 * run.evaluation.accuracy if run.evaluation else None


_MEASURES: tuple[tuple[_values.Value, int], ...] = (
    (_ece_percent, 2),
    (_nll, 4),
    (_brier, 4),
    (_confidence_percent, 2),
    (_accuracy_percent, 2),
)
