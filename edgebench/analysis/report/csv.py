"""Write CSV: one line per record, SI units in the column names, empty if nothing was measured."""

from __future__ import annotations

import csv
import io

from edgebench.analysis import tidy
from edgebench.analysis.comparison import Comparison


def render(comparison: Comparison) -> str:
    out = io.StringIO()
    lines = tidy.lines(comparison)
    writer = csv.DictWriter(out, fieldnames=list(lines[0]) if lines else ["record"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()
