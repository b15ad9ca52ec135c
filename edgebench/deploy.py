"""deploy(): the whole measurement, host side.

    results writable? ─ connect ─ runtimes ─ job (or the one left running) ─ send files ─ start ─ follow ─ records

All measuring happens in the agent (device_agents/python/job.py); the host sends files, waits, and saves results.
"""

from __future__ import annotations

import getpass
import socket
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from device_agents.python import PROTOCOL
from edgebench import __version__
from edgebench.analysis.verdict import failures
from edgebench.device import following, job_store, local_artifacts, processors, provisioning, records_from_journal
from edgebench.device.accuracy import TestSet
from edgebench.device.agent import Agent
from edgebench.device.connection import Connection
from edgebench.device.job_store import AccuracyTest, JobRequest, JobStore, StoredJob
from edgebench.device.local_artifacts import LocalArtifact as LocalArtifact
from edgebench.device.local_artifacts import artifacts_at as artifacts_at
from edgebench.device.provisioning import WorkingRuntime
from edgebench.energy.host_meter import HostMeter
from edgebench.energy.meters import _calibration
from edgebench.errors import AgentError, UserError
from edgebench.files import commit
from edgebench.networks import scored_files
from edgebench.networks.scoring import ScoreChoice as ScoreChoice
from edgebench.progress import Progress, Silent
from edgebench.schema import bundle, record_files
from edgebench.schema.bundle import Golden
from edgebench.schema.facts import Facts
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import ComputeIn, Target
from exporters.pipeline.loose_files import with_inputs as with_inputs


@dataclass(frozen=True)
class DeployOptions:
    """What most jobs do without.

    every_runtime: each artifact in every one of the target's runtimes that reads it and works there, in the same
    rounds; otherwise in the first. threads: each file with each of these numbers of them, in the same rounds; none:
    with the target's. score: how answers to a test set are scored, where the plan asks for accuracy.
    calibrations: of the target's `meter`. wait: for the end of another's job there, instead of raising Busy.
    """

    every_runtime: bool = False
    threads: tuple[int, ...] = ()
    score: ScoreChoice = ScoreChoice()
    calibrations: Path = _calibration.FILE
    wait: bool = False


def deploy(
    target: Target,
    wanted: Sequence[LocalArtifact],
    plan: Plan,
    results: Path,
    options: DeployOptions = DeployOptions(),  # noqa: B008  (it is frozen)
    *,
    progress: Progress | None = None,
) -> list[Record]:
    """Measure artifacts on a target; returns their records, which are saved, in the order of the artifacts.

    A job that a killed or disconnected `deploy` of the same things left behind is followed to its end instead of
    being started again. Ctrl-C asks the job to stop and saves what there is.
    """
    progress = progress or Silent()
    jobs = JobStore(results, target.name)
    for remark in (remark for one in wanted for remark in one.feeding.remarks):
        progress.say(remark)
    questions = scored_files.questions(wanted, options.score, progress) if plan.accuracy else {}
    wanted = [questions[one.artifact.name].local if questions else one for one in wanted]
    tests = scored_files.test_sets(questions, progress)
    with (
        Connection(target, progress) as link,
        HostMeter(target, plan, options.calibrations, progress) as meter,
        ExitStack() as claims,
    ):
        facts = link.agent.facts()
        _check_device(facts, target)
        target = processors.of_class(target, facts, progress)
        key = _job_key(target, plan, wanted, tests, link.agent.sha256, options)
        claims.enter_context(jobs.claim(key))
        job = jobs.find(key)
        if job:
            progress.say(f"Resuming job {job.request.id}, which an earlier deploy left behind")
        else:
            jobs.refuse_older(target, plan, [one.artifact for one in wanted])
            link.await_turn(options.wait)
            runnable = _with_runtimes(link.agent, target, wanted, progress, every=options.every_runtime)
            _check_plan(plan, runnable, target)
            specs = _specs(runnable, target, options.threads or (target.threads,), tests)
            job = jobs.add(_request(key, target, plan, specs, tests))
        meter.start(job, link.agent)
        _start(link, job, wanted, tests, meter.name, options.wait, progress)
        metered = any(one.available for one in facts.meters.values())
        ending = following.follow(link, job, meter, progress, metered=metered)
        meter.align(link.agent)
        died = (ending.reason or "; ".join(ending.stderr)) if ending.tail == "died" else None
        records = records_from_journal.to_records(
            job, agent_died=died, version=__version__, attached=meter.reading,
            scoring=partial(scored_files.scored, questions, progress),
        )  # fmt: skip
        for one in records:
            record_files.save(one, results)
        link.agent.forget(job.request.id)
        job.close()
    for one in records:
        record_files.check(one)
    return records


