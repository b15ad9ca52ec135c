"""The course of the learning rate: stateless functions of the training's progress."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgebench.networks.training.recipes import Cosine, OneCycle, Plateau, WarmUpCosine

if TYPE_CHECKING:
    from edgebench.networks.training.recipes import Schedule

# As in torch.optim.lr_scheduler.
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START * 1e-4
PLATEAU_THRESHOLD = 1e-4


def factor(schedule: Schedule, *, step: int, steps: int, epochs: int, losses: Sequence[float]) -> float:
    """The factor of the peak rate at `step` of `steps`, counted from 0.

    losses: validation losses of the epochs done so far, of `epochs`.
    """
    match schedule:
        case OneCycle():
            rising, way = _one_cycle_way(schedule, step, steps)
            return _along(ONE_CYCLE_START, 1.0, way) if rising else _along(1.0, ONE_CYCLE_END, way)
        case Cosine():
            return _along(1.0, 0.0, len(losses) / epochs)
        case WarmUpCosine():
            warm_up = round(schedule.warm_up * steps)
            if step < warm_up:
                return (step + 1) / warm_up
            return _along(1.0, 0.0, (step - warm_up) / max(1, steps - warm_up))
        case Plateau():
            return _plateau(schedule, losses)
    return 1.0


def momentum(schedule: Schedule, *, step: int, steps: int) -> float | None:
    """The optimiser's momentum (or first beta), if the schedule sets it."""
    if not isinstance(schedule, OneCycle) or schedule.momentum is None:
        return None
    smallest, largest = schedule.momentum
    rising, way = _one_cycle_way(schedule, step, steps)
    return _along(largest, smallest, way) if rising else _along(smallest, largest, way)


def dropout(first: float, last: float, *, epoch: int, epochs: int) -> float:
    """Linear, `first` in epoch 0 and `last` in the last one."""
    return first + (last - first) * epoch / max(1, epochs - 1)


def _along(start: float, end: float, way: float) -> float:
    """Half a cosine from start (way 0) to end (way 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * way)) / 2


def _one_cycle_way(schedule: OneCycle, step: int, steps: int) -> tuple[bool, float]:
    """Is the rate rising, and how much of that phase is done?"""
    last = max(steps, 2) - 1
    peak = schedule.warm_up * (last + 1) - 1
    if step <= peak:
        return True, step / peak if peak else 1.0
    start = max(peak, 0.0)
    return False, (step - start) / (last - start)


def _plateau(schedule: Plateau, losses: Sequence[float]) -> float:
    best, waited, result = math.inf, 0, 1.0
    for loss in losses:
        if loss < best * (1 - PLATEAU_THRESHOLD):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > schedule.patience:
            result, waited = result * schedule.factor, 0
    return result
