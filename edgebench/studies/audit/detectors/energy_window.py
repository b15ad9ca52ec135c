"""Energy is read over a window too short for the meter.

The PLOS study reads the GPU's counter, which moves about every 100 ms, around inferences of 20-40 us: 0 J or one step.
Right: inferences in a loop inside one window of seconds; for records 10 s, as MLPerf Tiny asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

# One update of the meter more or less is then 5 %.
STEPS = 20
RECORD_WINDOW_S = 10.0
# A loop ends with its last inference, slightly before or after the target.
_SLACK = 0.05
_REMEDY = "Loop inferences inside one window of 10 s or more, and subtract the idle power"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        energy = row.energy
        if energy and energy.window_s and energy.period_s and energy.window_s < STEPS * energy.period_s:
            seen = (
                f"the window is {energy.window_s:g} s, and {energy.meter or 'the meter'} updates every "
                f"{energy.period_s:g} s: {energy.window_s / energy.period_s:.2g} updates"
            )
            yield Finding("wrong", table.where(row), seen, _REMEDY)
    for record in evidence.records:
        for reading in record.energy:
            shortest = min((window.duration_s for window in reading.windows), default=RECORD_WINDOW_S)
            if shortest < RECORD_WINDOW_S * (1 - _SLACK):
                seen = f"{reading.meter} was read over {shortest:.2g} s"
                yield Finding("doubtful", f"record {record.id}", seen, _REMEDY)
