"""One job: the whole measurement on the device, top to bottom.

    golden check ─ memory pass ─ gate ─ warm-up ─ rounds ─ energy windows ─ test set ─ layers
    (each artifact: wrong or broken ones end here)  (A B C, C A B, ... until precise or out of budget;
                                                     in fresh processes every few rounds, if the plan says so)

Runs detached from whoever started it. Everything it learns goes to the journal at once; it keeps nothing else. What a
line carries has the names that it has in a record (edgebench/schema/record.py).
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

from . import PROTOCOL, golden
from .accuracy import measure_accuracy
from .artifact_run import ArtifactRun, Stopped, survives
from .device import MACHINE, device_of, lasting_facts
from .energy import measure_energy
from .gate import Condition, gate
from .journal import Journal
from .latency import measure_latency, measure_one_by_one
from .layers import measure_layers
from .peaks import measure_peaks
from .process import WorkerFailed
from .store import FULL, Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .device import Device

    Plan = Mapping[str, Any]

RESERVE_BYTES = 1 << 16


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
            reserve.unlink()  # makes room to say why
            print(store.full(error, 0), file=sys.stderr, flush=True)
        raise


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
        artifacts = [one for one in artifacts if survives(one, journal, check, one, plan, journal, store)]
        artifacts = [one for one in artifacts if survives(one, journal, measure_memory, one, plan, journal)]
        if plan["sustained"]:
            status = measure_one_by_one(artifacts, start, plan, journal, store, device)
        else:
            gate(plan, start, journal, device)
            status = measure_latency(artifacts, plan, journal, store, device)
        measure_energy(artifacts, plan, journal, survives, device, HostWindows(job, folder))
        measure_accuracy(artifacts, plan, journal, store, survives)
        measure_layers(artifacts, plan, journal)
        measure_peaks(artifacts, plan, journal)
    except Stopped:
        status = "stopped"
    finally:
        for artifact in artifacts:
            artifact.close()
    journal.write("facts", when="after", facts=device.momentary_facts())
    journal.write("end", status=status, complete=[one.index for one in artifacts if one.is_done(plan)])
    return status


def _lasting_facts(device: Device, phone: Any, folder: Path) -> dict[str, Any]:
    """As found by the session that started this job, if the job measures the device that the session is on."""
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
    if not expected["outputs"]:
        return
    wanted = [
        {**one, **{name: one[name] and store.checked(one[name]) for name in ("expected", "reference")}}
        for one in expected["outputs"]
    ]
    found = golden.compare(outputs, wanted, expected["count"])
    journal.write("golden", artifact=artifact.index, golden=found)
    for number, (output, one) in enumerate(zip(found["outputs"], wanted), 1):
        if not output["passed"]:
            error = output["relative_error"]
            raise WorkerFailed(
                "wrong",
                "relative error %s %s, allowed %.3g"
                % (
                    "nan" if error is None else "%.3g" % error,
                    "against the exporter's own outputs" + (" (output %d)" % number if len(wanted) > 1 else ""),
                    one["max_relative_error"],
                ),
            )


def measure_memory(artifact: ArtifactRun, plan: Plan, journal: Journal) -> None:
    """The memory pass, in a process of its own: bare runtime, after loading, and while running."""
    timeout_s = plan["worker_timeout_s"]
    artifact.check_content()
    with artifact.start_worker("memory") as worker:
        artifact.import_runtime(worker, timeout_s)
        bare = worker.ask("memory", timeout_s)
        resettable = worker.ask("reset_high_water", timeout_s)
        artifact.load_into(worker, timeout_s)
        loaded = worker.ask("memory", timeout_s)
        worker.ask("reset_high_water", timeout_s)
        worker.time(timeout_s, count=plan["memory_inferences"], block=1)
        running = worker.ask("memory", timeout_s)
    found = {"bare": bare, "loaded": loaded, "running": running, "reset": resettable}
    journal.write("memory", artifact=artifact.index, memory=found)
