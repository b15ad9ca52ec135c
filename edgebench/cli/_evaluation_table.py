"""An evaluation on a terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from edgebench.analysis.formatting import NOTHING
from edgebench.networks.evaluation import Evaluation, listing

_OF_A_CLASS = ("images", "recall", "precision", "f1", "auc")


def tables(made: Evaluation) -> tuple[Table, Table]:
    """One for all classes together, one for each class."""
    overall = Table(box=None, pad_edge=False, show_header=False)
    for one in listing.overall(made):
        overall.add_row(one.name.replace("_", " "), listing.number(one.value), listing.interval(one))
    classes = Table(box=None, pad_edge=False, header_style="dim")
    classes.add_column("class")
    for heading in _OF_A_CLASS:
        classes.add_column(heading, justify="right")
    each = listing.by_class(made)
    for name in made.class_names:
        known = {one.name: listing.number(one.value) for one in each if one.of_class == name}
        classes.add_row(escape(name), *(known.get(heading, NOTHING) for heading in _OF_A_CLASS))
    return overall, classes
