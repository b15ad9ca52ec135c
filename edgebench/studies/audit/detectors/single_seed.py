"""Variants are compared by one run each, or by several runs of one seed.

All five studies have single runs; the PLOS study's ten start with torch.manual_seed(42) at import. Right: several seeds
for each variant, each recorded, and the spread over them.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditEvidence
from edgebench.studies.audit.family import variants
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.published import PublishedTable

SHOWN = 4
_REMEDY = "Train each variant with several seeds, record them, and give the spread"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    groups = variants(evidence.variants)
    for dataset in sorted({group[0].dataset for group in groups}):
        compared = [group for group in groups if group[0].dataset == dataset]
        single = [group[0] for group in compared if len({run.training[0].seed for run in group if run.training}) == 1]
        if len(compared) > 1 and single:
            labels = ", ".join(f"'{run.label}'" for run in single[:SHOWN]) + (", ..." if len(single) > SHOWN else "")
            seen = f"{len(single)} of {len(compared)} variants on {dataset} have one seed: {labels}"
            yield Finding("doubtful", dataset, seen, _REMEDY)
    for table in evidence.published:
        yield from _stated(table)


def _stated(table: PublishedTable) -> Iterator[Finding]:
    once = [row.label for row in table.rows if row.runs == 1 and "accuracy" in row.values]
    if len(once) > 1:
        yield Finding("doubtful", table.title, f"{len(once)} accuracies from one run each are compared", _REMEDY)
    for row in table.rows:
        if row.runs and row.runs > 1 and len(set(row.seeds)) == 1:
            seen = f"{row.runs} runs are called independent but have the same seed ({row.seeds[0]})"
            yield Finding("wrong", table.where(row), seen, _REMEDY)
