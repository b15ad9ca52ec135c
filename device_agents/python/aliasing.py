"""Readings of instants that fall at the same few points of each inference, and what that leaves open.

    power     ▁▔▔▁▔▔▁▔▔▁▔▔▁▔▔▁▔▔▁      a load that repeats every 100 ms
    readings   •  •  •  •  •  •        every 100 ms: all of them bursts; every 83 ms they would meet all of it

One rule for meters that the host reads and for those that the device does. Pure functions of lists.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Joules in doubt are worth a word from this share of the window's on.
SHARE = 0.005
# Readings this near to those at rest show nothing of the work, all of which may lie between them; a swing of as much as
# at rest is taken.
NO_WORK = 0.05
# Fewer readings than this show nothing.
READINGS_MIN = 10
# Harmonics of a load that are looked at; the tenth moves a mean by a thirtieth of the first at most. And how many
# repeats between two readings are still in step with them.
HARMONICS = 10
IN_STEP = 20.0
# Less alike than this are readings by chance. A load whose repeats differ is in step for a moment only: readings a
# tenth of the window apart tell.
LIKE = 0.3
LIKE_OVER = 0.1
# Readings that hardly vary, but for one or two, are not unlike: as if a load were on, or off, a seventh of the time.
LEAST_SPREAD = 1 / 8


def u_joules(instants_s: Sequence[float], powers_w: Sequence[float], repeat_s: float, rest_w: float) -> float:
    """Standard uncertainty of the joules of a window, for a load that repeats every repeat_s; 0.0 out of step.

    rest_w: of the device at rest, where readings are too much alike to show how far power swings. The h-th harmonic
    of a load that is on or off is 2 / (pi h) of the swing. Where h repeats in a reading's interval are nearly a whole
    number, readings follow it so slowly that they do not average it, and do not show it either.
    """
    count = len(powers_w)
    if count < READINGS_MIN:
        return 0.0
    span_s = instants_s[-1] - instants_s[0]
    waits_s = sorted(later - earlier for earlier, later in zip(instants_s, instants_s[1:]))
    periods = max(round(span_s / waits_s[len(waits_s) // 2]), 1)
    repeats = span_s / periods / repeat_s
    swing_w = max(max(powers_w) - min(powers_w), abs(math.fsum(powers_w) / count - rest_w))
    if swing_w < NO_WORK * rest_w:
        swing_w = rest_w
    if repeats > IN_STEP or swing_w <= 0:
        return 0.0
    squares = 0.0
    for harmonic in range(1, HARMONICS + 1):
        turns = harmonic * repeats
        beats = abs(turns - round(turns)) * periods
        if turns >= 0.5 and beats < 1:
            squares += (2 * swing_w / (math.pi * harmonic)) ** 2 / 2 * _likeness(powers_w, harmonic, swing_w)
    return math.sqrt(squares) * span_s


def _likeness(powers_w: Sequence[float], harmonic: int, swing_w: float) -> float:
    """Of readings at the same point of the harmonic: 1 if they are the same, 0 if they are as different as any."""
    count = len(powers_w)
    mean_w = math.fsum(powers_w) / count
    spread = math.fsum((power_w - mean_w) ** 2 for power_w in powers_w) / count
    spread = max(spread, LEAST_SPREAD * swing_w**2)
    apart = harmonic * max(1, round(LIKE_OVER * count / harmonic))
    if 2 * apart > count:
        return 0.0
    squares = math.fsum((later - earlier) ** 2 for earlier, later in zip(powers_w, powers_w[apart:]))
    likeness = 1 - squares / (count - apart) / (2 * spread)
    return likeness if likeness > LIKE else 0.0
