"""Start a worker, give it a task, read its replies, and say clearly how it died if it did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

import exporters
from edgebench.errors import UserError
from edgebench.schema.inspection import Looked
from exporters import ConversionJob, IsolatedModel
from exporters.inspect import LookTask
from exporters.sources.isolated import IsolatedRun
from exporters.sources.model_summary import ModelSummary
from exporters.workers.messages import FoldTask, InspectTask, RaceTask, RunResult, RunTask, WorkerReply

Task = ConversionJob | RunTask | RaceTask | LookTask | FoldTask | InspectTask | IsolatedModel | IsolatedRun

# Each is a process that holds its libraries and the file.
MOST_AT_ONCE = 8
ROOT = Path(exporters.__file__).parents[1]


def left_over() -> int:
    """Processors that two running converters leave for the parent, at least one."""
    return max(1, (os.cpu_count() or 1) - 2)


def at_once() -> int:
    """How many files may run at the same time, with one thread each; at least one."""
    return max(1, min(os.cpu_count() or 1, MOST_AT_ONCE))


class Failed(Exception):
    """A worker did not do its task. seen: what happened, in one line. log: the file with its output."""

    def __init__(self, seen: str, log: Path) -> None:
        super().__init__(seen)
        self.seen = seen
        self.log = log


class WorkerPool:
    """Starts processes that keep their logs in `folder`, and can end all that still run (Ctrl-C, or one failed).

    Close it after `warm` or `run`: they leave processes waiting for further tasks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: set[WorkerProcess] = set()
        self._idle: dict[tuple[str, str], list[WorkerProcess]] = defaultdict(list)
        self._lock = threading.Lock()
        self._stopped = False
        self._slots = threading.BoundedSemaphore(at_once())

    def warm(self, plugins: Iterable[str]) -> None:
        """Start their converters before there is a task for them: importing their libraries takes seconds."""
        for plugin in plugins:
            self._idle["convert", plugin].append(self._worker("convert", plugin))

    def close(self) -> None:
        """End the processes that wait for a task."""
        self.dismiss()

    def dismiss(self, but: Container[str] = ()) -> None:
        """End the processes that wait for a task, but keep those of some plugins."""
        for key in [key for key in self._idle if key[1] not in but]:
            for worker in self._idle.pop(key):
                worker.close()

    @contextmanager
    def start(self, action: str, plugin: str, *, keep: bool = False) -> Iterator[WorkerProcess]:
        """A waiting worker, or a new one. keep: it waits for another task afterwards, unless it failed."""
        with self._lock:
            if self._stopped:
                raise Failed("stopped", self._folder)
            idle = self._idle[action, plugin]
            worker = idle.pop() if idle else self._worker(action, plugin)
            self._running.add(worker)
        is_fit = False
        try:
            yield worker
            is_fit = keep
        finally:
            self._running.discard(worker)
            if is_fit:
                idle.append(worker)
            else:
                worker.close()

    def run(self, plugin: str, task: RunTask) -> RunResult:
        """Load one artifact in another process and run it on images, once a processor is free.

        Raises Failed, or UserError for a file that does not accept the images.
        """
        with self._slots:
            try:
                return self._run(plugin, task)
            except Failed:  # perhaps native code crashed on more than one image
                return self._run(plugin, msgspec.structs.replace(task, one_by_one=True))

    def _run(self, plugin: str, task: RunTask) -> RunResult:
        with self.start("run", plugin, keep=True) as worker:
            (line,) = worker.answers(task)
        assert line.ran is not None
        return line.ran

    def race(self, plugin: str, task: RaceTask) -> tuple[float, ...]:
        """The files' median latencies, in seconds."""
        with self.start("race", plugin) as worker:
            (line,) = worker.answers(task)
        return line.latencies_s

    def fold(self, plugin: str, task: FoldTask) -> str:
        """Put the preprocessing into an artifact; returns how that was done."""
        with self.start("fold", plugin) as worker:
            (line,) = worker.answers(task)
        return line.folded

    def inspect(self, task: InspectTask) -> ModelSummary:
        """Check an untrusted .onnx file: if it crashes its reader, only the worker dies."""
        with self.start("inspect", "onnx") as worker:
            (line,) = worker.answers(task)
        assert line.summary is not None
        return line.summary

    def look_at(self, isolated: IsolatedModel) -> ModelSummary:
        """The same for an isolated network."""
        with self.start("look-at", isolated.plugin) as worker:
            (line,) = worker.answers(isolated)
        assert line.summary is not None
        return line.summary

    def look(self, task: LookTask) -> Looked:
        """One step of inspecting an untrusted file."""
        with self.start("look", task.format) as worker:
            (line,) = worker.answers(task)
        assert line.looked is not None
        return line.looked

    def _worker(self, action: str, plugin: str) -> WorkerProcess:
        return WorkerProcess(action, plugin, self._folder / f"{plugin}.log")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for worker in running:
            worker.kill()


class WorkerProcess:
    """A started process. It imports its libraries at once and then waits for the task.

    It holds one end of a pipe, and ends when the other end is closed: if this process is killed, for example.
    """

    def __init__(self, action: str, plugin: str, log: Path) -> None:
        self._log = log
        lifeline, self._lifeline = os.pipe()
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
            "PYTHONIOENCODING": "utf-8",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **_places(log.parent),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(left_over() if action == "ask" else 1)),
            "CUDA_VISIBLE_DEVICES": "",  # converting needs no GPU, and TensorFlow would take all of its memory
        }
        # -P: a file called onnx.py in the user's folder must not be taken for the library.
        command = [sys.executable, "-P", "-m", "exporters.workers.worker", action, plugin, str(lifeline)]
        try:
            with log.open("ab") as stream:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stream,
                    env=environment,
                    pass_fds=(lifeline,),
                )
        except BaseException:  # also Ctrl-C: the pipe must not leak
            os.close(self._lifeline)
            raise
        finally:
            os.close(lifeline)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.wait()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                with suppress(BrokenPipeError):  # it died before it read its task
                    stream.close()

    def answers(self, task: Task) -> Iterator[WorkerReply]:
        """Send the task and yield every reply as it comes. Raises Failed, or the UserError that the worker raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(msgspec.json.encode(task) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; its last reply or its exit status is read below
        for raw in self._process.stdout:
            line = msgspec.json.decode(raw, type=WorkerReply)
            if line.done:
                return
            if line.failed is None:
                yield line
            elif line.failed.user:
                raise UserError(line.failed.where, line.failed.seen, line.failed.remedy)
            else:
                raise Failed(f"{line.failed.where}: {line.failed.seen}", self._log)
        status = self._process.wait()
        if status < 0:
            raise Failed(f"the process was killed by {signal.Signals(-status).name}", self._log)
        if status:
            raise Failed(f"the process ended with status {status}", self._log)
        raise Failed("the process ended without a reply", self._log)


def _places(folder: Path) -> dict[str, str]:
    """Where libraries put their leftovers: torch and TensorFlow in TMPDIR, Keras in a home that has no settings,
    matplotlib, which TensorFlow's libraries import where it is installed, its list of fonts.
    """
    places = {"TMPDIR": str(folder), "MPLCONFIGDIR": str(folder / "matplotlib")}
    if "KERAS_HOME" not in os.environ and not Path("~/.keras").expanduser().exists():
        places["KERAS_HOME"] = str(folder / "keras")
    return places
