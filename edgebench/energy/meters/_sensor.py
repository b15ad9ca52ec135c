"""How a meter sees power."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgebench.schema.energy_reading import Accuracy, Sampling


@dataclass(frozen=True)
class Sensor:
    """period_s: between new values. latency_s: a value arrives so late at most; given_jitter_s: so much of that differs
    from value to value, None for all of it, up to a period. step: of a value, W (J for a counter). max_w: readings from
    here on are saturated. wraps_at_j: where a counter starts again from 0. accuracy: None where nobody states it.
    counter_step_j: of the counter that a meter of power has besides. is_steady: values are so far apart by a quartz,
    and only their arrivals are not.
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
