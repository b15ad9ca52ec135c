"""deploy(): the whole measurement, host side.

    results writable? ─ connect ─ runtimes ─ job (or the one left running) ─ send files ─ start ─ follow ─ records

Everything that is measured happens in the agent (device_agents/python/job.py); the host sends, waits and keeps.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from edgebench import __version__
from edgebench.device import accuracy, following, job_store, local_artifacts, provisioning, records_from_journal
from edgebench.device.accuracy import TestSet
from edgebench.device.agent import Agent
from edgebench.device.connection import Connection
from edgebench.device.job_store import Ledger, OpenJob, Request
from edgebench.device.local_artifacts import LocalArtifact as LocalArtifact
from edgebench.device.local_artifacts import artifacts_at as artifacts_at
from edgebench.device.provisioning import WorkingRuntime
from edgebench.energy.host_meter import HostMeter
from edgebench.energy.meters import _calibration
from edgebench.errors import AgentError, UserError
from edgebench.networks import data
from edgebench.progress import Progress, Silent
from edgebench.schema import bundle, record_files
from edgebench.schema.facts import Facts
from edgebench.schema.plan import Plan
from edgebench.schema.record import Outcome, Record
from edgebench.schema.targets import Target


def deploy(
    target: Target,
    wanted: Sequence[LocalArtifact],
    plan: Plan,
    results: Path,
    *,
    calibrations: Path = _calibration.FILE,
    wait: bool = False,
    progress: Progress | None = None,
) -> list[Record]:
    """Measure artifacts on a target; returns their records, which are saved, in the order of the artifacts.

    A job that a killed or disconnected `deploy` of the same things left behind is followed to its end instead of
    being started again. Ctrl-C asks the job to stop and saves what there is. calibrations: of the target's `meter`.
    wait: for the end of another's job there, instead of raising Busy.
    """
    progress = progress or Silent()
    book = Ledger(results, target.name)
    for said in (said for source in wanted for said in source.feeding.said):
        progress.say(said)
    tests = _test_sets(wanted, progress) if plan.accuracy else {}
    with (
        Connection(target, progress) as link,
        HostMeter(target, plan, calibrations, progress) as meter,
        ExitStack() as held,
    ):
        facts = link.agent.facts()
        _check_device(facts, target)
        fed = [source.feeding.options for source in wanted]
        key = job_store.job_key(target, plan, [source.artifact for source in wanted], link.agent.sha256, fed)
        held.enter_context(book.claim(key))
        job = book.open_job(key)
        if job:
            progress.say(f"Going on with job {job.request.id}, which an earlier deploy left behind")
        else:
            link.await_turn(wait)
            placed = _placed(link.agent, target, wanted, progress)
            _check_plan(plan, placed, target)
            job = book.add(_request(key, target, plan, placed, tests))
        meter.start(job, link.agent)
        _start(link, job, wanted, tests, meter.name, wait, progress)
        metered = any(found.available for found in facts.meters.values())
        ending = following.follow(link, job, meter, progress, metered=metered)
        meter.align(link.agent)
        died = (ending.reason or "; ".join(ending.stderr)) if ending.tail == "died" else None
        records = records_from_journal.to_records(
            job.request, job.lines, agent_died=died, version=__version__, attached=meter.reading
        )
        for one in records:
            record_files.save(one, results)
        link.agent.forget(job.request.id)
        job.close()
    for one in records:
        record_files.check(one)
    return records


def check_measured(wanted: Sequence[LocalArtifact], records: Sequence[Record]) -> None:
    """Raises UserError, which names them, unless all that was asked for was measured; stopped by Ctrl-C is no fault."""
    known = {one.artifact.sha256 for one in records}
    missing = [f"{s.artifact.name} (left out)" for s in wanted if s.artifact.sha256 not in known]
    missing += [
        f"{one.artifact.name} ({_how_it_ended(one.outcome)})"
        for one in records
        if one.outcome.status in ("failed", "agent-died")
    ]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(wanted)} not wholly measured", "; ".join(missing),
            "What was measured is saved. Mend these files or leave them out, then deploy again",
        )  # fmt: skip


def _how_it_ended(outcome: Outcome) -> str:
    if outcome.status == "agent-died":
        return "the agent died"
    return f"failed: {outcome.reason.splitlines()[0][:120]}" if outcome.reason else "failed"


def _test_sets(wanted: Sequence[LocalArtifact], progress: Progress) -> dict[str, TestSet]:
    """By the artifacts' names."""
    load = cache(data.load)  # the artifacts of a bundle are all asked about the same images
    with progress.step("Preparing the test images", total=len(wanted)) as step:
        found = {}
        for source in wanted:
            local_artifacts.refuse_test_set(source)
            found[source.artifact.name] = accuracy.test_set(source.artifact, load)
            step.advance()
    return found


