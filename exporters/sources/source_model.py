"""The network that an export starts from: a checkpoint, or a network that did not come from edgebench.

It is called the parent of the artifacts that are made from it and compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.modelfile.feeding import InputRequest
from edgebench.networks import own_network
from edgebench.networks.own_network import plain_name
from edgebench.schema import names, tensors
from exporters import IsolatedModel, SourceKind

if TYPE_CHECKING:
    from edgebench.schema.bundle import TensorSpec
    from edgebench.schema.history import Metrics
    from edgebench.schema.preprocessing import Geometry, Preprocessing

# Leaving the zeros out costs one bit for each weight: with fewer zeros nothing is saved.
NOTABLE_ZEROS = 1 / 32


def image_shape(inputs: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    """(channels, height, width), or (features,); () unless the only input is an image or a row of features."""
    if len(inputs) != 1 or not tensors.is_batched(inputs[0]) or inputs[0].is_whole:
        return ()
    spec = inputs[0]
    if spec.layout == "NHWC":
        return (spec.shape[3], *spec.shape[1:3])
    return spec.shape[1:] if spec.layout in ("NCHW", "NC") else ()


@dataclass(frozen=True)
class SourceRequest:
    """What the user gave for a network. source: a path, or `package.module:callable`.

    dataset: what it is tested on; calibration: what INT8 ranges are found on. For networks that are not checkpoints,
    one of the two stands for both. input_shape: of one image; wanted: sizes and dtypes of any inputs. preprocessing: a
    name in `normalisation.NAMES`. geometry: how images get their size. arguments: of the callable.
    """

    source: str
    weights: Path | None = None
    input_shape: tuple[int, int, int] | None = None
    wanted: InputRequest = InputRequest()
    dataset: str | None = None
    calibration: str | None = None
    preprocessing: str | None = None
    geometry: Geometry | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_module(self) -> bool:
        return own_network.is_own(self.source)

    @property
    def name(self) -> str:
        """The prefix of all artifacts' names."""
        if self.is_module:
            return plain_name(self.source) or "network"
        return names.shown(Path(self.source).stem)


@dataclass(frozen=True)
class SourceModel:
    """where: what the user named, for errors. path: the exported file; isolated: set if only workers may open it.

    inputs, outputs: with a batch of 1. table_sizes: of the tables that whole numbers are looked up in, by input.
    source: which network it is, for the bundle. digest: over everything that determines it, "" if that cannot be known.
    dataset, calibration: see `SourceRequest`; None where no data set is known. preprocessing: how images are prepared
    for it, None where only the data set says so. packed_bytes: size of the checkpoint without its zeros, None where
    that is not smaller. tested: what a checkpoint's training noted about the official test split.
    class_names: () if the source does not name its classes. precision: what it computes in.
    """

    name: str
    where: str
    path: Path
    kind: SourceKind
    model: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: dict[str, str]
    digest: str
    parameters: int
    macs: int | None
    dataset: str | None
    calibration: str | None
    preprocessing: Preprocessing | None = None
    named_preprocessing: str | None = None
    geometry: Geometry | None = None
    zeros: int = 0
    packed_bytes: int | None = None
    isolated: IsolatedModel | None = None
    tested: Metrics | None = None
    class_names: tuple[str, ...] = ()
    table_sizes: dict[str, int] = field(default_factory=dict)
    precision: str = "fp32"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one image: (channels, height, width), or (features,); () for a network that takes anything else."""
        return image_shape(self.inputs)

    @property
    def is_classifier(self) -> bool:
        """Whether it names one class for one image."""
        return bool(self.input_shape) and len(self.outputs) == 1 and tensors.has_classes(self.outputs[0])

    @property
    def samples(self) -> str:
        return "images" if self.input_shape else "samples"

    @property
    def weights_note(self) -> str:
        """How the weights were found in the user's file, "" if there is nothing to say."""
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
        """If so, it is checked whether another preprocessing makes the network more accurate."""
        return self.preprocessing is None and self.named_preprocessing is None
