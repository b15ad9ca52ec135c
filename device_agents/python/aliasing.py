"""Point readings that fall at the same few phases of each inference, and the uncertainty that this leaves.

    power     ▁▔▔▁▔▔▁▔▔▁▔▔▁▔▔▁▔▔▁      a load that repeats every 100 ms
    readings   •  •  •  •  •  •        every 100 ms: only bursts; every 83 ms they would see all of it

The same rule for meters read by the host and by the device. Pure functions on lists.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# An uncertainty from this share of the window's joules on is reported.
SHARE = 0.005
# Readings this close to idle power show nothing of the work, which may all lie between them: the swing is then taken
# to be as large as idle power.
NO_WORK = 0.05
# Fewer readings than this show nothing.
READINGS_MIN = 10
# Harmonics of the load that are considered: the tenth moves a mean by at most a thirtieth of what the first does. And
# the most repeats between two readings that can still be in step with them.
HARMONICS = 10
IN_STEP = 20.0
# Readings less alike than this agree by chance. A load whose repeats vary stays in step only for a moment, which
# readings a tenth of the window apart reveal.
LIKE = 0.3
LIKE_OVER = 0.1
# Least variance, as a share of the squared swing: that of a load that is on, or off, a seventh of the time. Without it,
# readings that are constant but for one or two would count as unlike.
LEAST_SPREAD = 1 / 8


def u_joules(instants_s: Sequence[float], powers_w: Sequence[float], repeat_s: float, rest_w: float) -> float:
    """Standard uncertainty of a window's joules for a load that repeats every repeat_s; 0.0 if out of step with it.

    rest_w: idle power, which stands in for the swing where readings hardly vary. The h-th harmonic of an on-off load
    has an amplitude of 2 / (pi h) of the swing. Where h times the repeats between two readings is nearly a whole
    number, readings drift through that harmonic too slowly to average it out or to show it.
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
    """How alike readings at the same phase of a harmonic are: 1 if identical, 0 if as different as any two."""
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
