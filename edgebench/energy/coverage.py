"""The width of a 95 % interval for the sum of several causes of error: propagation of distributions.

    limits   of a data sheet, a period, a lag: all values within are equally likely   ──┌──────┐──
    random   the mean of some values: Student's t; of very many: normal            ──╱‾‾‾‾‾‾╲──

Twice the standard deviation of the sum is only right for a normal distribution: a limit alone ends at 1.73 standard
deviations, and 1.65 cover 95 %. Source: JCGM 101:2008 (GUM Supplement 1), but without random draws: the distribution is
averaged over each limit in turn.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from device_agents.python import series

if TYPE_CHECKING:
    from edgebench.schema.arrays import Floats

HELD = 0.95
# Two-sided 95 % point of the normal distribution.
Z95 = 1.959964
# Points at which the distribution is computed.
POINTS = 4001
# A limit below this share of the largest part widens the interval by less than a millionth.
SMALL = 1e-3


def half_width(u_random: float, limits: Sequence[float] = (), freedom: int | None = None) -> float:
    """Half of the 95 % interval of the sum of independent parts around 0.

    u_random: standard uncertainty of the random part, with `freedom` degrees of freedom (None: infinitely many).
    limits: half widths of rectangular parts; a standard uncertainty u is a half width of sqrt(3) u.
    """
    t95 = Z95 if freedom is None else series.t95(freedom)
    scale = max(t95 * u_random, *limits, 0.0)
    shape = tuple(sorted((round(limit / scale, 3) for limit in limits if limit > SMALL * scale), reverse=True))
    if not shape:
        return t95 * u_random
    return scale * _half_width(round(u_random / scale, 4), shape, freedom)


def of_u(u_random: float, u_limited: float, freedom: int | None = None) -> float:
    """The same for standard uncertainties; the second one is of a rectangular part."""
    return half_width(u_random, (math.sqrt(3) * u_limited,), freedom)


@functools.lru_cache(maxsize=4096)
def _half_width(u_random: float, limits: tuple[float, ...], freedom: int | None) -> float:
    import numpy as np

    t95 = Z95 if freedom is None else series.t95(freedom)
    outer = t95 * u_random + sum(limits)
    at = np.linspace(-2 * outer, 2 * outer, POINTS)
    if u_random > 0:
        below = _cumulative(at / u_random, freedom)
    else:
        below, limits = np.clip((at / limits[0] + 1) / 2, 0.0, 1.0), limits[1:]
    step = float(at[1] - at[0])
    for limit in limits:
        area = np.concatenate([[0.0], np.cumsum((below[1:] + below[:-1]) / 2 * step)])
        ends = np.interp(at + limit, at, area), np.interp(at - limit, at, area)
        # Beyond the last point the cumulative share is 1.
        beyond = np.maximum(at + limit - at[-1], 0.0)
        below = (ends[0] + beyond - ends[1]) / (2 * limit)
    middle = POINTS // 2
    return float(np.interp((1 + HELD) / 2, below[middle:], at[middle:]))


def _cumulative(at: Floats, freedom: int | None) -> Floats:
    """Cumulative share at each point: of the normal distribution, or of Student's t, whose density is cos(angle)^(n -
    1) with x = sqrt(n) tan(angle).
    """
    import numpy as np

    if freedom is None:
        return np.array([(1 + math.erf(one / math.sqrt(2))) / 2 for one in at])
    angles = np.linspace(-math.pi / 2, math.pi / 2, POINTS)
    density = np.cos(angles) ** (freedom - 1)
    shares = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    found: Floats = np.interp(np.arctan(at / math.sqrt(freedom)), angles, shares / shares[-1])
    return found
