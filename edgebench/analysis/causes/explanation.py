"""What `edgebench explain` says: an answer about a file, its causes with what shows them, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["int8", "pruning", "roofline", "cost", "deadline"]


@dataclass(frozen=True)
class FoundCause:
    """One reason. seen: in numbers. share: of the time of an inference; None if it cannot be separated from the rest.

    command: what removes it, or what to do. evidence: single layers, facts, readings.
    """

    name: str
    seen: str
    command: str
    share: float | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class MissingEvidence:
    """What is not known, and the command that brings it. is_file: the file was not looked for, or not found."""

    what: str
    command: str
    is_file: bool = False


@dataclass(frozen=True)
class Explanation:
    """Of one file, or one file against another. subject: which; answer: in a sentence; notes: assumptions.

    concern: how much this matters, from 0 to 1, or more if it was asked; the highest are in the answer.
    """

    family: Family
    subject: str
    answer: str
    causes: tuple[FoundCause, ...] = ()
    missing: tuple[MissingEvidence, ...] = ()
    notes: tuple[str, ...] = ()
    concern: float = 0.0

    @property
    def ranked(self) -> list[FoundCause]:
        """The largest share first; those without one last."""
        return sorted(self.causes, key=lambda cause: -(cause.share or 0.0))
