"""A reason to doubt a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Reason:
    level: Literal["suspect", "invalid"]
    seen: str
    remedy: str
