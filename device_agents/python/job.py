"""One job: the whole measurement on the device, top to bottom.

    golden check ─ memory pass ─ gate ─ warm-up ─ rounds ─ energy windows ─ test set
    (each artifact: wrong or broken ones end here)  (A B C, C A B, ... until precise or out of budget;
                                                     in fresh processes every few rounds, if the plan says so)

Runs detached from whoever started it. Everything it learns goes to the journal at once; it keeps nothing else. What a
line carries has the names that it has in a record (edgebench/schema/record.py).
"""

from __future__ import annotations

import json
import math
import random
import signal
import sys
import threading
from pathlib import Path

from . import PROTOCOL, golden, load, series
from .accuracy import measure_accuracy
from .artifact_run import ArtifactRun
from .device import MACHINE, device_of, lasting_facts
from .energy import measure_energy
from .gate import Condition, gate
from .journal import Journal
from .process import WorkerFailed
from .store import FULL, Store
from .watch import NoWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .device import Device
    from .watch import RoundWatch

    Plan = Mapping[str, Any]

MAX_VALUES_PER_ROUND = 20_000
RESERVE_BYTES = 1 << 16
MAX_OUTPUTS_BYTES = 6 << 20
# A single inference is timed alone if it takes at least this many steps of the clock.
MIN_CLOCK_STEPS = 100


def main(arguments: list[str]) -> None:
    folder = Path(arguments[0])
    store = Store(folder.parents[1])
    job = json.loads((folder / "job.json").read_text())
    # Looked at between steps: an exception out of a signal handler could tear a journal line in two.
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    reserve = folder / "reserve"
    reserve.write_bytes(bytes(RESERVE_BYTES))
    try:
        run(job, store, folder, Journal(folder / "journal.jsonl"), stop)
    except OSError as error:
        if error.errno in FULL:
            reserve.unlink()  # the room to say why
            print(store.full(error, 0), file=sys.stderr, flush=True)
        raise


class Stopped(Exception):
    """The host asked the job to end."""


def run(
    job: dict[str, Any], store: Store, folder: Path, journal: Journal, stop: threading.Event, phone: Any = None
) -> str:
    """Measure every artifact of a job. Always ends with an `end` line unless the process is killed.

    stop: set by whoever asks the job to end. phone: a device that starts workers of its own; without it, this machine
    or the one that the job's runtime brings. Returns the status.
    """
    plan = job["plan"]
    journal.write("job", id=job["id"], protocol=PROTOCOL, python=sys.version.split()[0])
    artifacts = [ArtifactRun(index, spec, store, folder, stop.is_set) for index, spec in enumerate(job["artifacts"])]
    if phone is not None:
        for artifact in artifacts:
            artifact.start_process = phone.start_worker
    device: Device = phone if phone is not None else device_of(artifacts, folder)
    journal.write("facts", when="before", facts={**_lasting_facts(device, phone, folder), **device.momentary_facts()})
    start = Condition(device)
    status = "done"
    try:
        artifacts = [one for one in artifacts if _survives(one, journal, check, one, plan, journal, store)]
        artifacts = [one for one in artifacts if _survives(one, journal, measure_memory, one, plan, journal)]
        if plan["sustained"]:
            status = measure_one_by_one(artifacts, start, plan, journal, store, device)
        else:
            gate(plan, start, journal, device)
            status = measure_latency(artifacts, plan, journal, store, device)
        measure_energy(artifacts, plan, journal, _survives, device, HostWindows(job, folder))
        measure_accuracy(artifacts, plan, journal, store, _survives)
    except Stopped:
        status = "stopped"
    finally:
        for artifact in artifacts:
            artifact.close()
    journal.write("facts", when="after", facts=device.momentary_facts())
    journal.write("end", status=status, complete=[one.index for one in artifacts if one.is_done(plan)])
    return status


def _lasting_facts(device: Device, phone: Any, folder: Path) -> dict[str, Any]:
    """As the session that started this job found them, if it is of the same device that it speaks."""
    found = folder / "facts.json"
    if found.exists() and (device is MACHINE or device is phone):
        known: dict[str, Any] = json.loads(found.read_text())
        return known
    return lasting_facts(device)


class HostWindows:
    """Energy windows for a meter that the host reads: a file says when it has seen enough of them."""

    def __init__(self, job: Mapping[str, Any], folder: Path) -> None:
        self.watches = bool(job.get("meter"))
        self._enough = folder / "enough"

    def has_enough(self) -> bool:
        return not self.watches or self._enough.exists()


