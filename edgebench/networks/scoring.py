"""What scoring works with: a file's outputs, what a device is asked, and what a user chose."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from edgebench.modelfile import Input

if TYPE_CHECKING:
    from edgebench.schema.preprocessing import Geometry

# What a device kept of the answers to one image, in order: arrays.
ImageAnswers: TypeAlias = "list[Any]"


OPEN_NUMBERS = 16_384


@dataclass(frozen=True)
class ScoreChoice:
    """What stands beside --accuracy. head: the name of a detector's output layout; anchors: a file of them. metric:
    package.module:callable.
    """

    dataset: str | None = None
    preprocessing: str | None = None
    geometry: Geometry | None = None
    task: str | None = None
    metric: str | None = None
    head: str | None = None
    anchors: Path | None = None


@dataclass(frozen=True)
class OutputsOfFile:
    """size: (height, width) of the image that it takes. declared: the file's metadata; postprocess: see ModelFile."""

    name: str
    size: tuple[int, int]
    outputs: tuple[Input, ...]
    declared: dict[str, str] = field(default_factory=dict)
    postprocess: tuple[int, ...] = ()

    def shown(self) -> str:
        """Its outputs with their sizes."""
        parts = []
        for one in self.outputs[:8]:
            sizes = "..." if one.shape is None else ", ".join(str(size) or "?" for size in one.shape)
            parts.append(f"{one.name} [{sizes}]")
        return "; ".join(parts) or "none that it describes"


@dataclass(frozen=True)
class KeptAnswers:
    """reduction: what the device keeps of an image's answers. said: how they are read, for people.

    image_bytes: the most that is kept of one image. classes: of each of the network's classes the data set's, -1 for
    one that it does not have.
    """

    reduction: dict[str, Any]
    said: str
    image_bytes: int
    classes: tuple[int, ...] = ()


def sizes(one: Input) -> tuple[int, ...]:
    """Of an output; -1 for an open one. () where not even their number is known."""
    return tuple(size if isinstance(size, int) else -1 for size in one.shape or ())


def class_count(one: Input) -> int | None:
    """How many numbers it has for one image, if that is known."""
    count = 1
    for size in sizes(one)[1:]:
        count *= size
    return count if one.shape and count > 0 else None


def values_bytes(network: OutputsOfFile) -> int:
    """Of all outputs for one image, as float32; of an output of open size so much as is unlikely to be exceeded."""
    return sum(4 * (class_count(one) or OPEN_NUMBERS) for one in network.outputs) or 4 * OPEN_NUMBERS
