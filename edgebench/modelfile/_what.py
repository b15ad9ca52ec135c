"""What is read of a model file. All names are a stranger's."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Input:
    """shape: an open size is its name, "" without one; None where not even their number is known.

    also: other names that people know it by. stored: the sizes that a file with open ones was stored with.
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
    """inputs: of what runs by default. external: files that its weights are in, as it names them.

    declared: what its metadata say. custom: operators of a .tflite file that a runtime may not have.
    """

    inputs: tuple[Input, ...]
    signatures: tuple[Signature, ...] = ()
    subgraphs: int = 1
    external: tuple[str, ...] = ()
    declared: dict[str, str] = field(default_factory=dict)
    custom: tuple[str, ...] = ()
