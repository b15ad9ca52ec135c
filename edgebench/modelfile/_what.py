"""What is read from a model file. All names are untrusted."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Input:
    """shape: an open size is its name, or ""; None if not even their number is known.

    also: other names it is known by. stored: the sizes stored in a file that leaves some open.
    """

    name: str
    shape: tuple[int | str, ...] | None
    dtype: str
    also: tuple[str, ...] = ()
    stored: tuple[int, ...] = ()

    @property
    def open_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis, size in enumerate(self.shape or ()) if isinstance(size, str))


@dataclass(frozen=True)
class Signature:
    name: str
    subgraph: int
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class ModelFile:
    """inputs: of the graph that runs by default. external: files that contain its weights, as it names them.

    declared: its metadata. custom: operators of a .tflite file that a runtime may not have.
    """

    inputs: tuple[Input, ...]
    signatures: tuple[Signature, ...] = ()
    subgraphs: int = 1
    external: tuple[str, ...] = ()
    declared: dict[str, str] = field(default_factory=dict)
    custom: tuple[str, ...] = ()
