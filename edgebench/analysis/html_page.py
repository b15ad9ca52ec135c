"""A self-contained HTML file: it includes the chart library, the charts and the pictures.

It opens without a network, and still will in ten years.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from edgebench import __version__
from edgebench.analysis import colours
from edgebench.errors import UserError
from edgebench.files import cache, output

_TEMPLATES = Path(__file__).parent


def render(template: Path, specs: Sequence[dict[str, Any]], **context: Any) -> str:
    """A template that extends `page.html.jinja`. specs: of its charts; the n-th goes into the element `chartN`."""
    import jinja2

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
        library=_library(),
        light=colours.LIGHT.variables,
        dark=colours.DARK.variables,
        **context,
    )


def _library() -> str:
    """The chart library for a page. Bundling it takes more than a second and 100 MB, so it is cached."""
    import vl_convert

    version = metadata.version("vl-convert-python")
    kept = cache.folder() / "pages" / f"vega-embed-{version}.js"
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with suppress(UserError):  # a page can be made without a cache
        output.make_folder(kept.parent)
        output.write(kept, made)
    return made


def _script_safe(spec: object) -> str:
    """JSON that cannot close its script element: names in it come from files."""
    return json.dumps(spec).replace("<", "\\u003c")
