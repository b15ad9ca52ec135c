"""What a detector reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["wrong", "doubtful"]


@dataclass(frozen=True)
class Finding:
    """wrong: the numbers contradict the statement. doubtful: they do not support it.

    where: the file, row or variant. seen: what was found, with its numbers. remedy: what would be right. detector: the
    name of its file, filled in by `audit`.
    """

    level: Level
    where: str
    seen: str
    remedy: str
    detector: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.seen}. {self.remedy}"