def check(artifact: ArtifactRun, plan: Plan, journal: Journal, store: Store) -> None:
    """Load the artifact and let it answer the golden inputs. One that answers wrongly is never timed."""
    journal.write("loaded", artifact=artifact.index, loaded=artifact.load(plan))
    expected = artifact.spec.get("golden")
    if not expected:
        return
    outputs = artifact.answer_golden(plan, store)
    files = store.checked(expected["expected"]), store.checked(expected["reference"])
    compared = golden.compare(outputs, *files, expected["count"])
    passed = compared["relative_error"] <= expected["max_relative_error"]  # False for a NaN as well
    # Those of a detector are megabytes: beyond what the host takes in a line they are not kept. They were compared.
    kept = outputs if len(outputs) <= MAX_OUTPUTS_BYTES else ""
    found = {"passed": passed, "count": expected["count"], "outputs_base64": kept, **_finite(compared)}
    journal.write("golden", artifact=artifact.index, golden=found)
    if not passed:
        raise WorkerFailed(
            "wrong",
            "relative error %.3g against the exporter's own outputs, allowed %.3g"
            % (compared["relative_error"], expected["max_relative_error"]),
        )


def measure_memory(artifact: ArtifactRun, plan: Plan, journal: Journal) -> None:
    """The memory pass, in a process of its own: bare runtime, after loading, and while running."""
    timeout_s = plan["worker_timeout_s"]
    artifact.check_content()
    with artifact.start_worker("memory") as worker:
        artifact.import_runtime(worker, timeout_s)
        bare = worker.ask("memory", timeout_s)
        resettable = worker.ask("reset_high_water", timeout_s)
        worker.ask("load", timeout_s, path=str(artifact.path), options=artifact.spec["options"])
        loaded = worker.ask("memory", timeout_s)
        worker.ask("reset_high_water", timeout_s)
        worker.time(timeout_s, count=plan["memory_inferences"], block=1)
        running = worker.ask("memory", timeout_s)
    found = {"bare": bare, "loaded": loaded, "running": running, "reset": resettable}
    journal.write("memory", artifact=artifact.index, memory=found)


def warm_up(artifact: ArtifactRun, plan: Plan, journal: Journal, device: Device) -> None:
    """Run until the medians of short windows are stationary, or the budget ends; all of it is kept apart.

    Then for as long again: what noise hides of a decay that looks level, a share s of it, is a share s * s by then.
    """
    spent_s = first_look(artifact, plan, device)
    medians, stationary = [], False
    while not stationary and spent_s < plan["warmup_max_s"]:
        spent_s += run_window(artifact, plan, journal, device)
        medians.append(artifact.typical_ns)
        stationary = series.is_stationary(medians)
    journal.write("warm", artifact=artifact.index, stationary=stationary, windows=len(medians), spent_s=spent_s)
    # A device that does not settle is not waited for any longer: its record is suspect in any case.
    artifact.warmup_s = 2 * spent_s if stationary else 0.0
    stay_warm(artifact, plan, journal, device, artifact.warmup_s - spent_s)


def first_look(artifact: ArtifactRun, plan: Plan, device: Device) -> float:
    """How long an inference takes, more or less; over more and more of them until the clock can tell."""
    step_ns = device.clock_step_ns()
    block, spent_s = 1, 0.0
    while True:
        first, _ = _time(artifact, plan, count=1, block=block)
        spent_s += first["sum_ns"] / 1e9
        if first["sum_ns"] >= 10 * step_ns or block >= MAX_VALUES_PER_ROUND:
            artifact.typical_ns = max(first["sum_ns"], step_ns) / block
            return float(spent_s)
        block *= 10


def renew(artifact: ArtifactRun, plan: Plan, journal: Journal, store: Store, device: Device) -> None:
    """Go on in a fresh process, warmed up for as long as the first one was."""
    artifact.close()
    artifact.load(plan)
    if artifact.spec.get("golden"):
        artifact.answer_golden(plan, store)
    stay_warm(artifact, plan, journal, device, artifact.warmup_s)


def stay_warm(artifact: ArtifactRun, plan: Plan, journal: Journal, device: Device, seconds: float) -> None:
    spent_s = 0.0
    while spent_s < seconds:
        spent_s += run_window(artifact, plan, journal, device)


def run_window(artifact: ArtifactRun, plan: Plan, journal: Journal, device: Device) -> float:
    """Short, and kept apart from the rounds; returns the seconds that it took."""
    most = min(MAX_VALUES_PER_ROUND, artifact.values_max)
    seconds, step_ns = plan["warmup_window_s"], device.clock_step_ns()
    block, count = block_and_count(artifact.typical_ns, seconds, step_ns, plan["duty_hz"], most)
    timed, values = _time(artifact, plan, count, block)
    artifact.typical_ns = max(timed["median_ns"], step_ns) / block
    timing = {"start_ns": timed["round"]["start_ns"], "block": block}
    journal.write("warmup", values, artifact=artifact.index, series=timing)
    return seconds_of(timed)