def _job_key(
    target: Target,
    plan: Plan,
    wanted: Sequence[LocalArtifact],
    tests: Mapping[str, TestSet],
    agent_sha256: str,
    options: DeployOptions,
) -> str:
    asked: list[dict[str, Any]] = [one.feeding.options for one in wanted]
    asked += [{"every_runtime": True}] if options.every_runtime else []
    asked += [{"threads": options.threads}] if options.threads else []
    asked += [{"tests": msgspec.to_builtins([one.test for one in tests.values()])}] if tests else []
    return job_store.job_key(target, plan, [one.artifact for one in wanted], agent_sha256, asked)


def check_measured(wanted: Sequence[LocalArtifact], records: Sequence[Record]) -> None:
    """Raises UserError naming what was not measured, files or pairs of file and runtime; a job stopped by Ctrl-C is not
    an error.
    """
    measured = Counter(one.artifact.sha256 for one in records)
    missing = [f"{one.artifact.name} (left out)" for one in wanted if one.artifact.sha256 not in measured]
    count = len(missing) + len(records)
    missing += [
        f"{one.artifact.name} ({_how_it_ended(one, measured[one.artifact.sha256] > 1)})"
        for one in records
        if one.outcome.status in ("failed", "agent-died")
    ]
    if missing:
        raise UserError(
            f"{len(missing)} of {count} not fully measured", "; ".join(missing),
            "The results so far are saved. Fix these files or leave them out, then deploy again",
        )  # fmt: skip


def _how_it_ended(record: Record, several: bool) -> str:
    """several: the file was measured in more runtimes than this one."""
    threads = f", {record.target.threads} threads" if record.target.threads > 1 else ""
    runtime = f"{record.runtime.name}{threads}: " if several else ""
    if record.outcome.status == "agent-died":
        return f"{runtime}the agent died"
    why = textwrap.shorten(failures.explain(record.outcome).seen, 120, placeholder=" ...")
    return f"{runtime}failed: {why}" if why else f"{runtime}failed"


def _check_device(facts: Facts, target: Target) -> None:
    if target.device == "cuda" and not facts.gpus:
        raise UserError(
            f"target '{target.name}'", "no GPU: the NVIDIA driver reports none",
            "Use a machine whose GPU `nvidia-smi` lists, or another target",
        )  # fmt: skip
    if facts.emulated and not target.emulated:
        raise UserError(
            f"target '{target.name}'", "the device reports that it is emulated",
            "Add `emulated: true` to its entry: its times are then never compared with those of real devices",
        )  # fmt: skip


def _with_runtimes(
    agent: Agent, target: Target, wanted: Sequence[LocalArtifact], progress: Progress, *, every: bool
) -> list[tuple[LocalArtifact, WorkingRuntime]]:
    """Each artifact with each runtime that will run it there; one that no runtime can run is named and left out."""
    suffixes = {Path(one.artifact.content.file).suffix for one in wanted}
    choice = provisioning.find_runtimes(agent, target, sorted(suffixes), progress, every=every)
    runnable = []
    for one in wanted:
        suffix = Path(one.artifact.content.file).suffix
        runtimes = choice.by_suffix.get(suffix, [])
        for runtime in runtimes:
            local_artifacts.check_runtime(one, runtime.name)
            runnable.append((one, runtime))
        if every or not runtimes:
            for problem in choice.problems.get(suffix, [] if runtimes else [choice.problem(suffix)]):
                progress.say(f"Left out: {one.artifact.name} ({problem})")
    if not runnable:
        problems = "; ".join(choice.problem(suffix) for suffix in sorted(suffixes))
        raise UserError(f"target '{target.name}'", problems, "`edgebench targets check` shows what is missing")
    return runnable


def _check_plan(plan: Plan, runnable: Sequence[tuple[LocalArtifact, WorkingRuntime]], target: Target) -> None:
    """A runtime that only times itself cannot do anything else; leaving that out silently would be another plan."""
    requested = {"energy": plan.energy_windows, "accuracy": plan.accuracy, "a rate (duty:N)": plan.duty_hz}
    for runtime in (runtime for _, runtime in runnable if not provisioning.answers(runtime.name)):
        for what in (name for name, wanted in requested.items() if wanted):
            raise UserError(
                f"target '{target.name}'", f"{runtime.name} reports times only, but {what} was requested",
                "Leave that out, or give the target another of its `runtimes`",
            )  # fmt: skip


