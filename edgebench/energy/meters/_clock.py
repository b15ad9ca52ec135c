"""Maps another machine's monotonic clock to this machine's, from exchanges of messages, with a stated error.

    this machine   t1 ──────┐                    ┌────── t4
    the other               └──> t2 ······ t3 ──┘          offset = other - this

Source: RFC 5905, sections 8 and 10 (the exchange with the shortest delay is the most reliable).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# How far two quartz clocks may drift apart if their rates were not compared.
UNKNOWN_DRIFT = 100e-6


@dataclass(frozen=True)
class Exchange:
    """Nanoseconds: sent and answered on this machine's clock (t1, t4), received and sent on the other's (t2, t3)."""

    t1_ns: int
    t2_ns: int
    t3_ns: int
    t4_ns: int

    @property
    def offset_s(self) -> float:
        """Other clock minus this one; wrong by at most half the delay."""
        return ((self.t2_ns - self.t1_ns) + (self.t3_ns - self.t4_ns)) / 2e9

    @property
    def delay_s(self) -> float:
        """Time in transit, there and back."""
        return ((self.t4_ns - self.t1_ns) - (self.t3_ns - self.t2_ns)) / 1e9

    @property
    def other_s(self) -> float:
        """The instant of the exchange on the other clock."""
        return (self.t2_ns + self.t3_ns) / 2e9


@dataclass(frozen=True)
class Alignment:
    """A straight line through the best exchanges of two moments; with one moment the drift is unknown."""

    early: Exchange
    late: Exchange

    @property
    def drift(self) -> float | None:
        """Rate of the other clock over this one's, minus 1; None with one moment."""
        if self.late.other_s == self.early.other_s:
            return None
        return (self.late.offset_s - self.early.offset_s) / (self.late.other_s - self.early.other_s)

    def here_s(self, other_ns: int) -> float:
        """This machine's monotonic clock, in s, at an instant of the other's."""
        other_s = other_ns / 1e9
        return other_s - self.early.offset_s - (self.drift or 0.0) * (other_s - self.early.other_s)

    def bound_s(self, other_ns: int) -> float:
        """The largest error of `here_s` if the drift is constant."""
        other_s = other_ns / 1e9
        if self.drift is None:
            return self.early.delay_s / 2 + UNKNOWN_DRIFT * abs(other_s - self.early.other_s)
        part = (other_s - self.early.other_s) / (self.late.other_s - self.early.other_s)
        return abs(1 - part) * self.early.delay_s / 2 + abs(part) * self.late.delay_s / 2

    def u_s(self, other_ns: int) -> float:
        """Standard uncertainty: the bound is taken as rectangular."""
        return self.bound_s(other_ns) / math.sqrt(3)

    def u_length_s(self, start_ns: int, end_ns: int) -> float:
        """The same for the time between two instants, in which common errors cancel."""
        length_s = (end_ns - start_ns) / 1e9
        if self.drift is None:
            return UNKNOWN_DRIFT * length_s / math.sqrt(3)
        share = length_s / abs(self.late.other_s - self.early.other_s)
        return share * math.hypot(self.early.delay_s, self.late.delay_s) / 2 / math.sqrt(3)


def align(before: Sequence[Exchange], after: Sequence[Exchange] = ()) -> Alignment:
    """From the exchanges before and after the windows; 16 of each are plenty.

    Raises ValueError if none of those before is plausible.
    """
    early = _best(before)
    if early is None:
        raise ValueError("no exchange with a possible delay: one of the clocks was set")
    return Alignment(early, _best(after) or early)


def _best(exchanges: Sequence[Exchange]) -> Exchange | None:
    """The one with the shortest delay. A negative delay means that a clock was set in between."""
    return min((one for one in exchanges if one.delay_s >= 0), key=lambda one: one.delay_s, default=None)