def measure_one_by_one(
    artifacts: list[ArtifactRun], start: Condition, plan: Plan, journal: Journal, store: Store, device: Device
) -> str:
    """Each artifact alone, from the condition that the device started in. Returns the status."""
    statuses = []
    for artifact in list(artifacts):
        gate(plan, start, journal, device, [artifact])
        alone = [artifact]
        statuses.append(measure_latency(alone, plan, journal, store, device))
        if not alone:
            artifacts.remove(artifact)
    return next((status for status in statuses if status != "done"), "done")


def measure_latency(artifacts: list[ArtifactRun], plan: Plan, journal: Journal, store: Store, device: Device) -> str:
    """Warm up, then time in rounds; those that break leave `artifacts`. Returns the status."""
    artifacts[:] = [one for one in artifacts if _survives(one, journal, warm_up, one, plan, journal, device)]
    before = load.processor_seconds(artifacts, device)
    with device.watch() if plan["sampling"] else NoWatch() as watch:
        status = measure_rounds(artifacts, plan, journal, store, device, watch)
    load.journal_load(before, artifacts, journal, device)
    return status


def measure_rounds(
    artifacts: list[ArtifactRun], plan: Plan, journal: Journal, store: Store, device: Device, watch: RoundWatch
) -> str:
    """Rounds in random order over the artifacts, until each is precise or the budget ends. Returns the status."""
    order = random.Random(plan["seed"])
    number = 0
    while artifacts and not all(artifact.is_done(plan) for artifact in artifacts):
        if all(artifact.seconds >= plan["seconds_max"] for artifact in artifacts):
            return "budget"
        if number and plan["rounds_per_process"] and number % plan["rounds_per_process"] == 0:
            for artifact in list(artifacts):
                if not _survives(artifact, journal, renew, artifact, plan, journal, store, device):
                    artifacts.remove(artifact)
        for artifact in order.sample(artifacts, len(artifacts)):
            if not _survives(artifact, journal, measure_round, artifact, number, plan, journal, device, watch):
                artifacts.remove(artifact)
        number += 1
    return "done"


def measure_round(
    artifact: ArtifactRun, number: int, plan: Plan, journal: Journal, device: Device, watch: RoundWatch
) -> None:
    most = min(plan["round_values_max"], artifact.values_max)
    block, count = block_and_count(artifact.typical_ns, plan["round_s"], device.clock_step_ns(), plan["duty_hz"], most)
    watch.begin()
    count = max(count, math.ceil(plan["window_inferences_min"] / block))
    timed, values = _time(artifact, plan, count, block, plan["window_s_min"])
    artifact.round_medians.append(timed["median_ns"] / block)
    artifact.values += timed["settled"]
    artifact.seconds += seconds_of(timed)
    step_ns = device.clock_step_ns()
    # Too short for the clock after all: longer blocks from now on.
    if timed["median_ns"] < MIN_CLOCK_STEPS / 2 * step_ns:
        artifact.typical_ns = max(timed["median_ns"], step_ns) / block
    found = {"number": number, "block": block, **timed["round"], **watch.take()}
    journal.write("round", values, artifact=artifact.index, round=found)


def seconds_of(timed: Mapping[str, Any]) -> float:
    return int(timed["round"]["duration_ns"]) / 1e9


def block_and_count(
    typical_ns: float,
    seconds: float,
    clock_step_ns: int,
    duty_hz: float | None = None,
    most: float = MAX_VALUES_PER_ROUND,
) -> tuple[int, int]:
    """How many inferences a value covers, and how many values, at most so many, fill `seconds`.

    A block above 1 only where one inference is too short for the clock, or a round would hold too many of them. With a
    pace it is each inference that counts.
    """
    if duty_hz:
        return 1, max(2, round(seconds * duty_hz))
    shortest_ns = max(MIN_CLOCK_STEPS * clock_step_ns, seconds * 1e9 / most)
    block = max(1, math.ceil(shortest_ns / typical_ns))
    count = math.ceil(seconds * 1e9 / (typical_ns * block))
    return block, int(min(max(count, 1), most))


def _time(
    artifact: ArtifactRun, plan: Plan, count: int, block: int, least_s: float = 0.0
) -> tuple[dict[str, Any], bytes | bytearray]:
    if artifact.stop_asked():
        raise Stopped
    return artifact.running.time(plan["worker_timeout_s"], count=count, block=block, least_s=least_s)


def _survives(artifact: ArtifactRun, journal: Journal, step: Callable[..., object], *arguments: Any) -> bool:
    """Take one step with one artifact; an artifact that breaks is journalled and leaves the job, not the agent."""
    if artifact.stop_asked():
        raise Stopped
    try:
        step(*arguments)
    except WorkerFailed as failure:
        artifact.close()
        told = {"kind": failure.kind, "reason": failure.reason, "signal": failure.signal or ""}
        outcome = {"status": "failed", "stage": step.__name__, **told}
        journal.write("failed", artifact=artifact.index, outcome=outcome)
        return False
    return True


def _finite(compared: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN and no infinity."""
    return {name: value if math.isfinite(value) else None for name, value in compared.items()}
