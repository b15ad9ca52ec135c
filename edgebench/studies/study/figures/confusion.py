"""Which classes are mistaken for which."""

from __future__ import annotations

from edgebench.networks.evaluation import Evaluation
from edgebench.studies.study.figures import _shown
from edgebench.studies.study.results import ReportTable, Results, Section

HEADING = "Confusion"
SIZE = 280
CLASS = 11  # px


def render(results: Results) -> Section:
    shown = _shown.best_of_each_network(results)
    if not shown:
        return Section(HEADING, _shown.NO_EVALUATION)
    from edgebench.studies.study.figures import _charts

    rows = [row for label, evaluation in shown for row in _rows(label, evaluation)]
    sizes = [max(SIZE, CLASS * len(one.class_names)) for _, one in shown]
    panels = [
        (label, _charts.heat(one.confusion, one.class_names, size=size))
        for (label, one), size in zip(shown, sizes, strict=True)
    ]
    text = f"Row: the class; column: the answer; numbers in percent of the class. {_shown.CHOICE}"
    columns = ("network", "class", "images", "recall, %", "precision, %", "F1, %", "most often mistaken for")
    chart = _charts.panels(panels, columns=3 if max(sizes) == SIZE else 1)
    return Section(HEADING, text, ReportTable(columns, tuple(rows)), chart)


def _rows(label: str, evaluation: Evaluation) -> list[tuple[str, ...]]:
    each = evaluation.per_class
    return [
        (
            label,
            name,
            f"{sum(counts):,}",
            *(f"{100 * float(column[number]):.1f}" for column in (each.recall, each.precision, each.f1)),
            _most_often(number, counts, evaluation.class_names),
        )
        for number, (name, counts) in enumerate(zip(evaluation.class_names, evaluation.confusion, strict=True))
    ]


def _most_often(number: int, counts: tuple[int, ...], names: tuple[str, ...]) -> str:
    others = [(count, other) for other, count in enumerate(counts) if other != number and count]
    if not others:
        return "none"
    count, other = max(others)
    return f"{names[other]} ({count})"
