"""An HTML file that needs nothing else: the chart library, the charts and the pictures are written into it.

So it opens without a network, and still does in ten years.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgebench import __version__

_TEMPLATES = Path(__file__).parent


def render(template: Path, specs: Sequence[dict[str, Any]], **context: Any) -> str:
    """A template that extends `page.html.jinja`. specs: of its charts; the n-th is drawn into the element `chartN`."""
    import jinja2
    import vl_convert

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, _TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template.name).render(
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        specs=[_script_safe(spec) for spec in specs],
        library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
        **context,
    )


def _script_safe(spec: object) -> str:
    """JSON that cannot end the script element it stands in; names in it come from files."""
    return json.dumps(spec).replace("<", "\\u003c")
