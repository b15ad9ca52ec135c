"""Write JSON: the records' values, ratios and outcomes, and what to know about them."""

from __future__ import annotations

from typing import Any

import msgspec

from edgebench import __version__
from edgebench.analysis import answer, causes, report_text, tidy
from edgebench.analysis.causes.evidence import Evidence
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.schema.estimate import Estimate

# 1  2026-11  first; described in docs/compare.md
SCHEMA_VERSION = 1


def render(comparison: Comparison) -> str:
    rows = [
        line | {"reasons": _reasons(row), "unlike": _unlike(row), "energy": _energy(row)}
        for line, row in zip(tidy.lines(comparison), comparison.rows, strict=True)
    ]
    content = {
        "schema_version": SCHEMA_VERSION,
        "edgebench": __version__,
        "margin": comparison.margin,
        "comparisons": comparison.compared,
        "older_runs": comparison.older,
        "answer": list(answer.of(comparison).lines),
        "rows": rows,
        "outputs": [vars(match) for match in comparison.outputs],
        "explanations": causes.explain(Evidence([row.record for row in comparison.rows])),
        "notes": list(report_text.notes(comparison)),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def _reasons(row: ComparisonRow) -> list[dict[str, str]]:
    return [vars(one) for one in row.verdict.reasons]


def _unlike(row: ComparisonRow) -> list[dict[str, str]]:
    return [{"name": one.name, "rule": one.rule, "own": str(one.own), "baseline": str(one.base)} for one in row.unlike]


def _energy(row: ComparisonRow) -> list[dict[str, Any]]:
    return [
        {
            "meter": one.meter,
            "scope": one.scope,
            "provenance": one.provenance,
            "windows": one.windows,
            "net_j": _interval(one.net_j),
            "gross_j": _interval(one.gross_j),
        }
        for one in row.energy
    ]


def _interval(found: Estimate | None) -> dict[str, float | None] | None:
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}
