"""A power that was read once, at the end, stands for the mean of the run.

CodeCarbon's power columns are its last sample before version 3: 66.6 and 62.4 W on the CIFAR-100 profile study's slide,
where the means are 69.07 and 75.23 W and the order turns. Right: mean power is energy over time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from edgebench.audit.evidence import Evidence
from edgebench.audit.finding import Finding
from edgebench.emissions import COMPONENTS, Component, Emission

_TOLERANCE = 0.02
_REMEDY = "Print energy / time"


def find(evidence: Evidence) -> Iterator[Finding]:
    for component in COMPONENTS:
        sampled = [one for one in evidence.emissions if _is_sample(one, component)]
        for one in sampled:
            seen = (
                f"{component}_power is {one.power_w[component]:.1f} W, the last sample; the mean of the run is "
                f"{one.mean_power_w(component):.2f} W"
            )
            yield Finding("wrong", one.where, seen, _REMEDY)
        for first, second in combinations(sampled, 2):
            column = first.power_w[component] - second.power_w[component]
            mean = first.mean_power_w(component) - second.mean_power_w(component)
            if column * mean < 0:
                side = "above" if column > 0 else "below"
                seen = f"{component} power is {side} that of {second.name} by the last samples, not so by the means"
                yield Finding("wrong", first.where, seen, _REMEDY)


def _is_sample(one: Emission, component: Component) -> bool:
    mean = one.mean_power_w(component)
    return mean > 0 and abs(one.power_w[component] / mean - 1) > _TOLERANCE
