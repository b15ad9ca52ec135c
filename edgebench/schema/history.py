"""The history of a network: its trainings and prunings, in order, as stored in the checkpoint.

Only facts are kept. What can be computed from them (CO2, images per second, sparsity of a file) is computed when read.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edgebench.schema.limits import Amount, Bytes, Fraction, Index, Joules, Text

Provenance = Literal["measured", "estimated", "modelled"]


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large a network is.

    macs: multiply-accumulates of one image, convolution and linear weights only (no bias, no activation); 2 FLOPs each.
    weights_bytes: parameters and buffers, without any file format around them.
    """

    parameters: int
    macs: int
    weights_bytes: int


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On a whole split. loss: mean cross-entropy in nats, without label smoothing."""

    accuracy: Fraction
    loss: float
    test_images: Index


class EnergyShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The energy of one component. source: of the number, in words. Shares of different provenance are never added."""

    component: Literal["cpu", "gpu", "ram", "machine"]
    joules: Joules
    provenance: Provenance
    source: str


class TrainingCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cost of the training loop alone: without loading, compiling, validation and test.

    images: number passed forwards and backwards. peak_memory_bytes: kind ("process high water",
    "cuda allocated") -> bytes. no_energy: why `energy` is empty. intensity: grams of CO2 per kilowatt hour, and
    the source of that figure.
    """

    seconds: Amount
    images: Index
    peak_memory_bytes: dict[Text, Bytes] = {}
    energy: tuple[EnergyShare, ...] = ()
    no_energy: str = ""
    intensity_g_per_kwh: Amount | None = None
    intensity_source: str = ""


class Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """loss: mean over the epoch's batches, as trained (smoothing and mixing included). nonzero: non-zero weights."""

    loss: float
    validation_loss: float
    validation_accuracy: Fraction
    learning_rate: float
    nonzero: int | None = None


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the training loop.

    recipe: every choice, as `networks.training.Recipe` writes it. kept_epoch: the one whose weights were kept, from 1.
    selected_on: the split that decided which epoch that is. train: on images of the training split without
    augmentation. parent: digest of the checkpoint that it started from, if any.
    """

    recipe: dict[str, Any]
    seed: int
    split_sha256: str
    device: str = ""
    kept_epoch: Index = 0
    selected_on: Literal["none", "validation", "test"] = "none"
    history: tuple[Epoch, ...] = ()
    train: Metrics | None = None
    validation: Metrics | None = None
    cost: TrainingCost | None = None
    parent: str | None = None

    @property
    def epochs(self) -> int:
        return len(self.history)


class PruningStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pruning. parent: digest of the checkpoint that was pruned; "" if it was pruned before its first training, and
    then parent_accuracy is None.

    form: channels or taps are removed (smaller), or weights are zero in arrays of the same shapes (baked). ratio: as
    requested, or the removed share if the method finds it itself. weights, nonzero: all and non-zero weights of Conv
    and Linear layers, after the pruning. channels_removed: of all layers together, after rounding, if the method
    removes channels. untouched: layer -> why it keeps all of its channels.
    """

    method: Text
    ratio: Fraction
    finetune_epochs: Index
    before: Size
    after: Size
    parent: str
    parent_accuracy: Fraction | None
    form: Literal["smaller", "baked"] = "smaller"
    options: dict[str, Any] = {}
    weights: int | None = None
    nonzero: int | None = None
    channels_removed: int | None = None
    untouched: dict[str, str] = {}
