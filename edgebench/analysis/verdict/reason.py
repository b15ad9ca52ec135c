"""A reason to doubt a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Reason:
    """cause: the same for all reasons of one origin, in words; `judge` fills it in."""

    level: Literal["suspect", "invalid"]
    seen: str
    remedy: str
    cause: str = ""
