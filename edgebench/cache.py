"""Where edgebench keeps what it can make or fetch again: agents, wheels, boards, data sets."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """$EDGEBENCH_CACHE, else ~/.cache/edgebench."""
    return Path(os.environ.get("EDGEBENCH_CACHE") or "~/.cache/edgebench").expanduser()
