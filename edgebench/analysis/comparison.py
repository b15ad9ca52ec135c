"""Comparison: what `compare` makes of records, and the reports show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edgebench.analysis import comparability, same_outputs, stats
from edgebench.analysis.ratios import Ratio, RatioOutcome
from edgebench.analysis.record_statistics import RecordStatistics
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class ComparisonRow(RecordStatistics):
    """One artifact on one target, compared with the baseline.

    label: what tells it from other records of this artifact and target; empty where there are none. ratio: median
    latency over the baseline's; `no_ratio` says why there is none. differences: conditions that are not the baseline's.
    energy: for each meter and scope; `no_energy` says of every other meter why there is none. energy_ratios: net joules
    over the baseline's, for each of `energy`, or why there is no ratio; never across scopes. intensity_g_per_kwh,
    intensity_source: of the electricity, where it is known, and who says so.
    """

    label: str
    energy: tuple[EnergyPerInference, ...]
    no_energy: tuple[str, ...]
    energy_ratios: tuple[Ratio | str, ...]
    is_baseline: bool
    ratio: Ratio | None
    no_ratio: str
    differences: tuple[str, ...]
    accuracy_change: Estimate | None = None
    """On the device, against the baseline's there, image by image."""
    intensity_g_per_kwh: float | None = None
    intensity_source: str = ""

    @property
    def name(self) -> str:
        """The artifact's, with the label where there are several records of it."""
        return f"{self.record.artifact.name} ({self.label})" if self.label else self.record.artifact.name

    @property
    def outcome(self) -> RatioOutcome | None:
        """What the ratio says; None for the baseline, and without a ratio."""
        return None if self.is_baseline or self.ratio is None else self.ratio.outcome

    @cached_property
    def fed(self) -> str:
        """The shapes of the inputs as they were fed, `4x1x28x28`; empty where they are unknown."""
        return comparability.fed(self.record)

    @cached_property
    def device_accuracy(self) -> Estimate | None:
        return stats.accuracy(self.record.answers) if self.record.answers else None

    @property
    def high_water_bytes(self) -> int | None:
        return self.record.memory.high_water_bytes if self.record.memory else None


@dataclass(frozen=True)
class Comparison:
    """intensity_g_per_kwh: of the electricity, as the user gives it; None if it is not asked for."""

    rows: tuple[ComparisonRow, ...]
    outputs: tuple[same_outputs.OutputsMatch, ...]
    intensity_g_per_kwh: float | None = None
