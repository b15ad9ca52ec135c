"""One job: the whole measurement on the device, top to bottom.

    golden check ─ memory pass ─ gate ─ warm-up ─ rounds ─ energy windows ─ test set
    (each artifact: wrong or broken ones end here)  (A B C, C A B, ... until precise or out of budget;
                                                     in fresh processes every few rounds, if the plan says so)

Runs detached from whoever started it. Everything it learns goes to the journal at once; it keeps nothing else.
"""

import json
import math
import random
import signal
import sys
import threading
from pathlib import Path

from . import PROTOCOL, golden, load, meters, series
from .accuracy import measure_accuracy
from .device import device_of
from .energy import measure_energy
from .gate import Condition, gate
from .journal import Journal
from .process import WorkerFailed
from .store import FULL, Store
from .subject import Subject
from .watch import NoWatch

MAX_VALUES_PER_ROUND = 20_000
RESERVE_BYTES = 1 << 16
MAX_OUTPUTS_BYTES = 6 << 20
# A single inference is timed alone if it takes at least this many steps of the clock.
MIN_CLOCK_STEPS = 100


def main(arguments):
    folder = Path(arguments[0])
    store = Store(folder.parents[1])
    job = json.loads((folder / "job.json").read_text())
    signal.signal(signal.SIGTERM, lambda *_: STOP_ASKED.set())
    reserve = folder / "reserve"
    reserve.write_bytes(bytes(RESERVE_BYTES))
    try:
        run(job, store, folder, Journal(folder / "journal.jsonl"))
    except OSError as error:
        if error.errno in FULL:
            reserve.unlink()  # the room to say why
            print(store.full(error, 0), file=sys.stderr, flush=True)
        raise


# Looked at between steps: an exception out of a signal handler could tear a journal line in two.
STOP_ASKED = threading.Event()


class Stopped(Exception):
    """The host asked the job to end."""


def run(job, store, folder, journal, device=None):
    """Measure every artifact of a job. Always ends with an `end` line unless the process is killed.

    device: one that starts workers of its own; by default this machine, or what the job's runtime brings.
    Returns the status.
    """
    plan = job["plan"]
    journal.write("job", id=job["id"], protocol=PROTOCOL, python=sys.version.split()[0])
    subjects = [Subject(index, spec, store, folder) for index, spec in enumerate(job["artifacts"])]
    if device is None:
        device = device_of(subjects, folder)
    else:
        for subject in subjects:
            subject.start_process = device.start_worker
    known = {
        "meters": meters.probe(device.has_meter, device.phone),
        **device.static_facts(),
        **device.momentary_facts(),
    }
    journal.write("facts", when="before", facts=known)
    start = Condition(device)
    status = "done"
    try:
        subjects = [s for s in subjects if _survives(s, journal, check, s, plan, journal, store)]
        subjects = [s for s in subjects if _survives(s, journal, measure_memory, s, plan, journal)]
        if plan["sustained"]:
            status = measure_one_by_one(subjects, start, plan, journal, store, device)
        else:
            gate(plan, start, journal, device)
            status = measure_latency(subjects, plan, journal, store, device)
        measure_energy(subjects, plan, journal, _survives, device, HostMeter(job, folder))
        measure_accuracy(subjects, plan, journal, store, _survives)
    except Stopped:
        status = "stopped"
    finally:
        for subject in subjects:
            subject.close()
    journal.write("facts", when="after", facts=device.momentary_facts())
    journal.write("end", status=status)
    return status


class HostMeter:
    """A meter that the host reads while this job makes windows: a file says when it has seen enough."""

    def __init__(self, job, folder):
        self.watches = bool(job.get("meter"))
        self._enough = folder / "enough"

    def has_enough(self):
        return not self.watches or self._enough.exists()