def _request(
    key: str,
    target: Target,
    plan: Plan,
    specs: Sequence[tuple[LocalArtifact, dict[str, Any]]],
    tests: Mapping[str, TestSet],
) -> JobRequest:
    # With milliseconds: records are named after it, and a small job takes less than a second.
    created = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
    return JobRequest(
        id=f"{created}-{key}",
        key=key,
        created=created,
        target=target,
        plan=plan,
        artifacts=tuple(one.artifact for one, _ in specs),
        specs=tuple(spec for _, spec in specs),
        tests={name: one.test for name, one in tests.items()},
        protocol=PROTOCOL,
        commit=commit.of_folder(Path()),
    )


def _specs(
    runnable: Sequence[tuple[LocalArtifact, WorkingRuntime]],
    target: Target,
    threads: Sequence[int],
    tests: Mapping[str, TestSet],
) -> list[tuple[LocalArtifact, dict[str, Any]]]:
    """Each file in each runtime with each number of threads, and what the agent needs to know of that."""
    options = provisioning.options(target)
    return [
        (one, _spec(one, runtime, {**options, "threads": count}, tests))
        for one, runtime in runnable
        for count in threads
    ]


def _spec(
    wanted: LocalArtifact, runtime: WorkingRuntime, options: dict[str, Any], tests: Mapping[str, TestSet]
) -> dict[str, Any]:
    artifact = wanted.artifact
    answers = provisioning.answers(runtime.name)
    golden = artifact.golden if answers else None
    return {
        "name": artifact.name,
        "sha256": artifact.content.sha256,
        "suffix": Path(artifact.content.file).suffix,
        "companions": [(bundle.location(artifact, ref), ref.sha256) for ref in artifact.companions],
        "runtime": runtime.name,
        "runtime_folder": runtime.folder,
        "options": {**options, **wanted.feeding.options},
        "golden": golden and _golden_spec(golden, options["precision"]),
        "test": _test_spec(artifact.name, runtime, tests[artifact.name].test) if tests and answers else None,
    }


# Allowed where the runtime may compute a file as it likes: bfloat16 keeps 8 bits.
_FAST_RELATIVE_ERROR = 0.1


def _golden_spec(golden: Golden, precision: ComputeIn) -> dict[str, Any]:
    least = _FAST_RELATIVE_ERROR if precision == "fast" else 0.0
    references = golden.reference or (None,) * len(golden.expected)
    each = zip(golden.expected, references, golden.max_relative_error, strict=True)
    return {
        "count": golden.count,
        "inputs": [one.sha256 for one in golden.inputs],
        # Without any, the inputs are only fed.
        "outputs": [
            {"expected": own.sha256, "reference": given and given.sha256, "max_relative_error": max(allowed, least)}
            for own, given, allowed in each
        ],
    }


def _test_spec(name: str, runtime: WorkingRuntime, test: AccuracyTest) -> dict[str, Any]:
    """Raises UserError for what a phone's page cannot do: it has no arrays to condense answers with."""
    reduction = test.reduction
    if "-web" in runtime.name and reduction["kind"] != "classes":
        if not test.labels_base64 or reduction["output"]:
            raise UserError(
                name, f"a page in a phone's browser ({runtime.name}) is scored on one class an image only",
                "Score it on a board or on this machine, or leave --accuracy out",
            )  # fmt: skip
        reduction = {"kind": "classes"}
    return {"pieces": test.pieces, "reduction": reduction, "pixels": test.pixels}


def _start(
    link: Connection,
    job: StoredJob,
    wanted: Sequence[LocalArtifact],
    tests: Mapping[str, TestSet],
    meter: str,
    wait: bool,
    progress: Progress,
) -> None:
    """Send the files that the device lacks, and start the job unless it is already running or has ended."""
    request = job.request
    names = {artifact.name for artifact in request.artifacts}
    files = {
        ref.sha256: one.path(ref)
        for one in wanted
        if one.artifact.name in names
        for ref in bundle.files_of(one.artifact)
    }
    for name in names & tests.keys():
        files |= tests[name].files
    link.send(files)
    try:
        plan = msgspec.to_builtins(request.plan)
        spec = {"id": request.id, "plan": plan, "meter": meter, "artifacts": request.specs, "owner": _owner()}
        is_new = link.start(spec, wait)
    except AgentError:
        job.close()  # refused: nothing was started that could be resumed
        raise
    if is_new and job.lines:
        progress.say(f"{request.target.name} no longer has the job; it starts again")
        job.forget_lines()


def _owner() -> str:
    """Shown to others who wait for the device."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
