"""One artifact of a job while it is measured, and the worker that holds it."""

from __future__ import annotations

import contextlib
import math

from . import runtimes, series
from .process import ModelWorkerProcess, WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    from .journal import Notebook
    from .process import ArtifactWorker
    from .store import Store


class Stopped(Exception):
    """The host asked the job to end."""


class ArtifactRun:
    """What a job knows of an artifact while it measures it. worker: None before it is loaded, and once it broke."""

    def __init__(
        self, index: int, spec: dict[str, Any], store: Store, folder: Path, stop_asked: Callable[[], bool]
    ) -> None:
        self.index = index
        self.spec = spec
        self.stop_asked = stop_asked
        self.path = _placed(store, spec)
        self.folder = folder
        self._check, self._checked = store.check, store.checked
        runtime = runtimes.module(spec["runtime"])
        self.start_process: Callable[..., ArtifactWorker] = getattr(runtime, "start_worker", ModelWorkerProcess)
        self.values_max: float = getattr(runtime, "VALUES_MAX", math.inf)
        self.worker: ArtifactWorker | None = None
        self.typical_ns = 0.0
        self.warmup_s = 0.0
        self.round_medians: list[float] = []
        self.values = 0
        self.seconds = 0.0

    def is_done(self, plan: Mapping[str, Any]) -> bool:
        """Whether the plan's stop rule is met."""
        return series.is_enough(self.round_medians, self.values, self.seconds, plan)

    @property
    def running(self) -> ArtifactWorker:
        assert self.worker is not None
        return self.worker

    def start_worker(self, purpose: str) -> ArtifactWorker:
        environment = {"OMP_NUM_THREADS": str(self.spec["options"]["threads"])}
        return self.start_process(self.folder / ("worker-%d-%s.stderr" % (self.index, purpose)), environment)

    def import_runtime(self, worker: ArtifactWorker, timeout_s: float) -> Any:
        spec = self.spec
        return worker.ask(
            "runtime", timeout_s, name=spec["runtime"], folder=spec["runtime_folder"], options=spec["options"]
        )

    def check_content(self) -> None:
        """Raise WorkerFailed unless the files that a worker is about to load are those that were sent.

        The job reads them, before anything is timed: so loading is timed with its file in memory, whenever it was sent.
        """
        self._check(self.path, self.spec["sha256"])
        for name, sha256 in self.spec.get("companions") or ():
            self._check(self.path.parent / name, sha256)

    def load(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Start the worker that is timed; what it says of its runtime and of loading, as records have it."""
        timeout_s = plan["worker_timeout_s"]
        self.check_content()
        self.worker = self.start_worker("latency")
        facts = self.import_runtime(self.worker, timeout_s)
        loaded: dict[str, Any] = self.load_into(self.worker, timeout_s)
        if plan["duty_hz"]:
            self.worker.ask("pace", timeout_s, period_ns=round(1e9 / plan["duty_hz"]))
        return {**loaded, "runtime": {"name": self.spec["runtime"], "facts": facts, **loaded["runtime"]}}

    def load_into(self, worker: ArtifactWorker, timeout_s: float) -> Any:
        """The first inference is of a golden input, if there is one: some networks fail on made-up ones."""
        asked: dict[str, Any] = {"path": str(self.path), "options": self.spec["options"]}
        if self.spec.get("golden"):
            asked["golden"] = [str(self._checked(one)) for one in self.spec["golden"]["inputs"]]
        return worker.ask("load", timeout_s, **asked)

    def answer_golden(self, plan: Mapping[str, Any], store: Store) -> list[tuple[str, str]]:
        """The worker's answers to the golden inputs, as its do_golden gives them; the last of the inputs stays fed."""
        inputs = [str(store.checked(one)) for one in self.spec["golden"]["inputs"]]
        count = self.spec["golden"]["count"]
        answered = self.running.ask("golden", plan["worker_timeout_s"], inputs=inputs, count=count)
        outputs: list[tuple[str, str]] = answered["outputs"]
        return outputs

    def time(
        self, plan: Mapping[str, Any], count: int, block: int, least_s: float = 0.0
    ) -> tuple[dict[str, Any], bytes | bytearray]:
        """What the worker says of its values, and the values. Raises Stopped."""
        if self.stop_asked():
            raise Stopped
        return self.running.time(plan["worker_timeout_s"], count=count, block=block, least_s=least_s)

    def close(self) -> None:
        if self.worker:
            self.worker.close()
            self.worker = None


def survives(artifact: ArtifactRun, journal: Notebook, step: Callable[..., object], *arguments: Any) -> bool:
    """Take one step with one artifact; an artifact that breaks is journalled and leaves the job, not the agent."""
    if artifact.stop_asked():
        raise Stopped
    try:
        step(*arguments)
    except WorkerFailed as failure:
        artifact.close()
        why = {"kind": failure.kind, "reason": failure.reason, "signal": failure.signal or ""}
        outcome = {"status": "failed", "stage": step.__name__, **why}
        journal.write("failed", artifact=artifact.index, outcome=outcome)
        return False
    return True


def _placed(store: Store, spec: Mapping[str, Any]) -> Path:
    """The artifact under a name with its suffix, as some runtimes look at it; what it refers to lies beside it."""
    if spec.get("companions"):
        return store.lay_out(spec["sha256"], spec["suffix"], spec["companions"])
    blob = store.blob(spec["sha256"])
    path = blob.with_name(blob.name + spec["suffix"])
    with contextlib.suppress(FileExistsError):
        path.symlink_to(blob.name)
    return path
