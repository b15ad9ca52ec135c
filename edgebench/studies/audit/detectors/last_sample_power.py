"""A power that was read once, at the end, is presented as the mean of the run.

CodeCarbon's power columns are its last sample before version 3.2: 66.6 and 62.4 W on the CIFAR-100 profile study's
slide, where the means are 69.07 and 75.23 W, in reverse order. Right: mean power is energy over time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgebench.energy.codecarbon_table import COMPONENTS, Component, Emission
from edgebench.studies.audit import tables
from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

_TOLERANCE = 0.02
_REMEDY = "Print energy / time"
# Of two runs: (power by the column, mean power) in W, and the run.
_Powers = tuple[float, float, Emission]


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for runs in tables.of(evidence).values():
        for component in COMPONENTS:
            sampled = [powers for run in runs if (powers := _powers(run, component)) and _is_sample(powers)]
            if sampled:
                yield _found(sampled, runs, component)
                yield from _turned(sampled, component)


def _powers(run: Emission, component: Component) -> _Powers | None:
    """None if the column is, or may be, a mean, or if there is nothing to compare it with."""
    column, mean = run.power_w.get(component), run.mean_power_w(component)
    if run.mean_powers is not False or column is None or not mean:
        return None
    return column, mean / run.pue, run


def _is_sample(powers: _Powers) -> bool:
    column, mean, _ = powers
    return abs(column / mean - 1) > _TOLERANCE


def _found(sampled: Sequence[_Powers], runs: Sequence[Emission], component: Component) -> Finding:
    column, mean, worst = max(sampled, key=lambda powers: abs(powers[0] / powers[1] - 1))
    found = [run for _, _, run in sampled]
    seen = (
        f"{tables.among(found, runs, worst)}{component}_power is {column:.1f} W, the last sample; the mean of the run "
        f"is {mean:.2f} W"
    )
    return Finding("wrong", tables.where(found), seen, _REMEDY)


def _turned(sampled: Sequence[_Powers], component: Component) -> Iterator[Finding]:
    """Runs that last samples rank above another and means below it; the pair with the largest reversal."""
    turned: list[tuple[float, Emission, Emission]] = []
    highest: _Powers | None = None
    for powers in sorted(sampled, key=lambda one: one[:2]):
        if highest and highest[0] < powers[0] and powers[1] < highest[1]:
            turned.append((highest[1] - powers[1], powers[2], highest[2]))
        if highest is None or powers[1] > highest[1]:
            highest = powers
    if not turned:
        return
    _, first, second = max(turned, key=lambda one: one[0])
    more = f"; likewise for {len(turned)} of {len(sampled)} runs" if len(turned) > 1 else ""
    seen = f"{component} power is above that of {second.name} by the last samples, but not by the means{more}"
    yield Finding("wrong", first.where, seen, _REMEDY)
