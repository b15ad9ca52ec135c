"""The network that artifacts are made from and compared with: a checkpoint, or what somebody else made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporters import Source
from exporters.sources.foreign import Foreign

if TYPE_CHECKING:
    from edgebench.schema.history import Metrics
    from edgebench.schema.preprocessing import Preprocessing

# One bit for each weight is what leaving the zeros out costs: with fewer nothing is saved.
NOTABLE_ZEROS = 1 / 32
MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Given:
    """What the user said about a network. source: a path, or `package.module:callable`.

    dataset: what it is tested on; calibration: what INT8 ranges are found on; of other people's networks one of them
    stands for both. preprocessing: a name of `_preprocessing.NAMES`.
    """

    source: str
    weights: Path | None = None
    input_shape: tuple[int, int, int] | None = None
    dataset: str | None = None
    calibration: str | None = None
    preprocessing: str | None = None

    @property
    def is_module(self) -> bool:
        return MODULE.fullmatch(self.source) is not None and not Path(self.source).exists()

    @property
    def name(self) -> str:
        """Begins the names of all artifacts, which become file names on devices."""
        stem = self.source.rpartition(".")[2] if self.is_module else Path(self.source).stem
        return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip(".-") or "network"


@dataclass(frozen=True)
class Parent:
    """where: what the user named, for errors. path: what is exported, or foreign, if only workers may open it.

    source: which network it is, for the bundle. digest: over all that makes it what it is, "" if that cannot be known.
    dataset, calibration: see `Given`; None where no data set is known. preprocessing: how images become its input, None
    where only the data set says so. packed_bytes: its file with the zeros left out, None where that is not smaller.
    tested: what a checkpoint's training noted of the official test split.
    """

    name: str
    where: str
    path: Path
    kind: Source
    model: str
    input_shape: tuple[int, ...]
    source: dict[str, str]
    digest: str
    parameters: int
    macs: int | None
    dataset: str | None
    calibration: str | None
    preprocessing: Preprocessing | None = None
    named_preprocessing: str | None = None
    zeros: int = 0
    packed_bytes: int | None = None
    foreign: Foreign | None = None
    tested: Metrics | None = None

    @property
    def weights_note(self) -> str:
        """How the weights were found in the user's file, "" if there is nothing to know."""
        found = self.source.get("weights_note", "")
        return found and f"{self.source['weights']}: {found}"

    @property
    def zeros_note(self) -> str:
        """What a user should know about its zeros, "" if there are hardly any."""
        if not self.zeros or self.zeros < NOTABLE_ZEROS * self.parameters:
            return ""
        note = f"{self.zeros:,} of {self.parameters:,} parameters are zero ({self.zeros / self.parameters:.1%})"
        if self.packed_bytes is None:
            return note
        return (
            f"{note}; `edgebench pack` stores the checkpoint in {self.packed_bytes:,} bytes with one bit for each zero"
        )

    @property
    def preprocessing_is_guessed(self) -> bool:
        """Then it is worth asking whether another one makes the network right more often."""
        return self.preprocessing is None and self.named_preprocessing is None
