"""How late a meter's values are: found by when power rose and fell, beside when the device says that it inferred."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgebench.schema.arrays import Floats

# What is looked at, and how closely.
EARLIEST_S, LATEST_S, STEP_S = -2.0, 15.0, 0.05
# The windows have to stand out of the rest by so many times what equally long pieces of the rest differ by.
STANDS_OUT = 4.0


def lag_s(
    times_s: Floats, watts: Floats, windows_s: Sequence[tuple[float, float]], rests_s: Sequence[tuple[float, float]]
) -> float | None:
    """Seconds by which the values are late; None where the windows do not stand out of the idle ones.

    windows_s: from when to when the device inferred, rests_s: was idle. Energy in all windows, moved by the lag and
    without what it is at rest, is largest where the lag is right.
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
