"""A latency that the network does not determine: data loading, a framework's call, or a whole batch divided.

The UltraLight study has 0.07 ms an image for networks 96x apart in MACs; the lightweight-CNN study's 72-112 ms are
Keras' predict() around 1.8 million MACs. Right: batch 1 on the device, through the interpreter alone, without loading,
with percentiles.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedRow, PublishedTable
from edgebench.studies.audit.recompute import computed

# Ratios of work and of time: so far apart in work, at most so far apart in time.
WORK_RANGE = 10.0
TIME_RANGE = 1.5
# A desktop processor or GPU at work is faster than this.
LEAST_MACS_PER_S = 1e8
_REMEDY = "Time single inferences on the device through its interpreter, without loading, with percentiles"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table in evidence.published:
        timed = [(row, macs) for row in table.rows if "latency" in row.values and (macs := _macs(row))]
        for dataset in sorted({row.dataset for row, _ in timed}):
            yield from _alike(table, [(row, macs) for row, macs in timed if row.dataset == dataset])
        for row, macs in timed:
            seconds = row.values["latency"].plain
            if row.device and macs / seconds < LEAST_MACS_PER_S:
                seen = (
                    f"{row.values['latency']} for {macs:,} MACs are {macs / seconds / 1e9:.2g} billion a second: the "
                    "time is that of the overhead"
                )
                yield Finding("doubtful", table.where(row), seen, _REMEDY)


def _alike(table: PublishedTable, timed: list[tuple[PublishedRow, int]]) -> Iterator[Finding]:
    if not timed:
        return
    times = [row.values["latency"] for row, _ in timed]
    shortest, longest = min(times, key=lambda value: value.plain), max(times, key=lambda value: value.plain)
    least, most = (chosen(macs for _, macs in timed) for chosen in (min, max))
    if most >= WORK_RANGE * least and longest.plain <= TIME_RANGE * shortest.plain:
        batch = max(value.batch for value in times)
        spread = str(shortest) if shortest.plain == longest.plain else f"{shortest} to {longest}"
        seen = f"{spread} for {len(timed)} networks from {least:,} to {most:,} MACs, {most / least:.0f}x" + (
            f", as one image's share of a batch of {batch}" if batch > 1 else ""
        )
        yield Finding("doubtful", table.title, seen, _REMEDY)


def _macs(row: PublishedRow) -> int | None:
    network = computed(row)
    return network.size.macs if network else None
