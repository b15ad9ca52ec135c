"""Variants are compared at one nominal percentage but keep different numbers of weights.

The PLOS study's layer-wise 50 % removes 128 of the small MLP's weights and "global" 50 % removes 6,480. Right: compare
at equal numbers of non-zero weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from edgebench.schema.history import PruningStep
from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.family import same_network
from edgebench.studies.audit.finding import Finding

TOLERANCE = 0.01
_REMEDY = "Compare variants that keep the same number of weights"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for first, second in _unequal(evidence.variants):
        seen = (
            f"both are called {first.step.ratio:.0%}, but it keeps {first.kept:,} weights, '{second.run.label}' "
            f"{second.kept:,}: {_removed(first, second)}"
        )
        yield Finding("wrong", first.run.label, seen, _REMEDY)
    for table, statement, rows in evidence.statements("nonzero"):
        kept = {row.label: row.values["nonzero"].plain for row in rows if "nonzero" in row.values}
        if statement.relation == "equal" and kept and _differ(min(kept.values()), max(kept.values())):
            shown = ", ".join(f"'{label}' {count:,.0f}" for label, count in kept.items())
            yield Finding("wrong", table.title, f"'{statement.says}', but the non-zero weights are {shown}", _REMEDY)


@dataclass(frozen=True)
class _Budget:
    """A run with its last pruning, and the weights it kept. Ratios of channels are not comparable."""

    run: AuditedRun
    step: PruningStep
    weights: int
    kept: int


def _unequal(runs: tuple[AuditedRun, ...]) -> Iterator[tuple[_Budget, _Budget]]:
    """Pairs of methods at one ratio with different budgets, once each, unless one was also run at the other's."""
    budgets = [
        _Budget(run, step, step.weights, step.nonzero)
        for run in runs
        for step in run.pruning[-1:]
        if step.form == "baked" and step.weights and step.nonzero
    ]
    reported = set()
    for first, second in combinations(budgets, 2):
        run, step = first.run, first.step
        pair = (run.model, run.dataset, step.ratio, step.method, second.step.method)
        comparable = step.ratio == second.step.ratio and same_network(run, second.run)
        if comparable and pair not in reported and _differ(first.kept, second.kept):
            reported.add(pair)
            if not (_was_run_at(second.step.method, first, budgets) or _was_run_at(first.step.method, second, budgets)):
                yield first, second


def _was_run_at(method: str, budget: _Budget, budgets: list[_Budget]) -> bool:
    return any(
        one.step.method == method and same_network(one.run, budget.run) and not _differ(one.kept, budget.kept)
        for one in budgets
    )


def _removed(first: _Budget, second: _Budget) -> str:
    less, more = sorted((first.weights - first.kept, second.weights - second.kept))
    return f"{less:,} and {more:,} are removed, {more / less:.0f}x" if less else f"0 and {more:,} are removed"


def _differ(first: float, second: float) -> bool:
    return abs(first - second) > TOLERANCE * max(first, second)
