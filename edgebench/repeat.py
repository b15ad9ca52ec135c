"""repeat(): whether a record's figure comes out again: its file measured anew, under its plan.

    record ─ its file, by content ─ jobs under its plan ─ conditions alike? ─ ratio, as between jobs ─ reproduced?

Several jobs, because one differs from the next by more than its rounds show (analysis/between_jobs.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import msgspec

from edgebench import publish
from edgebench.analysis import comparability, record_statistics, repetition, selection, statistics_cache
from edgebench.analysis.repetition import MARGIN, Repetition
from edgebench.deploy import DeployOptions, deploy
from edgebench.device import at_hand
from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.progress import Progress, Silent
from edgebench.schema import publication, record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Device, Target

JOBS = 3
_ENDED = ("complete", "budget")


@dataclass(frozen=True)
class RepeatOptions:
    """jobs: so many at most; fewer where a condition differs that must be equal. margin: a ratio whose interval lies
    within counts as reproduced. places: where the file is looked for; default: `at_hand.places_of`. energy: its energy
    windows as well. wait: for others who measure there. anyway: all jobs although conditions differ.
    """

    jobs: int = JOBS
    margin: float = MARGIN
    places: tuple[Path, ...] = ()
    energy: bool = False
    wait: bool = True
    anyway: bool = False

    def also_in(self, place: Path | None) -> RepeatOptions:
        """Looked for there first."""
        return self if place is None else replace(self, places=(place, *(self.places or (Path(),))))


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[tuple[Record, Path | None]]]:
    """The records of record files and publications, of a publication the newest of each file; with the folder of the
    files that came with them, if any did.
    """
    with ExitStack() as open_:
        found: list[tuple[Record, Path | None]] = []
        for path in paths:
            if publication.is_publication(path):
                records, folder = open_.enter_context(publish.unpacked(path))
                place = folder if any(folder.iterdir()) else None
                found += [(one, place) for one in selection.newest(sorted(records, key=lambda one: one.created))]
            else:
                found.append((record_files.load(path), None))
        yield found


def repeat(
    record: Record,
    target: Target,
    results: Path,
    options: RepeatOptions = RepeatOptions(),  # noqa: B008  (it is frozen)
    *,
    progress: Progress | None = None,
) -> Repetition:
    """Measures the file of `record` again, with its plan, runtime, threads and input sizes.

    target: on which; under its name records of the repeats are saved. Accuracy and layers are left out, and energy
    unless it is asked for. After Ctrl-C the jobs that ended are judged. Raises UserError.
    """
    progress = progress or Silent()
    _check(record)
    local = _file(record, options.places)
    target = _as_then(record, target)
    then = _named(record, target.name)
    plan = _plan(record.plan, energy=options.energy)
    repeats: list[Record] = []
    for number in range(options.jobs):
        progress.say(f"Job {number + 1} of {options.jobs}")
        (found,) = deploy(target, [local], plan, results, DeployOptions(wait=options.wait), progress=progress)
        if found.outcome.status == "failed" and found.outcome.kind == "wrong":
            return Repetition(then, (), None, comparability.unlike(found, then), options.margin, found.outcome.reason)
        if found.outcome.status == "stopped":
            break
        if found.outcome.status not in _ENDED or not found.rounds:
            why = found.outcome.reason.partition("\n")[0] or "the agent died"
            raise UserError(
                record.artifact.name, f"it could not be measured here: {why}", "See `edgebench targets check`"
            )
        repeats.append(found)
        if not options.anyway and any(one.rule == "equal" for one in comparability.unlike(found, then)):
            break
    if not repeats:
        raise KeyboardInterrupt
    return repetition.judge(then, repeats, _history(results, target.name), options.margin)


def _check(record: Record) -> None:
    """Raises UserError for a record without a figure that could come out again."""
    found = record_statistics.of(record)
    if found.may_be_baseline:
        return
    reasons = [reason.seen for reason in found.verdict.reasons if reason.level == "invalid"]
    why = f"it is invalid: {reasons[0]}" if reasons else "it has no rounds"
    raise UserError(str(record.path or record.id), f"there is nothing to repeat, {why}", "Name another record")


def _file(record: Record, named: tuple[Path, ...]) -> LocalArtifact:
    places = named or at_hand.places_of(record)
    for place in named:
        if not place.exists():
            raise UserError(str(place), "there is no such file or folder", "Give the bundle or the file to --files")
    found = at_hand.find(record, places)
    if found is None:
        content = record.artifact.content
        raise UserError(
            record.artifact.name,
            f"no file with its content (sha256 {content.sha256[:12]}..., {content.size_bytes} bytes, then called "
            f"{content.file}) is in {at_hand.said(places)}",
            "Give its bundle or file: --files PATH",
        )
    return found


def _as_then(record: Record, target: Target) -> Target:
    """The target with the record's runtime, threads, precision and device; what else it is, the device says itself."""
    then = record.target
    changes: dict[str, Any] = {"threads": then.threads, "precision": then.precision}
    if then.device in get_args(Device):
        changes["device"] = then.device
    return msgspec.structs.replace(target, runtimes=(record.runtime.name,), **changes)


def _named(record: Record, name: str) -> Record:
    """On the target here: all that must be equal on one target must be equal."""
    then = msgspec.structs.replace(record, target=msgspec.structs.replace(record.target, name=name))
    then.__dict__["path"] = record.path
    return then


def _plan(plan: Plan, *, energy: bool) -> Plan:
    left_out: dict[str, Any] = {"accuracy": False, "layers_s": 0.0}
    if not energy:
        left_out |= {"energy_windows": 0, "carbon": "", "carbon_g_per_kwh": None, "carbon_source": ""}
    return msgspec.structs.replace(plan, **left_out)


def _history(results: Path, target: str) -> list[Record]:
    return statistics_cache.load_all(sorted((results / target).glob("*.json"))).records
