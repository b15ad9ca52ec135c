"""A publication's statements, transcribed: rows of numbers as printed, and sentences about them.

Nothing here is measured by edgebench. The same structures hold a study's own report, so that it can be audited in
the same way. Written in YAML, as a list under the key `published:` of a study, or alone:

    - title: CSE 407 slides, MNIST
      rows:
        - label: Custom CNN
          model: ultralight
          dataset: mnist
          input_shape: [1, 28, 28]
          classes: 10
          values:
            accuracy: {value: 0.9759}
            operations: {value: 421.000, unit: GFLOP}
      statements:
        - {says: smaller files, quantity: file, relation: lower, rows: [Pruned ResNet18, Dense ResNet18]}
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from edgebench.networks.models import InputShape
from edgebench.schema.history import Provenance

# Quantity -> its kind. `operations` are MACs or FLOPs, `file` and `memory` are bytes.
KINDS = {
    **dict.fromkeys(("accuracy", "precision", "recall", "f1", "loss", "ece", "nll", "efficiency_index"), "number"),
    **dict.fromkeys(("parameters", "trainable", "connections", "nonzero", "sparsity"), "number"),
    "operations": "operations",
    **dict.fromkeys(("file", "memory"), "bytes"),
    **dict.fromkeys(("latency", "time"), "time"),
    **dict.fromkeys(("energy", "energy_to_accuracy"), "energy"),
    "power": "power",
    "co2": "mass",
    "green_score": "accuracy per mass",
}

# Unit -> (kind, size in the kind's base unit): bytes, MACs, seconds, joules, watts, grams.
UNITS: dict[str, tuple[str, float]] = {
    "": ("number", 1.0), "%": ("number", 0.01), "k": ("number", 1e3), "M": ("number", 1e6), "nats": ("number", 1.0),
    "MAC": ("operations", 1.0), "KMac": ("operations", 1e3), "MMac": ("operations", 1e6), "GMac": ("operations", 1e9),
    "FLOP": ("operations", 0.5), "KFLOP": ("operations", 0.5e3), "MFLOP": ("operations", 0.5e6),
    "GFLOP": ("operations", 0.5e9),
    "B": ("bytes", 1.0), "kB": ("bytes", 1e3), "MB": ("bytes", 1e6), "KiB": ("bytes", 2.0**10),
    "MiB": ("bytes", 2.0**20),
    "s": ("time", 1.0), "ms": ("time", 1e-3), "us": ("time", 1e-6), "ns": ("time", 1e-9),
    "J": ("energy", 1.0), "kJ": ("energy", 1e3), "Wh": ("energy", 3600.0), "kWh": ("energy", 3.6e6),
    "mW": ("power", 1e-3), "W": ("power", 1.0),
    "mg": ("mass", 1e-3), "g": ("mass", 1.0), "kg": ("mass", 1e3),
    "%/mg": ("accuracy per mass", 1.0),
}  # fmt: skip


class PublishedValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number as printed, with its unit.

    again: the same quantity printed elsewhere or measured again, in the same unit. batch: images per call, if a
    latency is one image's share of a call.
    """

    value: float
    unit: str = ""
    again: tuple[float, ...] = ()
    batch: int = 1

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"there is no unit '{self.unit}'; known: {', '.join(filter(None, UNITS))}")

    @property
    def kind(self) -> str:
        return UNITS[self.unit][0]

    @property
    def factor(self) -> float:
        return UNITS[self.unit][1]

    @property
    def plain(self) -> float:
        """In the kind's base unit: bytes, MACs, seconds, joules, watts, grams."""
        return self.value * self.factor

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}".strip()


class PublishedPruning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pruning as described. method: its name there ("global", "layer-wise")."""

    scheme: Literal["structured", "unstructured"]
    ratio: float
    removes: Literal["", "channels", "weights"] = ""
    method: str = ""


class PublishedEnergy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How energy was obtained. component: what was read. window_s: of one reading; period_s: of the meter's updates."""

    component: Literal["cpu", "gpu", "ram", "machine"]
    presented_as: Provenance
    meter: str = ""
    window_s: float | None = None
    period_s: float | None = None
    phase: Literal["training", "inference"] = "training"


class PublishedStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stage of a training. trains_all: it is claimed to train every parameter."""

    name: str
    trainable: int
    trains_all: bool = False


class PublishedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variant. What is not stated is left out, and detectors ignore it, except for the split of an accuracy.

    model, arguments, input_shape, classes: the same network in edgebench, so that it can be recomputed. artifact: in
    edgebench's own records, if there are any. parent: label of the row that it was made from, by pruning, by training
    for `epochs` more, or both. accuracy_split: "" if not stated. augmented: splits whose images are changed at random.
    runs, seeds: number of runs, and their seeds. layers: kinds of torch layers that it is claimed to have. file_holds:
    what the file contains (state_dict, pickled module, onnx).
    """

    label: str
    model: str = ""
    arguments: dict[str, Any] = {}
    dataset: str = ""
    input_shape: InputShape | None = None
    classes: int | None = None
    artifact: str = ""
    values: dict[str, PublishedValue] = {}
    parent: str = ""
    epochs: int | None = None
    pruned: PublishedPruning | None = None
    accuracy_split: Literal["", "train", "validation", "test"] = ""
    test_images: int | None = None
    split_seeded: bool = True
    selected_on: Literal["none", "validation", "test"] = "none"
    augmented: tuple[Literal["train", "validation", "test"], ...] = ()
    runs: int | None = None
    seeds: tuple[int, ...] = ()
    pretrained: bool | None = None
    device: Literal["", "cpu", "cuda"] = ""
    energy: PublishedEnergy | None = None
    intensity_g_per_kwh: float | None = None
    layers: tuple[str, ...] = ()
    layer_sparsity: dict[str, float] = {}
    stages: tuple[PublishedStage, ...] = ()
    epoch_seconds: tuple[float, ...] = ()
    file_holds: str = ""

    def __post_init__(self) -> None:
        for quantity in self.values:
            _known("quantity", quantity)
        accuracy = self.values.get("accuracy")
        if accuracy and not 0 <= accuracy.plain <= 1:
            raise ValueError(f"an accuracy of {accuracy} must be from 0 to 1, or from 0 to 100 with the unit '%'")


class PublishedStatement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence about one quantity of some rows.

    relation: equal (all rows), lower or higher (the first row against each other one), increasing (in this order),
    below (each row is below `limit`), fits (each row fits into `limit` of memory), "" (the quantity is only mentioned).
    limit: the number in the sentence itself. phase, device: what it is about, if stated.
    """

    says: str
    quantity: str
    relation: Literal["", "equal", "lower", "higher", "increasing", "below", "fits"] = ""
    rows: tuple[str, ...] = ()
    limit: PublishedValue | None = None
    phase: Literal["", "training", "inference"] = ""
    device: Literal["", "cpu", "cuda"] = ""

    def __post_init__(self) -> None:
        _known("quantity", self.quantity)


class PublishedTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of one publication. Labels are its keys; a statement that names a missing one is a finding."""

    title: str
    rows: tuple[PublishedRow, ...]
    statements: tuple[PublishedStatement, ...] = ()

    def __post_init__(self) -> None:
        labels = [row.label for row in self.rows]
        if len(set(labels)) != len(labels):
            raise ValueError("two rows have the same label")

    def row(self, label: str) -> PublishedRow | None:
        return next((row for row in self.rows if row.label == label), None)

    def spoken_of(self, statement: PublishedStatement) -> tuple[PublishedRow, ...]:
        """The rows of a statement, in its order; none if one of them is missing from the table."""
        found = [row for label in statement.rows if (row := self.row(label))]
        return tuple(found) if len(found) == len(statement.rows) else ()

    def where(self, row: PublishedRow) -> str:
        return f"{self.title}, '{row.label}'"


def _known(kind: str, name: str) -> None:
    if name not in KINDS:
        raise ValueError(f"there is no {kind} '{name}'; known: {', '.join(KINDS)}")
