"""How a meter samples power."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgebench.schema.energy_reading import Accuracy, Sampling


@dataclass(frozen=True)
class Sensor:
    """period_s: between new values. latency_s: maximum delay of a value; given_jitter_s: the part of it that varies
    from value to value, None for all of it, up to a period. step: resolution in W (J for a counter). max_w: values from
    here on are saturated. wraps_at_j: where a counter restarts from 0. accuracy: None if not specified. counter_step_j:
    resolution of the energy counter of a power meter. is_steady: a quartz times the values, so that only their arrivals
    vary.
    """

    kind: Sampling
    period_s: float
    latency_s: float = 0.0
    step: float = 0.0
    max_w: float = math.inf
    wraps_at_j: float | None = None
    accuracy: Accuracy | None = None
    counter_step_j: float | None = None
    given_jitter_s: float | None = None
    is_steady: bool = False

    @property
    def jitter_s(self) -> float:
        return min(self.latency_s, self.period_s) if self.given_jitter_s is None else self.given_jitter_s
