"""Small files of the kernel."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def text(path: Path) -> str:
    """Stripped; "" for a file that is not there or cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
