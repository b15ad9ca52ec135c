"""A comparison in the forms that people read. One file each; the file's name is the option of `edgebench compare`.

render(comparison) -> str     the whole file's text
"""

from __future__ import annotations

from pathlib import Path

from edgebench import plugins
from edgebench.compare import Comparison
from edgebench.errors import UserError


def write(comparison: Comparison, form: str, path: Path) -> None:
    """Render a comparison and write it to `path`, by renaming."""
    text: str = plugins.load("edgebench.report", form, kind="report").render(comparison)
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(str(path), f"cannot be written ({error.strerror})", "Give another path") from error
