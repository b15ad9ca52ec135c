"""Values for figures from the records of a study's files on devices.

Times and energies are compared within one setting: the same kind of file on the same target.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from edgebench.analysis import stats, verdict
from edgebench.energy import per_inference
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record
from edgebench.studies.study.results import Results, VariantResults


@dataclass(frozen=True)
class Setting:
    target: str
    format: str
    precision: str
    emulated: bool

    def __str__(self) -> str:
        return f"{self.format}-{self.precision} on {self.target}" + (" (emulated clock)" if self.emulated else "")


def setting(record: Record) -> Setting:
    artifact = record.artifact
    return Setting(record.target.name, artifact.format, artifact.precision, record.target.emulated)


def settings(results: Results) -> list[Setting]:
    """Every setting with a measured latency, those with most variants first, emulated ones last."""
    counts = Counter(one for variant in results.variants for one in {setting(record) for record in _timed(variant)})
    return sorted(counts, key=lambda one: (one.emulated, -counts[one], str(one)))


def _timed(variant: VariantResults) -> list[Record]:
    return [record for run in variant.runs for record in run.records if _counts(record)]


def _counts(record: Record) -> bool:
    """Invalid records did not finish, or gave wrong answers."""
    return bool(record.rounds) and verdict.judge(record).level != "invalid"


def _of(variant: VariantResults, where: Setting) -> list[Record]:
    """One per seed, the newest."""
    newest = {
        run.seed: record
        for run in variant.runs
        for record in sorted(run.records, key=lambda one: one.created)
        if _counts(record) and setting(record) == where
    }
    return list(newest.values())


def latency_ms(variant: VariantResults, where: Setting) -> Estimate | None:
    """p50 of one inference. The interval is over seeds; with one seed, over the rounds of its measurement."""
    medians = [found for record in _of(variant, where) if (found := stats.latency_ns(record.rounds, 0.5))]
    if not medians:
        return None
    if len(medians) > 1:
        return stats.mean([one.value / 1e6 for one in medians])
    low, high = (None if end is None else end / 1e6 for end in (medians[0].low, medians[0].high))
    return Estimate(medians[0].value / 1e6, low, high)


@dataclass(frozen=True)
class EnergyOrigin:
    """Where an energy comes from; only energies of the same origin are compared."""

    meter: str
    scope: str
    provenance: str

    def __str__(self) -> str:
        return f"{self.meter} {self.scope}, {self.provenance}"


def energies_j(variant: VariantResults, where: Setting) -> dict[EnergyOrigin, float]:
    """Net energy of one inference, mean over seeds."""
    found: dict[EnergyOrigin, list[float]] = {}
    for record in _of(variant, where):
        for one in per_inference.of_record(record)[0]:
            if one.net_j:
                found.setdefault(EnergyOrigin(one.meter, one.scope, one.provenance), []).append(one.net_j.value)
    return {source: stats.mean(values).value for source, values in found.items()}
