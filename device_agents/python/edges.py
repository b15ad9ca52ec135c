"""What the device's meters see at the edges of a window, and what stays uncertain there.

          rest │ beside │      work       │ beside │ rest
    ───────────┴────────┴─────────────────┴────────┴────────
               read                                read       each shows what was, up to `age_s` ago

Readings are taken shortly before the first inference and shortly after the last; power in between is anywhere from rest
to work. A reading may be up to one period old: a counter then begins with rest and lacks as much work at the end; a
mean that is held until the next one shows work that much too late. The expected shift is corrected; what remains lies
within limits on both sides, with a standard uncertainty of their half width over the root of 3 (GUM, 4.3.7).
"""

from __future__ import annotations

import math

from . import aliasing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .meters import Meter


def corrected(
    joules: float, duration_s: float, beside_s: float, rest_w: float, age_s: float, is_counter: bool
) -> tuple[float, float, float]:
    """(joules of the window, standard uncertainty, standard uncertainty of what all windows of the meter share).

    joules: between the two readings; beside_s: how much longer that was than the window. rest_w: the best estimate of
    idle power, 0 for what draws nothing at rest.
    """
    work_w = (joules - rest_w * beside_s) / duration_s
    between_w, step_w = (rest_w + work_w) / 2, work_w - rest_w
    u_beside_j = beside_s * abs(step_w) / math.sqrt(12)
    joules -= beside_s * between_w
    if not is_counter:
        return joules + age_s * step_w / 2, u_beside_j, age_s * abs(step_w) / math.sqrt(12)
    # A counter whose period is short against the time from the last inference to the reading has counted all the work.
    in_work = max(0.0, 1 - beside_s / 2 / age_s) ** 2 if age_s else 0.0
    end_w = in_work * work_w + (1 - in_work) * between_w
    u_age_j = age_s * math.hypot(rest_w, end_w) / math.sqrt(12)
    return joules + age_s * (end_w - rest_w) / 2, math.hypot(u_beside_j, u_age_j), 0.0


def window_j(
    meter: Any,
    scope: str,
    joules: float,
    u_j: float,
    span_s: tuple[float, float],
    inferences: int,
    beside_s: float,
    rest_w: float,
) -> tuple[float, float, float, bool]:
    """(joules of a window of inferences, standard uncertainty, standard uncertainty of what all windows share, whether
    the meter samples in step with the inferences). joules, u_j: between the readings; span_s: start and end.
    """
    duration_s, (age_s, is_counter) = span_s[1] - span_s[0], _age(meter)
    joules, left_j, common_j = corrected(joules, duration_s, beside_s, rest_w, age_s, is_counter)
    alias_j = 0.0
    if meter.instrument["sampling"] == "point":
        instants_s, powers_w = meter.points(scope, *span_s)
        alias_j = aliasing.u_joules(instants_s, powers_w, duration_s / inferences, rest_w)
    return joules, math.hypot(u_j, left_j, alias_j), common_j, alias_j > aliasing.SHARE * abs(joules)


def rest_u_j(meter: Meter, u_j: float, joules: float, duration_s: float) -> float:
    """Standard uncertainty of an idle window's joules: a counter may be up to a period old at either end."""
    age_s, is_counter = _age(meter)
    return math.hypot(u_j, age_s * joules / duration_s * math.sqrt(2 / 12)) if is_counter and duration_s else u_j


def _age(meter: Meter) -> tuple[float, bool]:
    """(how old a reading may be in s, whether the meter is a counter)"""
    return getattr(meter, "age_s", 0.0), meter.instrument["sampling"] == "counter"
