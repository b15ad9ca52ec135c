"""A test accuracy that is not on the official test split, or not on images that training never saw.

The PLOS study tests on a tenth of the training split, and its inference script splits again without a seed, so that 80
% of its test images were trained on. Right: the official test split, whole, and a hash of the split in the record.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.studies.audit.evidence import AuditedRun, AuditEvidence
from edgebench.studies.audit.finding import Finding
from edgebench.studies.audit.splits import TEST_IMAGES

_REMEDY = "Test on the whole official test split, and keep a hash of the split"


def find(evidence: AuditEvidence) -> Iterator[Finding]:
    for table, row in evidence.rows():
        official = TEST_IMAGES.get(row.dataset)
        if official and row.test_images and row.test_images != official:
            seen = f"its accuracy is of {row.test_images:,} images; the test split of {row.dataset} has {official:,}"
            yield Finding("wrong", table.where(row), seen, _REMEDY)
        if not row.split_seeded:
            seen = "the images are split anew without a seed before testing: most of them were trained on"
            yield Finding("wrong", table.where(row), seen, _REMEDY)
    for run in evidence.variants:
        yield from _run(run)
    yield from _moved(evidence.variants)


def _run(run: AuditedRun) -> Iterator[Finding]:
    official, tested = TEST_IMAGES.get(run.dataset), run.metrics.test_images
    if official and tested != official:
        seen = f"its accuracy is of {tested:,} images; the test split of {run.dataset} has {official:,}"
        yield Finding("wrong", run.label, seen, _REMEDY)
    if any(not training.split_sha256 for training in run.training):
        yield Finding("doubtful", run.label, "there is no record of which images were trained on", _REMEDY)
    if len({training.split_sha256 for training in run.training}) > 1:
        seen = "the splits changed between its trainings: one may test on images that another trained on"
        yield Finding("wrong", run.label, seen, _REMEDY)


def _moved(runs: tuple[AuditedRun, ...]) -> Iterator[Finding]:
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for run in runs:
        if run.last_training:
            split = run.last_training.split_sha256
            other, known = first.setdefault((run.model, run.dataset), (run.label, split))
            if known != split:
                seen = f"its {run.dataset} is split differently from that of '{other}', so they are not comparable"
                yield Finding("doubtful", run.label, seen, _REMEDY)
