"""audit(): the known mistakes of compression and "green AI" studies, looked for in what a study left behind.

    checkpoints, records, emissions.csv, published tables ─> Evidence ─> every detector ─> findings

One detector is one file in `audit/detectors/`; its name is what a finding shows and what `--only` takes. What
it detects, where that was seen and what would be right is its docstring. It looks at the kinds of evidence that it
understands, and is silent about the rest: no findings means that nothing was recognised, not that all is well.

Mistakes of the source studies that no such evidence shows, with the reason:

* a wrong citation or a wrong word for a method ("one training is five cars", a parameter "that Mocanu used", "a genetic
  algorithm"): it shows in the text that is cited;
* a profiler that runs inside the energy window, and nested meters: only the code shows it. The window is longer then,
  as it would be for a slower network;
* a second GPU that idles and is counted: the file says how many GPUs there are, not which one worked;
* "highly overparameterised" as the reason of a gain: an interpretation. The missing control is detected.
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
    """What the detectors find, the wrong before the doubtful.

    only: names of detectors; without them all. Raises UnknownName for one that is no file.
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