def _check_device(facts: Facts, target: Target) -> None:
    if target.device == "cuda" and not facts.gpus:
        raise UserError(
            f"target '{target.name}'", "no GPU here: the NVIDIA driver shows none",
            "Use a machine with one (`nvidia-smi` must list it), or another target",
        )  # fmt: skip
    if facts.emulated and not target.emulated:
        raise UserError(
            f"target '{target.name}'", "the device says that it is an emulated machine",
            "Add `emulated: true` to its entry: such times are never compared with real ones",
        )  # fmt: skip


def _placed(
    agent: Agent, target: Target, wanted: Sequence[LocalArtifact], progress: Progress
) -> list[tuple[LocalArtifact, WorkingRuntime]]:
    """Each artifact with the runtime that will run it there; those that none runs are said and left out."""
    suffixes = {Path(source.artifact.content.file).suffix for source in wanted}
    found = provisioning.find_runtimes(agent, target, sorted(suffixes), progress)
    placed = []
    for source in wanted:
        suffix = Path(source.artifact.content.file).suffix
        if suffix in found.places:
            local_artifacts.refuse_for(found.places[suffix].runtime, source)
            placed.append((source, found.places[suffix]))
        else:
            progress.say(f"Left out: {source.artifact.name} ({found.problem(suffix)})")
    if not placed:
        problems = "; ".join(found.problem(suffix) for suffix in sorted(suffixes))
        raise UserError(f"target '{target.name}'", problems, "`edgebench targets check` says what is missing")
    return placed


def _check_plan(plan: Plan, placed: Sequence[tuple[LocalArtifact, WorkingRuntime]], target: Target) -> None:
    """Of a program that only times itself nothing else can be asked, and an answer without it would be another's."""
    asked = {"energy": plan.energy_windows, "accuracy": plan.accuracy, "a rate (duty:N)": plan.duty_hz}
    for place in (place for _, place in placed if not provisioning.answers(place.runtime)):
        for what in (name for name, wanted in asked.items() if wanted):
            raise UserError(
                f"target '{target.name}'", f"{place.runtime} tells times only, and {what} was asked for",
                "Leave that out, or give the target another of its `runtimes`",
            )  # fmt: skip


def _request(
    key: str,
    target: Target,
    plan: Plan,
    placed: Sequence[tuple[LocalArtifact, WorkingRuntime]],
    tests: Mapping[str, TestSet],
) -> Request:
    # With milliseconds: records are named after it, and a small job takes less than a second.
    created = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
    return Request(
        id=f"{created}-{key}",
        key=key,
        created=created,
        target=target,
        plan=plan,
        artifacts=tuple(source.artifact for source, _ in placed),
        specs=tuple(_spec(source, place, target, tests) for source, place in placed),
        tests={name: one.test for name, one in tests.items()},
    )


def _spec(source: LocalArtifact, place: WorkingRuntime, target: Target, tests: Mapping[str, TestSet]) -> dict[str, Any]:
    """What the agent has to know of one artifact."""
    artifact = source.artifact
    answers = provisioning.answers(place.runtime)
    golden = artifact.golden if answers else None
    return {
        "name": artifact.name,
        "sha256": artifact.content.sha256,
        "suffix": Path(artifact.content.file).suffix,
        "companions": [(bundle.location(artifact, ref), ref.sha256) for ref in artifact.companions],
        "runtime": place.runtime,
        "runtime_folder": place.folder,
        "options": {
            "threads": target.threads,
            "device": target.device,
            "cpus": target.cpus,
            **source.feeding.options,
        },
        "golden": golden
        and {
            "count": golden.count,
            "inputs": golden.inputs.sha256,
            "expected": golden.expected.sha256,
            "reference": golden.reference.sha256,
            "max_relative_error": golden.max_relative_error,
        },
        "test": tests[artifact.name].test.pieces if tests and answers else None,
    }


def _start(
    link: Connection,
    job: OpenJob,
    wanted: Sequence[LocalArtifact],
    tests: Mapping[str, TestSet],
    meter: str,
    wait: bool,
    progress: Progress,
) -> None:
    """Send what the device does not have, and start the job there unless it runs or ran already."""
    request = job.request
    names = {artifact.name for artifact in request.artifacts}
    files = {
        ref.sha256: source.folder / ref.file
        for source in wanted
        if source.artifact.name in names
        for ref in bundle.files_of(source.artifact)
    }
    for name in names & tests.keys():
        files |= tests[name].files
    link.bring(files)
    try:
        plan = msgspec.to_builtins(request.plan)
        spec = {"id": request.id, "plan": plan, "meter": meter, "artifacts": request.specs, "owner": _owner()}
        begun = link.start(spec, wait)
    except AgentError:
        job.close()  # refused: nothing was started that could be gone on with
        raise
    if begun and job.lines:
        progress.say(f"{request.target.name} no longer knew the job; it begins anew")
        job.forget_lines()


def _owner() -> str:
    """Whoever waits for the device is told."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
