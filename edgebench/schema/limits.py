"""Types with limits, for numbers and texts from files and devices.

The limits allow what can exist, not just what is likely: a value beyond them is damage, and arithmetic on values within
them neither overflows nor divides by zero. JSON has no NaN and no infinity; bounds on both sides refuse both from other
sources.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# A line or two for people; a failing runtime prints more.
Text = Annotated[str, Meta(max_length=2_000)]
LongText = Annotated[str, Meta(max_length=100_000)]
# Becomes part of file names, here and on devices: one plain path component.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z", max_length=200)]
# What people call a network: one line of any script, no path (`names.shown` makes one).
Title = Annotated[str, Meta(pattern=r"^[^\W_][^/\\\x00-\x1f\x7f-\x9f]*\Z", max_length=200)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]

Index = Annotated[int, Meta(ge=0, le=2**40)]
Count = Annotated[int, Meta(ge=1, le=2**40)]
Integer = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
Nanoseconds = Annotated[int, Meta(ge=1, le=10**18)]
# Time between two readings of a clock, which may be coarse.
Span = Annotated[int, Meta(ge=0, le=10**18)]
# Time on a monotonic clock, which may start anywhere.
Instant = Annotated[int, Meta(ge=-(2**62), le=2**62)]
Hertz = Annotated[int, Meta(ge=0, le=10**12)]
Processor = Annotated[int, Meta(ge=0, le=2**20)]

Real = Annotated[float, Meta(ge=-1e30, le=1e30)]
Amount = Annotated[float, Meta(ge=0, le=1e30)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=1e-9, le=1e10)]
Wait = Annotated[float, Meta(ge=0, le=1e10)]
Rate = Annotated[float, Meta(ge=1e-9, le=1e12)]
Celsius = Annotated[float, Meta(ge=-300, le=10_000)]
Joules = Annotated[float, Meta(ge=-1e12, le=1e12)]
Uncertainty = Annotated[float, Meta(ge=0, le=1e12)]
# Differences of counters that are read one after another: slightly below zero if little happened.
ProcessorSeconds = Annotated[float, Meta(ge=-1.0, le=1e12)]
