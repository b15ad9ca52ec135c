"""What is read from a model file. All names are untrusted."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Input:
    """An input, or an output. shape: an open size is its name, or ""; None if not even their number is known.

    also: other names it is known by. stored: the sizes stored in a file that leaves some open. scale, zero_point: of
    one that is quantised as a whole, real value = (stored - zero_point) * scale.
    """

    name: str
    shape: tuple[int | str, ...] | None
    dtype: str
    also: tuple[str, ...] = ()
    stored: tuple[int, ...] = ()
    scale: float | None = None
    zero_point: int | None = None

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
    """inputs, outputs: of the graph that runs by default. external: files that contain its weights, as it names them.

    declared: its metadata. custom: operators of a .tflite file that a runtime may not have. postprocess: which of the
    outputs are the boxes, classes, scores and count of a TFLite_Detection_PostProcess; () without one.
    """

    inputs: tuple[Input, ...]
    signatures: tuple[Signature, ...] = ()
    subgraphs: int = 1
    external: tuple[str, ...] = ()
    declared: dict[str, str] = field(default_factory=dict)
    custom: tuple[str, ...] = ()
    outputs: tuple[Input, ...] = ()
    postprocess: tuple[int, ...] = ()
