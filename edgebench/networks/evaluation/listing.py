"""An evaluation as a list of named numbers, for the terminal and CSV files. Shares are fractions."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from edgebench.analysis import stats
from edgebench.files import output
from edgebench.networks.evaluation import Evaluation


@dataclass(frozen=True)
class Measure:
    """low, high: 95 % interval over the choice of images, if there is one. of_class: "" for all classes."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    of_class: str = ""


def overall(made: Evaluation) -> list[Measure]:
    each = made.per_class
    found = [_share("accuracy", made.right, made.images)]
    if made.top5_right is not None:
        found.append(_share("top5_accuracy", made.top5_right, made.images))
    found += [
        Measure("macro_precision", float(each.precision.mean())),
        Measure("macro_recall", float(each.recall.mean())),
        Measure("macro_f1", float(each.f1.mean())),
    ]
    if made.macro_auc is not None:
        found.append(Measure("macro_auc", made.macro_auc))
    return [
        *found,
        Measure("nll_nats", made.nll),
        Measure("ece", made.ece),
        Measure("brier", made.brier),
        Measure("images", made.images),
        Measure("parameters", made.parameters.total),
        Measure("trainable_parameters", made.parameters.trainable),
        Measure("nonzero_parameters", made.parameters.nonzero),
        Measure("buffers", made.parameters.buffers),
    ]


def by_class(made: Evaluation) -> list[Measure]:
    each = made.per_class
    found = []
    for number, name in enumerate(made.class_names):
        images = sum(made.confusion[number])
        found += [
            Measure("images", images, of_class=name),
            _share("recall", made.confusion[number][number], images, name),
            Measure("precision", float(each.precision[number]), of_class=name),
            Measure("f1", float(each.f1[number]), of_class=name),
        ]
        auc = made.roc[number].auc
        if auc is not None:
            found.append(Measure("auc", auc, of_class=name))
    return found


def _share(name: str, part: int, whole: int, of_class: str = "") -> Measure:
    """Without images, 0 and no interval."""
    if not whole:
        return Measure(name, 0.0, of_class=of_class)
    return Measure(name, part / whole, *stats.wilson_interval(part, whole), of_class)


def number(value: float) -> str:
    """Counts as they are, everything else with four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def interval(one: Measure) -> str:
    return "" if one.low is None or one.high is None else f"{one.low:.4f} to {one.high:.4f}"


def write_csv(made: Evaluation, path: Path) -> None:
    """One line per number. Raises UserError if it cannot be written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Measure)])
    writer.writerows(map(astuple, [*overall(made), *by_class(made)]))
    output.write(path, text.getvalue())
