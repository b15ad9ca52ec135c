"""Statistics of a single record, before any comparison: everything that needs its raw values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgebench.analysis import percentiles, stats, verdict, warm_values
from edgebench.analysis.verdict import Verdict
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record

# The points of a latency curve: evenly spaced, and denser in the tail.
SHARES = tuple(np.unique(np.concatenate([np.linspace(0.001, 0.99, 200), np.linspace(0.99, 0.999, 20)])).tolist())

# Single values that are kept to be looked at.
_SAMPLE = 100


@dataclass(frozen=True)
class RecordStatistics:
    """An estimate is None if nothing was measured.

    p50_ns: the median of the rounds' means if rounds are means (record.means_only). no_quantiles: why p90 or p99 is
    missing although there are values. curve_ns: the latencies at SHARES; sample_ns: some single values, each with the
    number of its round; both empty without single values.
    """

    record: Record
    verdict: Verdict
    p50_ns: Estimate | None
    p90_ns: Estimate | None
    p99_ns: Estimate | None
    no_quantiles: tuple[str, ...]
    throughput_hz: float | None
    curve_ns: tuple[float, ...]
    sample_ns: tuple[tuple[int, float], ...]

    @property
    def may_be_baseline(self) -> bool:
        return self.p50_ns is not None and self.verdict.level != "invalid"


_KEPT = "statistics"


def of(record: Record) -> RecordStatistics:
    """Computed once for each record object."""
    found: RecordStatistics | None = record.__dict__.get(_KEPT)
    if found is None:
        found = _computed(record)
        keep(found)
    return found


def keep(found: RecordStatistics) -> None:
    found.record.__dict__[_KEPT] = found


def _computed(record: Record) -> RecordStatistics:
    rounds = record.rounds
    single = bool(rounds) and not record.means_only
    return RecordStatistics(
        record=record,
        verdict=verdict.judge(record),
        p50_ns=stats.latency_ns(rounds, 0.5),
        p90_ns=stats.latency_ns(rounds, 0.9) if single else None,
        p99_ns=stats.latency_ns(rounds, 0.99) if single else None,
        no_quantiles=tuple(filter(None, (percentiles.why_none(rounds, q) for q in (0.9, 0.99)))) if single else (),
        throughput_hz=stats.throughput_hz(rounds),
        curve_ns=tuple(np.quantile(stats.outline_ns(rounds), SHARES).tolist()) if single else (),
        sample_ns=tuple(warm_values.of(rounds).sample_ns(_SAMPLE)) if single else (),
    )
