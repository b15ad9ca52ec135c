"""The comparison as one HTML file that needs nothing else: tables, interactive charts, reasons, conditions.

The chart library is written into the file, so that it opens without a network and still does in ten years.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from edgebench import __version__
from edgebench.compare import Comparison
from edgebench.report import _format, _text

_TEMPLATE = Path(__file__).with_name("report.html.jinja")


def render(comparison: Comparison) -> str:
    import jinja2
    import vl_convert

    from edgebench.report._charts import charts

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals.update(fmt=_format, text=_text)
    drawn = [(heading, explained, _script_safe(spec)) for heading, explained, spec in charts(comparison)]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        rows=comparison.rows,
        levels={level: _count(comparison, level) for level in ("valid", "suspect", "invalid")},
        targets=list({row.record.target.name: row for row in comparison.rows}.values()),
        remarks=_text.remarks(comparison.rows),
        notes=list(_text.notes(comparison)),
        charts=drawn,
        library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
    )


def _count(comparison: Comparison, level: str) -> int:
    return sum(row.verdict.level == level for row in comparison.rows)


def _script_safe(spec: object) -> str:
    """JSON that cannot end the script element it stands in; names in it come from files."""
    return json.dumps(spec).replace("<", "\\u003c")
