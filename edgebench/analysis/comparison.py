"""Comparison: the result of `compare`, shown by the reports."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from edgebench.analysis import comparability, computed_precision, same_outputs, stats
from edgebench.analysis.comparability import Unlike
from edgebench.analysis.computed_precision import ComputedPrecision
from edgebench.analysis.ratios import EQUIVALENCE_MARGIN, Ratio, RatioOutcome
from edgebench.analysis.record_statistics import RecordStatistics
from edgebench.analysis.resolution import Resolution
from edgebench.analysis.stats import AccuracyChange
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record


@dataclass(frozen=True, kw_only=True)
class ComparisonRow(RecordStatistics):
    """One artifact on one target, compared with the baseline.

    label: distinguishes it from other records of this artifact and target; empty if there are none. ratio: median
    latency over the baseline's, else `no_ratio` gives the reason. unlike: conditions that differ from the baseline's;
    is_unfair: one of them must be equal, and a ratio is given only because it was asked for. resolution: what could
    have been shown, if the ratio is not resolved. energy: for each meter and scope; `no_energy` gives the reason for
    every other meter. energy_ratios: net joules over the baseline's, for each of `energy`, or the reason why not; never
    across scopes. intensity_g_per_kwh, intensity_source: of the electricity, if known, and where the figure comes from.
    """

    label: str
    energy: tuple[EnergyPerInference, ...]
    no_energy: tuple[str, ...]
    energy_ratios: tuple[Ratio | str, ...]
    is_baseline: bool
    baseline: Record | None
    ratio: Ratio | None
    no_ratio: str
    unlike: tuple[Unlike, ...]
    is_unfair: bool = False
    resolution: Resolution | None = None
    accuracy_change: AccuracyChange | None = None
    """On the device, against the baseline's there, image by image."""
    score_change: Estimate | None = None
    """The same of a metric that is not top-1, on the same samples of the images."""
    intensity_g_per_kwh: float | None = None
    intensity_source: str = ""

    @property
    def name(self) -> str:
        """The artifact's name, with the label if it has several records."""
        return f"{self.record.artifact.name} ({self.label})" if self.label else self.record.artifact.name

    @property
    def differences(self) -> tuple[str, ...]:
        """`threads: 4, baseline 1`"""
        return tuple(map(str, self.unlike))

    @property
    def outcome(self) -> RatioOutcome | None:
        """The ratio's outcome; None for the baseline, and without a ratio."""
        return None if self.is_baseline or self.ratio is None else self.ratio.outcome

    @cached_property
    def fed(self) -> str:
        """The shapes of the inputs as they were fed, `4x1x28x28`; empty if unknown."""
        return comparability.fed(self.record)

    @cached_property
    def computed(self) -> ComputedPrecision:
        return computed_precision.of(self.record)

    @cached_property
    def device_accuracy(self) -> Estimate | None:
        return stats.accuracy(self.record.answers) if self.record.answers else None

    @property
    def high_water_bytes(self) -> int | None:
        return self.record.memory.high_water_bytes if self.record.memory else None


# Points that a file may lose against its float parent.
MAX_DROP_POINTS = 1.0


@dataclass(frozen=True)
class CheckResult:
    """An expression of `--fail-if` for one file. said: what was measured, or why it could not be. longer: how many
    times as many rounds would resolve it, and name, without its label; None if rounds do not help.
    """

    expression: str
    target: str
    artifact: str
    state: Literal["passed", "failed", "not resolved"]
    said: str
    longer: float | None = None
    name: str = ""


@dataclass(frozen=True)
class ShipLimits:
    """max_drop: below the float parent; min_accuracy: fractions both. None: no limit."""

    max_drop: float = MAX_DROP_POINTS / 100
    min_accuracy: float | None = None
    max_s: float | None = None
    max_bytes: float | None = None
    max_j: float | None = None


@dataclass(frozen=True)
class Comparison:
    """intensity_g_per_kwh: of the electricity, from the user; None if not given. margin: what counts as equivalent, as
    a fraction. older: the number of runs of the same files that are not shown. is_against_earlier: two result sets,
    each file against its earlier self. limits: of a file that is worth shipping.
    checks: of `--fail-if`. passed_over: newest runs without a value, for which an older one stands.
    """

    rows: tuple[ComparisonRow, ...]
    outputs: tuple[same_outputs.OutputsMatch, ...]
    intensity_g_per_kwh: float | None = None
    margin: float = EQUIVALENCE_MARGIN
    older: int = 0
    is_against_earlier: bool = False
    limits: ShipLimits = ShipLimits()
    checks: tuple[CheckResult, ...] = ()
    passed_over: tuple[Record, ...] = ()

    @property
    def compared(self) -> int:
        """The number of ratios with an interval, which chance may make a difference of."""
        return sum(row.ratio is not None and row.ratio.holm is not None for row in self.rows)
