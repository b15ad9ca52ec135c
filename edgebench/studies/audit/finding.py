"""What a detector says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["wrong", "doubtful"]


@dataclass(frozen=True)
class Finding:
    """wrong: the numbers contradict what is said. doubtful: they do not carry it.

    where: the file, row or variant. seen: what is there, with its numbers. remedy: what would be right. detector: the
    name of its file, filled in by `audit`.
    """

    level: Level
    where: str
    seen: str
    remedy: str
    detector: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.seen}. {self.remedy}"
