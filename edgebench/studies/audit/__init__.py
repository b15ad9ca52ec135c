"""audit: looks for the known mistakes of compression and "green AI" studies in what a study left behind.

    checkpoints, records, emissions.csv, published tables ─> AuditEvidence ─> every detector ─> findings

Each detector is one file in `audit/detectors/`; findings show its name, and `--only` takes it. Its docstring says what
it detects, where that was seen and what would be right. Detectors ignore evidence that they do not understand: no
findings means that nothing was recognised, not that all is well.

Mistakes of the source studies that such evidence does not show, with the reason:

* a wrong citation or a wrong word for a method ("one training is five cars", a parameter "that Mocanu used", "a genetic
  algorithm"): only the cited text shows it;
* a profiler that runs inside the energy window, and nested meters: only the code shows it; the window
  just gets longer, as for a slower network;
* an idle second GPU that is counted: the file says how many GPUs there are, not which one worked;
* "highly overparameterised" as the reason for a gain: an interpretation. The missing control is detected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgebench import plugins
from edgebench.studies.audit.evidence import AuditedNetwork, AuditedRun, AuditEvidence
from edgebench.studies.audit.finding import Finding

__all__ = ["AuditEvidence", "AuditedNetwork", "AuditedRun", "Finding", "audit", "names", "summary"]

_DETECTORS = "edgebench.studies.audit.detectors"


def audit(evidence: AuditEvidence, only: Sequence[str] = ()) -> list[Finding]:
    """The detectors' findings, the wrong before the doubtful.

    only: names of detectors; all by default. Raises UnknownName.
    """
    detectors = {name: plugins.load(_DETECTORS, name, kind="detector") for name in only or names()}
    found = [
        replace(finding, detector=name) for name, detector in detectors.items() for finding in detector.find(evidence)
    ]
    return sorted(found, key=lambda finding: finding.level != "wrong")


def names() -> list[str]:
    return plugins.names(_DETECTORS)


def summary(name: str) -> str:
    """The mistake that a detector looks for: the first line of its docstring."""
    return (plugins.load(_DETECTORS, name, kind="detector").__doc__ or "").strip().splitlines()[0]