def check(subject, plan, journal, store):
    """Load the artifact and let it answer the golden inputs. One that answers wrongly is never timed."""
    spec = subject.spec
    runtime, loaded = subject.load(plan)
    journal.write("loaded", artifact=subject.index, runtime=spec["runtime"], runtime_facts=runtime, **loaded)
    expected = spec.get("golden")
    if not expected:
        return
    answer = subject.answer_golden(plan, store)
    files = store.checked(expected["expected"]), store.checked(expected["reference"])
    compared = golden.compare(answer["outputs"], *files, expected["count"])
    passed = compared["relative_error"] <= expected["max_relative_error"]  # False for a NaN as well
    # Of a detector they are megabytes: beyond what the host takes in a line they are not kept. They were compared.
    kept = answer["outputs"] if len(answer["outputs"]) <= MAX_OUTPUTS_BYTES else ""
    journal.write("golden", artifact=subject.index, passed=passed, outputs=kept, **_finite(compared))
    if not passed:
        raise WorkerFailed(
            "wrong",
            "relative error %.3g against the exporter's own outputs, allowed %.3g"
            % (compared["relative_error"], expected["max_relative_error"]),
        )


def measure_memory(subject, plan, journal):
    """The memory pass, in a process of its own: bare runtime, after loading, and while running."""
    timeout_s = plan["worker_timeout_s"]
    subject.check_content()
    with subject.start_worker("memory") as worker:
        subject.import_runtime(worker, timeout_s)
        bare = worker.ask("memory", timeout_s)
        resettable = worker.ask("reset_high_water", timeout_s)
        worker.ask("load", timeout_s, path=str(subject.path), options=subject.spec["options"])
        loaded = worker.ask("memory", timeout_s)
        worker.ask("reset_high_water", timeout_s)
        worker.time(timeout_s, count=plan["memory_inferences"], block=1)
        running = worker.ask("memory", timeout_s)
    journal.write("memory", artifact=subject.index, bare=bare, loaded=loaded, running=running, reset=resettable)


def warm_up(subject, plan, journal, device):
    """Run until the medians of short windows are stationary, or the budget ends; all of it is kept apart.

    Then for as long again: what noise hides of a decay that looks level, a share s of it, is a share s * s by then.
    """
    spent_s = first_look(subject, plan, device)
    medians, stationary = [], False
    while not stationary and spent_s < plan["warmup_max_s"]:
        spent_s += run_window(subject, plan, journal, device)
        medians.append(subject.typical_ns)
        stationary = series.is_stationary(medians)
    journal.write("warm", artifact=subject.index, stationary=stationary, windows=len(medians), spent_s=spent_s)
    # A device that does not settle is not waited for any longer: its record is suspect in any case.
    subject.warmup_s = 2 * spent_s if stationary else 0.0
    stay_warm(subject, plan, journal, device, subject.warmup_s - spent_s)


def first_look(subject, plan, device):
    """How long an inference takes, more or less; over more and more of them until the clock can tell."""
    step_ns = device.clock_step_ns()
    block, spent_s = 1, 0.0
    while True:
        first, _ = _time(subject, plan, count=1, block=block)
        spent_s += first["sum_ns"] / 1e9
        if first["sum_ns"] >= 10 * step_ns or block >= MAX_VALUES_PER_ROUND:
            subject.typical_ns = max(first["sum_ns"], step_ns) / block
            return spent_s
        block *= 10


def renew(subject, plan, journal, store, device):
    """Go on in a fresh process, warmed up for as long as the first one was."""
    subject.close()
    subject.load(plan)
    if subject.spec.get("golden"):
        subject.answer_golden(plan, store)
    stay_warm(subject, plan, journal, device, subject.warmup_s)


def stay_warm(subject, plan, journal, device, seconds):
    spent_s = 0.0
    while spent_s < seconds:
        spent_s += run_window(subject, plan, journal, device)


def run_window(subject, plan, journal, device):
    """Short, and kept apart from the rounds; returns the seconds that it took."""
    most = min(MAX_VALUES_PER_ROUND, subject.values_max)
    seconds, step_ns = plan["warmup_window_s"], device.clock_step_ns()
    block, count = block_and_count(subject.typical_ns, seconds, step_ns, plan["duty_hz"], most)
    timed, values = _time(subject, plan, count, block)
    subject.typical_ns = max(timed["median_ns"], step_ns) / block
    journal.write("warmup", values, artifact=subject.index, block=block, start_ns=timed["start_ns"])
    return timed["duration_ns"] / 1e9


