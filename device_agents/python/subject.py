"""One artifact of a job, and the worker that holds it."""

import contextlib
import math

from . import runtimes, series
from .process import WorkerProcess


class Subject:
    """What a job knows of an artifact while it measures it."""

    def __init__(self, index, spec, store, folder):
        self.index = index
        self.spec = spec
        self.path = _placed(store, spec)
        self._folder = folder
        self._check = store.check
        runtime = runtimes.module(spec["runtime"])
        self.start_process = getattr(runtime, "start_worker", WorkerProcess)
        self.values_max = getattr(runtime, "VALUES_MAX", math.inf)
        self.worker = None
        self.typical_ns = None
        self.warmup_s = 0.0
        self.round_medians = []
        self.values = 0
        self.seconds = 0.0

    def is_done(self, plan):
        return series.is_enough(self.round_medians, self.values, self.seconds, plan)

    def start_worker(self, purpose):
        spec = self.spec
        environment = {"OMP_NUM_THREADS": str(spec["options"]["threads"])}
        return self.start_process(self._folder / ("worker-%d-%s.stderr" % (self.index, purpose)), environment)

    def import_runtime(self, worker, timeout_s):
        spec = self.spec
        return worker.ask(
            "runtime", timeout_s, name=spec["runtime"], folder=spec["runtime_folder"], options=spec["options"]
        )

    def check_content(self):
        """Raise WorkerFailed unless the files that a worker is about to load are those that were sent.

        Read by the job, before anything is timed; a load is timed with its file in memory, whatever was sent when.
        """
        self._check(self.path, self.spec["sha256"])
        for name, sha256 in self.spec.get("companions") or ():
            self._check(self.path.parent / name, sha256)

    def load(self, plan):
        """Start the worker that is timed; what it says of its runtime, and of loading the artifact."""
        timeout_s = plan["worker_timeout_s"]
        self.check_content()
        self.worker = self.start_worker("latency")
        runtime = self.import_runtime(self.worker, timeout_s)
        loaded = self.worker.ask("load", timeout_s, path=str(self.path), options=self.spec["options"])
        if plan["duty_hz"]:
            self.worker.ask("pace", timeout_s, period_ns=round(1e9 / plan["duty_hz"]))
        return runtime, loaded

    def answer_golden(self, plan, store):
        """The worker's answers to the golden inputs; the last of them stays fed."""
        inputs = str(store.checked(self.spec["golden"]["inputs"]))
        count = self.spec["golden"]["count"]
        return self.worker.ask("golden", plan["worker_timeout_s"], inputs=inputs, count=count)

    def close(self):
        if self.worker:
            self.worker.close()
            self.worker = None


def _placed(store, spec):
    """The artifact under a name with its suffix, as some runtimes look at it; what it refers to lies beside it."""
    if spec.get("companions"):
        return store.lay_out(spec["sha256"], spec["suffix"], spec["companions"])
    blob = store.blob(spec["sha256"])
    path = blob.with_name(blob.name + spec["suffix"])
    with contextlib.suppress(FileExistsError):
        path.symlink_to(blob.name)
    return path
