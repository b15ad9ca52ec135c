"""The results of a study, as its figures, claims and audit read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgebench.schema.checkpoint import Checkpoint

if TYPE_CHECKING:
    from edgebench.evaluate import Evaluation
    from edgebench.networks import sparsity
    from edgebench.schema.record import Record

Axis = str | int | float


@dataclass(frozen=True)
class VariantRun:
    """One variant with one seed. file_bytes: of the checkpoint. packed_bytes: packing format -> bytes."""

    seed: int
    checkpoint: Checkpoint
    file_bytes: int
    evaluation: Evaluation | None = None
    sparsity: tuple[sparsity.LayerSparsity, ...] = ()
    packed_bytes: dict[str, int] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    @property
    def accuracy(self) -> float:
        return self.checkpoint.about.metrics.accuracy


@dataclass(frozen=True)
class VariantResults:
    """One cell of the matrix: what differs is in `axes` (part, variant, model, dataset, method, ratio)."""

    label: str
    axes: dict[str, Axis]
    runs: tuple[VariantRun, ...]


@dataclass(frozen=True)
class Results:
    """published: what the publication states, if the study file transcribes it. subset: sizes were reduced. bands: job
    -> latency ratio of two identical files in it, 1 or more.
    """

    name: str
    title: str
    source: str
    variants: tuple[VariantResults, ...]
    published: Any = None
    subset: bool = False
    bands: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportTable:
    """columns: headings, with units. rows: text, one per column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ReportImage:
    png: bytes
    caption: str


@dataclass(frozen=True)
class Section:
    """One figure or table of a report. chart: a Vega-Lite specification that carries its data."""

    heading: str
    text: str
    table: ReportTable | None = None
    chart: dict[str, Any] | None = None
    images: tuple[ReportImage, ...] = ()
