"""Values for figures from a run: single numbers, None if missing, and their summary over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from edgebench.analysis import stats
from edgebench.networks.training.cost import emissions_g
from edgebench.schema.estimate import Estimate
from edgebench.schema.history import Provenance, TrainingCost
from edgebench.studies.study.results import Results, VariantResults, VariantRun

Value = Callable[[VariantRun], float | None]

PROVENANCES: tuple[Provenance, ...] = ("measured", "estimated", "modelled")


@dataclass(frozen=True)
class Summary:
    """A number over the seeds that have it, at least one."""

    values: tuple[float, ...]

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def estimate(self) -> Estimate:
        return stats.mean(self.values)

    @property
    def mean(self) -> float:
        return self.estimate.value


def over_seeds(variant: VariantResults, value: Value) -> Summary | None:
    values = tuple(found for run in variant.runs if (found := value(run)) is not None)
    return Summary(values) if values else None


def estimate(variant: VariantResults, value: Value) -> Estimate | None:
    found = over_seeds(variant, value)
    return found.estimate if found else None


def labelled(results: Results) -> list[tuple[str, VariantResults]]:
    """Every variant with a unique label, prefixed with its part if two parts have the same network."""
    labels = [variant.label for variant in results.variants]
    return [
        (f"{variant.axes.get('part', '')}: {label}" if labels.count(label) > 1 else label, variant)
        for label, variant in zip(labels, results.variants, strict=True)
    ]


def network(variant: VariantResults) -> str:
    """Model and data set."""
    about = variant.runs[0].checkpoint.about
    return f"{about.model} {about.dataset}"


def families(results: Results) -> dict[str, list[tuple[str, VariantResults]]]:
    """Variants of one part, model and data set, with their labels: those are compared with one another."""
    several = len({variant.axes.get("part") for variant in results.variants}) > 1
    found: dict[str, list[tuple[str, VariantResults]]] = {}
    for label, variant in labelled(results):
        name = f"{variant.axes.get('part')}: {network(variant)}" if several else network(variant)
        found.setdefault(name, []).append((label, variant))
    return found


# ------------------------------------------------------------------ of the network


def accuracy_percent(run: VariantRun) -> float:
    return 100 * run.accuracy


def loss(run: VariantRun) -> float:
    return run.checkpoint.about.metrics.loss


def parameters(run: VariantRun) -> float:
    return run.checkpoint.about.size.parameters


def nonzero_parameters(run: VariantRun) -> float | None:
    return run.evaluation.parameters.nonzero if run.evaluation else None


def macs(run: VariantRun) -> float:
    return run.checkpoint.about.size.macs


def file_mb(run: VariantRun) -> float:
    """10^6 bytes."""
    return run.file_bytes / 1e6


# ------------------------------------------------------------------ of its trainings


def costs(run: VariantRun) -> Sequence[TrainingCost]:
    """Costs of every training that led to the weights; empty if one was not measured."""
    found = [one.cost for one in run.checkpoint.about.training if one.cost is not None]
    return found if len(found) == len(run.checkpoint.about.training) else []


def training_joules(run: VariantRun, provenance: Provenance) -> float | None:
    """Of the components with this provenance, over all trainings; energies of different provenance are not added."""
    spent = [sum(one.joules for one in cost.energy if one.provenance == provenance) for cost in costs(run)]
    return sum(spent) if spent and all(spent) else None


def co2_g(run: VariantRun, provenance: Provenance) -> float | None:
    """Grams for `training_joules`, each training at its own intensity."""
    emitted = [emissions_g(cost).get(provenance) for cost in costs(run)]
    grams = [one for one in emitted if one is not None]
    return sum(grams) if grams and len(grams) == len(emitted) else None


def components(variant: VariantResults, provenance: Provenance) -> str:
    """`cpu, ram`: the components whose energy has this provenance."""
    shares = [share for run in variant.runs for cost in costs(run) for share in cost.energy]
    return ", ".join(sorted({share.component for share in shares if share.provenance == provenance}))


def intensities(results: Results) -> str:
    """`475 g/kWh (source)`: every carbon intensity in use."""
    used = {
        f"{cost.intensity_g_per_kwh:g} g/kWh ({cost.intensity_source or 'source not stated'})"
        for variant in results.variants
        for run in variant.runs
        for cost in costs(run)
        if cost.intensity_g_per_kwh is not None
    }
    return "; ".join(sorted(used))


def no_energy(results: Results) -> str:
    """Every reason why trainings have no energy, once."""
    trainings = [one for variant in results.variants for run in variant.runs for one in run.checkpoint.about.training]
    reasons = {one.cost.no_energy for one in trainings if one.cost is not None and one.cost.no_energy}
    return "; ".join(sorted(reasons)) or "no training energy was recorded"


def shared_provenance(results: Results) -> Provenance | None:
    """The most trustworthy provenance that all variants with a training energy share; only those are compared."""
    found = [
        {kind for kind in PROVENANCES if over_seeds(variant, partial(training_joules, provenance=kind))}
        for variant in results.variants
    ]
    common = set.intersection(*known) if (known := [one for one in found if one]) else set()
    return next((kind for kind in PROVENANCES if kind in common), None)
