"""How late a meter's values are: power's rise and fall compared with the device's times of inference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebench.schema.arrays import Floats

# The range that is searched, and its step.
EARLIEST_S, LATEST_S, STEP_S = -2.0, 15.0, 0.05
# The windows must exceed the idle times by so many times the spread of the idle times.
STANDS_OUT = 4.0


def lag_s(
    times_s: Floats, watts: Floats, windows_s: Sequence[tuple[float, float]], rests_s: Sequence[tuple[float, float]]
) -> float | None:
    """Seconds by which the values are late; None if the windows do not stand out from the idle times.

    windows_s: (start, end) of the inferring times, rests_s: of the idle times. The energy in all windows above idle,
    with the windows moved by the lag, is largest for the right lag.
    """
    if len(windows_s) < 2 or len(rests_s) < 2 or len(times_s) < 3:
        return None
    energies_j = np.concatenate([[0.0], np.cumsum((watts[1:] + watts[:-1]) / 2 * np.diff(times_s))])
    lags_s = np.arange(EARLIEST_S, LATEST_S, STEP_S)

    def means_w(spans_s: Sequence[tuple[float, float]], at_s: float) -> Floats:
        spans = np.array(spans_s) + at_s
        joules = np.interp(spans, times_s, energies_j)
        means: Floats = (joules[:, 1] - joules[:, 0]) / (spans[:, 1] - spans[:, 0])
        return means

    contrast_w = np.array([means_w(windows_s, at_s).mean() - means_w(rests_s, at_s).mean() for at_s in lags_s])
    best = int(np.argmax(contrast_w))
    at_rest_w = means_w(rests_s, lags_s[best])
    if contrast_w[best] <= STANDS_OUT * float(at_rest_w.std(ddof=1)) or not 0 < best < len(lags_s) - 1:
        return None
    return float(lags_s[best])
