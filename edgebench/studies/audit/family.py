"""Which trained variants belong together: what they share, and where they differ."""

from __future__ import annotations

from typing import Any

from edgebench.schema.history import Training
from edgebench.studies.audit.evidence import AuditedRun

# Keys of a recorded recipe that only name it, or that differ in each run.
_NO_CHOICES = ("about", "name", "seed")


def choices(training: Training) -> dict[str, Any]:
    return {key: value for key, value in training.recipe.items() if key not in _NO_CHOICES}


def same_training(first: Training, second: Training) -> bool:
    """Equal choices for equally many epochs; the seeds may differ."""
    return first.epochs == second.epochs and choices(first) == choices(second)


def prunings(run: AuditedRun) -> list[tuple[str, float, dict[str, Any]]]:
    return [(step.method, step.ratio, step.options) for step in run.pruning]


def same_variant(first: AuditedRun, second: AuditedRun) -> bool:
    """Made in the same way, apart from their seeds."""
    return (
        _network(first) == _network(second)
        and prunings(first) == prunings(second)
        and len(first.training) == len(second.training)
        and all(map(same_training, first.training, second.training))
    )


def variants(runs: tuple[AuditedRun, ...]) -> list[list[AuditedRun]]:
    """The runs, those of one variant together."""
    groups: list[list[AuditedRun]] = []
    for run in runs:
        group = next((group for group in groups if same_variant(group[0], run)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return groups


def same_network(first: AuditedRun, second: AuditedRun) -> bool:
    return _network(first) == _network(second)


def _network(run: AuditedRun) -> tuple[str, str, dict[str, Any]]:
    return run.model, run.dataset, run.arguments
