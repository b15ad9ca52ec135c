"""The precision that a record was really computed in: what was asked for, what the runtime reports, what answers show.

What answers show is a likelihood of each precision, by their relative error against the fp32 answers of the network
that the file came from. How far apart the precisions are on many networks was measured (benchmarks/precision.py;
`precision_errors.py` holds the result). Three things are taken into account:

* the error itself: a network of many layers collects more of them;
* the error of the exporter's own fp32 answers, which shows how much this network magnifies rounding;
* whether all answers are numbers of a half precision, as those of runtimes are that store halves.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebench.analysis import precision_errors
from edgebench.analysis.precision_errors import Arithmetic, Grid
from edgebench.schema import bundle
from edgebench.schema.record import GoldenOutput, Record

# The precisions that are named hold at least this much of the likelihood together.
LEVEL = 0.95
# Standard deviations that the likeliest precision may be away.
_FARTHEST = 6.0
_KEPT = "computed precision"
_DISTINCT_MIN = 8
# As runtimes call them.
_REPORTED: dict[str, Arithmetic] = {
    "f32": "fp32", "float": "fp32", "float32": "fp32", "fp32": "fp32", "f16": "fp16", "float16": "fp16", "fp16": "fp16",
    "bf16": "bf16", "bfloat16": "bf16", "i8": "int8", "u8": "int8", "int8": "int8", "uint8": "int8", "tf32": "tf32",
}  # fmt: skip


@dataclass(frozen=True)
class ComputedPrecision:
    """asked: the file's precision, "fast" if the runtime could choose, and the runtime's own options. reported:
    {precision: layers} by the runtime; empty if it does not say. likelihoods: of each precision, by the answers, which
    add up to 1; empty if they show none, and `unknown` says why.
    """

    asked: dict[str, Any]
    reported: dict[str, int]
    likelihoods: dict[Arithmetic, float]
    unknown: str = ""

    @property
    def names(self) -> tuple[Arithmetic, ...]:
        """The likeliest precisions, as many as answers cannot tell apart, the likeliest first; () if not known."""
        ordered = sorted(self.likelihoods, key=lambda one: -self.likelihoods[one])
        named: list[Arithmetic] = []
        while ordered and sum(self.likelihoods[one] for one in named) < LEVEL:
            named.append(ordered.pop(0))
        return tuple(named)

    @property
    def likelihood(self) -> float | None:
        """Of those that are named."""
        return sum(self.likelihoods[one] for one in self.names) if self.likelihoods else None

    @property
    def settled(self) -> tuple[Arithmetic, ...]:
        """`names`, or the one among several that most layers run in by the runtime's own report."""
        most = max(self.reported, key=lambda one: self.reported[one], default="")
        return tuple(one for one in self.names if one == most) or self.names

    def __str__(self) -> str:
        return " or ".join(self.settled) or "not known"


def of(record: Record) -> ComputedPrecision:
    """Computed once for each record object."""
    found: ComputedPrecision | None = record.__dict__.get(_KEPT)
    if found is None:
        likelihoods, unknown = _shown(record)
        found = ComputedPrecision(_asked(record), _reported(record), likelihoods, unknown)
        record.__dict__[_KEPT] = found
    return found


def _asked(record: Record) -> dict[str, Any]:
    noted = record.runtime.notes.get("precision")
    options = noted.get("asked") if isinstance(noted, dict) else None
    return {
        "file": record.artifact.precision,
        "precision": record.target.precision,
        **(options if isinstance(options, dict) else {}),
    }


def _reported(record: Record) -> dict[str, int]:
    noted = record.runtime.notes.get("precision")
    layers = noted.get("reported") if isinstance(noted, dict) else None
    if not isinstance(layers, dict):
        return {}
    found: dict[str, int] = {}
    for name, count in layers.items():
        if isinstance(count, int) and count > 0:
            known = _REPORTED.get(str(name), str(name))
            found[known] = found.get(known, 0) + count
    return found


def _shown(record: Record) -> tuple[dict[Arithmetic, float], str]:
    artifact = record.artifact
    if artifact.precision == "unknown" or artifact.golden is None or not artifact.golden.reference:
        return {}, "there are no fp32 answers of its network to compare with"
    if artifact.notes.get(bundle.PARENT_PRECISION, "fp32") != "fp32":
        return {}, "the network that it came from does not compute in fp32 itself"
    if record.golden is None:
        return {}, "its golden inputs were not answered"
    seen = [SeenOutput.of(one, record) for one in record.golden.outputs if not one.whole]
    usable = [one for one in seen if one is not None]
    if not usable:
        return {}, "its answers have no error against the fp32 ones that could be judged"
    return likelihoods(usable, artifact.precision, gpu=record.target.device == "cuda")


@dataclass(frozen=True)
class SeenOutput:
    """One output: its error against the fp32 reference, the exporter's own, and whether answers are halves."""

    error: float
    exporter: float | None
    grid: Grid

    @classmethod
    def of(cls, output: GoldenOutput, record: Record) -> SeenOutput | None:
        error = output.reference_error
        if error is None and record.artifact.precision == "fp32":
            error = output.relative_error  # records before schema 6; the exporter's answers were fp32 as well
        if error is None:
            return None
        return cls(error, output.exporter_error, grid_of(output.values_base64))


def grid_of(values_base64: str) -> Grid:
    """Whether all answers are numbers of bfloat16 or float16. Few different ones show nothing."""
    values = np.frombuffer(base64.b64decode(values_base64), "<f4")
    values = np.unique(values[np.isfinite(values)])
    if len(values) < _DISTINCT_MIN:
        return "few"
    if not np.any(values.view("<u4") & 0xFFFF):
        return "bf16"
    with np.errstate(over="ignore"):
        return "fp16" if np.array_equal(values.astype("<f2").astype("<f4"), values) else "none"


def worst(outputs: Sequence[SeenOutput]) -> SeenOutput:
    """The one that is farthest from fp32, as far as the exporter's own error shows how far that is."""
    return max(outputs, key=lambda one: one.error / max(one.exporter or 0.0, precision_errors.LEAST))


def likelihoods(outputs: Sequence[SeenOutput], file: str, *, gpu: bool) -> tuple[dict[Arithmetic, float], str]:
    """Of each precision in which such a file can have been computed; or why none fits.

    By the worst output: parts of a network may be computed more exactly.
    """
    farthest = worst(outputs)
    error, exporter, grid = farthest.error, farthest.exporter, farthest.grid
    possible = precision_errors.possible(file, gpu=gpu)
    away = (precision_errors.deviations(one, file, error, exporter) for one in possible)
    if min(away) > _FARTHEST:
        return {}, (
            f"an error of {error:.2g} fits no precision of a file called {file}: its answers differ for another reason"
        )
    logs = [precision_errors.log_likelihood(one, file, error, exporter, grid) for one in possible]
    priors = [precision_errors.prior(one, file) for one in possible]
    weights = [prior * math.exp(one - max(logs)) for prior, one in zip(priors, logs, strict=True)]
    return {one: weight / sum(weights) for one, weight in zip(possible, weights, strict=True)}, ""
