"""The most that a device does, as its agent found by a short probe: what `explain` holds a layer's time against."""

from __future__ import annotations

import msgspec

from edgebench.schema.limits import Amount, Count, Fraction, Text


class PeakRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """best: the highest of `repeats`, a second. spread: how far their median is below it, as a share of it; large where
    other programs ran. how: what was run.
    """

    best: Amount
    spread: Fraction
    repeats: Count
    how: Text


class Peak(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """With so many threads, in the runtime of the record. Absent: could not be probed.

    float_flops, int8_ops: operations a second, a multiply-accumulate is two. bytes_per_s: between processor and main
    memory, read and written bytes counted; caches are faster.
    """

    threads: Count
    float_flops: PeakRate | None = None
    int8_ops: PeakRate | None = None
    bytes_per_s: PeakRate | None = None
