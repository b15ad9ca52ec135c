"""A study: a matrix of networks to train and measure, and a report that says which of its claims hold.

study file ─> matrix of steps ─> made (here, or on a cluster) ─> exported ─> measured ─> results
                                                                              claims, audit ─> report
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.progress import Progress, Silent

if TYPE_CHECKING:
    from edgebench.studies.audit import Finding
    from edgebench.studies.study.claims import ClaimVerdict
    from edgebench.studies.study.results import Results
    from edgebench.studies.study.scheduler import StudyFailure

FOLDER = "studies"


@dataclass(frozen=True)
class StudyOutcome:
    """failures: what could not be made or measured, each with its error; the results lack it."""

    report: Path
    results: Results
    claims: list[ClaimVerdict]
    findings: list[Finding]
    failures: list[StudyFailure]


@dataclass(frozen=True)
class StudyOptions:
    """only: names of parts; all by default. subset: the small matrix of the study file. on, jobs: see
    `edgebench.studies.study.places`. plan: how hard to measure. measure: export and time the networks too.
    """

    only: tuple[str, ...] = ()
    subset: bool = False
    on: str = "local"
    jobs: int = 1
    plan: str = "quick"
    measure: bool = True


def run(
    path: Path,
    options: StudyOptions = StudyOptions(),  # noqa: B008  (it is frozen)
    *,
    folder: Path = Path("results"),
    targets_file: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> StudyOutcome:
    """Make what is missing, measure it, and write the report.

    Everything is kept in `<folder>/studies/<study's name>/`: after a kill, the same call continues, and the report
    covers everything that is there.
    """
    from edgebench.studies import audit
    from edgebench.studies.study import (
        claims,
        collect,
        deployment,
        file_checks,
        matrix,
        own_data,
        report,
        scheduler,
    )
    from edgebench.studies.study.store import StudyStore

    study = file_checks.load(path, options.only)
    parts = matrix.parts(study, only=options.only, subset=options.subset)
    whole = matrix.parts(study, subset=options.subset)
    own = own_data.read(whole, path.parent, parts, progress)
    wanted = matrix.expand(parts, own)
    conditions = deployment.conditions(parts, options.plan, targets_file) if options.measure else None
    store = StudyStore(folder / FOLDER / path.stem)
    with store.one_run_at_a_time():
        failures = scheduler.make(wanted, store, options.on, options.jobs, progress)
        if conditions:
            failures += deployment.measure(parts, wanted, store, conditions, progress)

        everything = matrix.expand(whole, own)
        failures += [scheduler.StudyFailure("a measurement's record", error) for error in collect.unreadable(store)]
        results = collect.collect(path.stem, study, everything, store, subset=options.subset)
        verdicts = claims.judge(study.claims, results)
        findings = audit.audit(collect.evidence(results, store))
        written = report.write(results, study.figures, findings, verdicts, store.folder / "report.html")
    return StudyOutcome(written, results, verdicts, findings, failures)
