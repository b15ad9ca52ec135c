"""Some epochs see only part of the data.

The lightweight-CNN study takes 312 steps from a generator of 313 batches: every second epoch is only the remaining
batch, and 30 epochs amount to about 15. Epoch times show it: 60-80 s, 9 s, and so on. Right: an epoch passes all images
once.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.finding import Finding

SHORT = 0.5


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        times = row.epoch_seconds
        full = statistics.quantiles(times, n=4, method="inclusive")[2] if len(times) > 1 else 0.0
        short = [seconds for seconds in times if seconds < SHORT * full]
        if short:
            seen = (
                f"{len(short)} of {len(times)} epochs took {statistics.median(short):.2g} s and the others "
                f"{full:.3g} s: they did not see all images"
            )
            yield Finding("wrong", table.where(row), seen, "Create the generator anew for each epoch, and count images")
