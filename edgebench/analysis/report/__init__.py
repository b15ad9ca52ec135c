"""Report formats for a comparison, one file each; the file's name is the option of `edgebench compare`.

render(comparison) -> str | bytes     the whole file
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgebench import plugins
from edgebench.files import output

if TYPE_CHECKING:
    from edgebench.analysis.comparison import Comparison


def write(comparison: Comparison, form: str, path: Path) -> None:
    """Render a comparison and write it to `path`, by renaming."""
    content: str | bytes = plugins.load("edgebench.analysis.report", form, kind="report").render(comparison)
    output.write(path, content)
