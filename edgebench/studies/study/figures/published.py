"""The publication's numbers as printed, to be read beside the study's own table."""

from __future__ import annotations

from edgebench.analysis.formatting import NOTHING
from edgebench.studies.study.results import ReportTable, Results, Section

HEADING = "What the publication states"


def render(results: Results) -> Section:
    tables = results.published or ()
    quantities = list(dict.fromkeys(name for table in tables for row in table.rows for name in row.values))
    if not quantities:
        return Section(HEADING, "The study file transcribes no table.")
    rows = tuple(
        (table.title, row.label, *(str(row.values.get(name, NOTHING)) for name in quantities))
        for table in tables
        for row in table.rows
    )
    text = f"Transcribed from {results.source}, with the units as printed. The findings say whether they are right."
    columns = ("table", "network", *(f"{name.replace('_', ' ')} (as printed)" for name in quantities))
    return Section(HEADING, text, ReportTable(columns, rows))
