"""Deadline: the probability that an inference takes longer than D, with an upper bound, and misses an hour.

Values of one round are correlated: a burst of another program's work makes several in a row late. So the bound is that
of Clopper and Pearson (Biometrika 26, 1934) for the effective number of values, by the design effect of late values
between rounds (Korn and Graubard, Survey Methodology 24, 1998), never more than there are values or fewer than rounds.
Without a single late value that effect cannot be seen: then only rounds count as independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgebench.analysis import formatting, statistics_cache
from edgebench.analysis.causes.evidence import Evidence, measured, where
from edgebench.analysis.causes.explanation import Explanation, FoundCause, MissingEvidence
from edgebench.schema.record import Record, Round

# One-sided: in 95 of 100 such measurements the true probability is below the bound.
LEVEL = 0.05
_HOUR_S = 3600.0
# One in ten design effects is larger by more than this normal deviate allows for.
_CAUTIOUS = -1.2816


@dataclass(frozen=True)
class LateShare:
    """late of values took longer. bound: upper limit of the probability, 95 %, one-sided; as_independent: the same if
    every value were, which they are not. effective: values that count as independent.
    """

    late: int
    values: int
    rounds: int
    effective: float
    bound: float
    as_independent: float

    @property
    def share(self) -> float:
        return self.late / self.values


def explain(evidence: Evidence) -> Iterator[Explanation]:
    deadline_ns = evidence.wanted.deadline_ns
    if deadline_ns is None:
        return
    for record in map(statistics_cache.whole, measured(evidence.records)):
        subject = f"{record.artifact.name} {where(record)}"
        if why := _why_unknown(record):
            again = evidence.deploy(record, options="--plan duty:10")
            missing = (MissingEvidence(f"single latencies: {why}", again),)
            yield Explanation("deadline", subject, f"{record.artifact.name}: not known, {why}", missing=missing)
        else:
            yield _of(evidence, record, deadline_ns, subject)


def _why_unknown(record: Record) -> str:
    if record.means_only:
        return "its runtime reports means only"
    if any(one.block > 1 for one in record.rounds):
        return f"inferences were timed in blocks of {max(one.block for one in record.rounds)}"
    return ""


def late_share(rounds: Sequence[Round], deadline_ns: float) -> LateShare:
    """Of all values, cold starts included: an application meets them too. Needs at least one round, blocks of 1."""
    late = [int(np.count_nonzero(np.asarray(one.values_ns) > deadline_ns)) for one in rounds]
    counts = [len(one.values_ns) for one in rounds]
    effective = effective_count(late, counts)
    total, values = sum(late), sum(counts)
    share = total / values
    return LateShare(
        total,
        values,
        len(rounds),
        effective,
        upper_bound(share * effective, effective),
        upper_bound(total, values),
    )


def effective_count(late: Sequence[int], counts: Sequence[int]) -> float:
    """Values that count as independent, judging by how unevenly late ones fall into rounds."""
    rounds, values = len(counts), sum(counts)
    share = sum(late) / values
    if rounds < 2 or not 0 < share < 1:
        return float(rounds)
    between = rounds / (rounds - 1) * sum((one - share * of) ** 2 for one, of in zip(late, counts, strict=True))
    design_effect = max(1.0, between / (values * share * (1 - share)))
    # The effect is itself an estimate from so many rounds, and the fewer they are the more often it is too small.
    widening = _chi_square(rounds - 1, _CAUTIOUS) / (rounds - 1)
    return min(float(values), max(float(rounds), values / design_effect * widening))


def _chi_square(freedom: int, z: float) -> float:
    """The point of the distribution at a normal deviate (Wilson and Hilferty, 1931)."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + z * math.sqrt(part)) ** 3


def upper_bound(successes: float, count: float) -> float:
    """Clopper and Pearson's upper limit, one-sided, also for counts that are not whole."""
    if successes >= count:
        return 1.0
    low, high = successes / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _beta_cdf(middle, successes + 1, count - successes) < 1 - LEVEL:
            low = middle
        else:
            high = middle
    return high


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function, by its continued fraction (Lentz)."""
    if not 0 < x < 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    tiny = 1e-300
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away(1 + term * d, tiny)
            c = _away(1 + term / c, tiny)
            fraction *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return math.exp(log_front) * fraction / a


def _away(value: float, tiny: float) -> float:
    """From zero, by which it would be divided."""
    return value if abs(value) > tiny else tiny


def _of(evidence: Evidence, record: Record, deadline_ns: float, subject: str) -> Explanation:
    found = late_share(record.rounds, deadline_ns)
    rate = evidence.wanted.per_second or record.plan.duty_hz
    most = 1e9 * found.values / sum(sum(one.values_ns) for one in record.rounds)
    pace = f"at {rate:g} a second" if rate else "back to back"
    if rate and rate > most:
        pace = f"back to back, because it cannot do {rate:g} a second,"
    hourly = min(rate or most, most) * _HOUR_S
    limit = formatting.time(deadline_ns)
    answer = (
        f"{record.artifact.name}: {found.late:,} of {found.values:,} inferences took longer than {limit}: "
        f"P = {_percent(found.share)}, at most {_percent(found.bound)} (95 %); {pace} that is "
        f"{_number(found.share * hourly)} late an hour, at most {_number(found.bound * hourly)}"
    )
    notes = [
        f"{found.values:,} values of {found.rounds} rounds count as {found.effective:,.0f} independent ones: values of "
        f"a round are correlated. If all were independent the bound would be {_percent(found.as_independent)}.",
        "It holds for the conditions of the measurement (heat, other load, pace), not for others.",
    ]
    missing: list[MissingEvidence] = []
    if not found.late:
        rounds = math.ceil(math.log(LEVEL) / math.log1p(-0.01))
        notes.append(
            f"None was late, so that only the {found.rounds} rounds are known to be independent; a bound of 1 % needs "
            f"{rounds} rounds without a late one."
        )
        missing.append(MissingEvidence("a lower bound", evidence.deploy(record, options="--plan sustained")))
    if record.plan.duty_hz is None:
        again = evidence.deploy(record, options=f"--plan duty:{rate if rate and rate <= most else 10:g}")
        missing.append(MissingEvidence("how late it is at an application's pace, from rest", again))
    causes = _causes(evidence, record, found, deadline_ns)
    return Explanation(
        "deadline", subject, answer, tuple(causes), tuple(missing), tuple(notes), concern=2.5 if found.late else 2.0
    )


def _causes(evidence: Evidence, record: Record, found: LateShare, deadline_ns: float) -> list[FoundCause]:
    """Where late values lie."""
    if not found.late or found.share > 0.5:
        return []
    first = sum(1 for one in record.rounds if one.values_ns[0] > deadline_ns)
    of_first = sum(len(one.values_ns) > 1 for one in record.rounds)
    if first > found.late / 2 and of_first == found.rounds:
        return [
            FoundCause(
                "after a pause",
                f"{first} of {found.late} late inferences were the first of their round, after a pause",
                evidence.deploy(record, options="--plan duty:N") + " (the pace that you have)",
                evidence=(f"{found.rounds} rounds, {found.values:,} values",),
            )
        ]
    return []


def _percent(share: float) -> str:
    return f"{formatting.significant(100 * share)} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or not value else formatting.significant(value)