def measure_one_by_one(subjects, start, plan, journal, store, device):
    """Each artifact alone, from the condition that the device started in. Returns the status."""
    statuses = []
    for subject in list(subjects):
        gate(plan, start, journal, device, [subject])
        alone = [subject]
        statuses.append(measure_latency(alone, plan, journal, store, device))
        if not alone:
            subjects.remove(subject)
    return next((status for status in statuses if status != "done"), "done")


def measure_latency(subjects, plan, journal, store, device):
    """Warm up, then time in rounds; those that break leave `subjects`. Returns the status."""
    subjects[:] = [s for s in subjects if _survives(s, journal, warm_up, s, plan, journal, device)]
    before = load.processor_seconds(subjects, device)
    with device.watch() if plan["sampling"] else NoWatch() as watch:
        status = measure_rounds(subjects, plan, journal, store, device, watch)
    load.journal_load(before, subjects, journal, device)
    return status


def measure_rounds(subjects, plan, journal, store, device, watch):
    """Rounds in random order over the artifacts, until each is precise or the budget ends. Returns the status."""
    order = random.Random(plan["seed"])
    number = 0
    while subjects and not all(subject.is_done(plan) for subject in subjects):
        if all(subject.seconds >= plan["seconds_max"] for subject in subjects):
            return "budget"
        if number and plan["rounds_per_process"] and number % plan["rounds_per_process"] == 0:
            for subject in list(subjects):
                if not _survives(subject, journal, renew, subject, plan, journal, store, device):
                    subjects.remove(subject)
        for subject in order.sample(subjects, len(subjects)):
            if not _survives(subject, journal, measure_round, subject, number, plan, journal, device, watch):
                subjects.remove(subject)
        number += 1
    return "done"


def measure_round(subject, number, plan, journal, device, watch):
    most = min(plan["round_values_max"], subject.values_max)
    block, count = block_and_count(subject.typical_ns, plan["round_s"], device.clock_step_ns(), plan["duty_hz"], most)
    watch.begin()
    count = max(count, math.ceil(plan["window_inferences_min"] / block))
    timed, values = _time(subject, plan, count, block, plan["window_s_min"])
    subject.round_medians.append(timed["median_ns"] / block)
    subject.values += timed["settled"]
    subject.seconds += timed["duration_ns"] / 1e9
    step_ns = device.clock_step_ns()
    # Too short for the clock after all: longer blocks from now on.
    if timed["median_ns"] < MIN_CLOCK_STEPS / 2 * step_ns:
        subject.typical_ns = max(timed["median_ns"], step_ns) / block
    journal.write(
        "round",
        values,
        artifact=subject.index,
        round=number,
        block=block,
        start_ns=timed["start_ns"],
        duration_ns=timed["duration_ns"],
        missed=timed["missed"],
        **watch.take(),
    )


def block_and_count(typical_ns, seconds, clock_step_ns, duty_hz=None, most=MAX_VALUES_PER_ROUND):
    """How many inferences a value covers, and how many values, at most so many, fill `seconds`.

    A block above 1 only where one inference is too short for the clock, or a round would hold too many of them. With a
    pace it is each inference that counts.
    """
    if duty_hz:
        return 1, max(2, round(seconds * duty_hz))
    shortest_ns = max(MIN_CLOCK_STEPS * clock_step_ns, seconds * 1e9 / most)
    block = max(1, math.ceil(shortest_ns / typical_ns))
    count = math.ceil(seconds * 1e9 / (typical_ns * block))
    return block, min(max(count, 1), most)


def _time(subject, plan, count, block, least_s=0.0):
    if STOP_ASKED.is_set():
        raise Stopped
    return subject.worker.time(plan["worker_timeout_s"], count=count, block=block, least_s=least_s)


def _survives(subject, journal, step, *arguments):
    """Take one step with one artifact; an artifact that breaks is journalled and leaves the job, not the agent."""
    if STOP_ASKED.is_set():
        raise Stopped
    try:
        step(*arguments)
    except WorkerFailed as failure:
        subject.close()
        journal.write(
            "failed",
            artifact=subject.index,
            stage=step.__name__,
            kind=failure.kind,
            reason=failure.reason,
            signal=failure.signal,
        )
        return False
    return True


def _finite(compared):
    """JSON has no NaN: leave out what is none."""
    return {name: value for name, value in compared.items() if math.isfinite(value)}
