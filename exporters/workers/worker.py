"""A worker process: tasks as JSON lines on stdin, JSON lines back, the last one of each task `{"done": true}`.

    python -m exporters.workers.worker convert|run|race|fold|inspect|look|look-at|ask PLUGIN [LIFELINE]

Whatever native libraries print goes to stderr, which the parent process sends to a log file.
"""

from __future__ import annotations

import fcntl
import math
import os
import select
import statistics
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

import exporters
from device_agents.python.channel import Channel
from edgebench.errors import UserError
from edgebench.schema.bundle import TensorSpec, raw
from exporters import ConversionJob, Exporter, IsolatedModel, OpenedArtifact
from exporters.inspect import LookTask, look
from exporters.sources import isolated
from exporters.sources.isolated import ASKED_TWICE, IsolatedRun
from exporters.sources.onnx_file import inspect
from exporters.workers import inference
from exporters.workers.messages import (
    FoldTask,
    InspectTask,
    RaceTask,
    RunResult,
    RunTask,
    TaskFailure,
    WorkerReply,
)

RACE_TURN = 5
# Images that a file for any number is given at once, and the largest relative error of its answers: sums may be added
# up in another order.
TOGETHER = 3
LARGEST_ERROR_TOGETHER = 1e-4


def end_with_parent(lifeline: int) -> None:
    """End this process when the parent process ends.

    A parent that is killed cannot end its workers, and native code that computes for minutes reads no pipe. So the
    kernel sends SIGIO, which ends a process that does not handle it, when the other end of this pipe is closed.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)  # it was closed before


def main(action: str, plugin: str, lifeline: str = "") -> int:
    if lifeline:
        end_with_parent(int(lifeline))
    warnings.simplefilter("ignore")
    channel = Channel.stdio()

    def reply(line: WorkerReply) -> None:
        channel.send_bytes(msgspec.json.encode(line) + b"\n")

    try:
        exporter = exporters.load(plugin)
        if action == "convert":
            exporter.warm()  # while the parent process still prepares the job
        for task in sys.stdin.buffer:
            for line in perform(action, exporter, task):
                reply(line)
            reply(WorkerReply(done=True))
    except UserError as error:
        reply(WorkerReply(failed=TaskFailure(True, error.where, error.seen, error.remedy)))
        return 1
    except Exception as error:  # of any library: the parent process explains it, and the log has the traceback
        import traceback

        traceback.print_exc()
        reply(WorkerReply(failed=TaskFailure(False, type(error).__name__, _first_words(error), "")))
        return 1
    return 0


def _first_words(error: Exception) -> str:
    """The first line; if that only announces the next ("Error(s) in loading state_dict:"), both."""
    first, *others = str(error).strip().splitlines() or [""]
    return f"{first} {others[0].strip()}"[:300] if first.endswith(":") and others else first[:300]


def perform(action: str, exporter: Exporter, task: bytes) -> Iterator[WorkerReply]:
    if action == "convert":
        for made in exporter.convert(msgspec.json.decode(task, type=ConversionJob)):
            yield WorkerReply(made=made)
    elif action == "race":
        yield WorkerReply(latencies_s=race(exporter, msgspec.json.decode(task, type=RaceTask)))
    elif action == "look":
        yield WorkerReply(looked=look(msgspec.json.decode(task, type=LookTask)))
    elif action == "inspect":
        file = msgspec.json.decode(task, type=InspectTask)
        summary = inspect(Path(file.artifact), exporter.open_artifact, file.shapes, Path(file.sized))
        yield WorkerReply(summary=summary)
    elif action == "look-at":
        yield WorkerReply(summary=isolated.look(msgspec.json.decode(task, type=IsolatedModel)))
    elif action == "ask":
        yield WorkerReply(ran=RunResult((), (), "", isolated.run(msgspec.json.decode(task, type=IsolatedRun))))
    elif action == "fold":
        fold = msgspec.json.decode(task, type=FoldTask)
        yield WorkerReply(folded=exporter.fold(Path(fold.artifact), Path(fold.out), fold.preprocessing))
    else:
        yield WorkerReply(ran=run(exporter, msgspec.json.decode(task, type=RunTask)))


def run(exporter: Exporter, task: RunTask) -> RunResult:
    opened = exporter.open_artifact(Path(task.artifact))
    inputs = tuple(raw(spec) for spec in opened.inputs) if task.folded else task.fed or _as_fed(opened, task.network)
    if task.fed and opened.run_many is not None:
        opened = replace(opened, run=opened.run_many)  # which takes any sizes
    error, outputs = 0.0, opened.outputs
    if task.images:
        from edgebench.schema.tensors import repeat_error
        from exporters.arithmetic import feeds

        found = inference.answers(exporter, opened, inputs, task)
        again = next(feeds.each_batch(Path(task.images), task.preprocessing, task.network, inputs, ASKED_TWICE))
        if task.any_batch:
            first = slice(TOGETHER)
            _refuse_other_answers(opened, feeds.some(again, first), feeds.some(found, first), task.artifact)
        pairs = zip(inference.alone(opened, again, inputs), found, strict=True)
        error = max(repeat_error(repeated, one[:ASKED_TWICE]) for repeated, one in pairs)
        feeds.write(Path(task.answers), found)
        outputs = tuple(_as_answered(spec, one) for spec, one in zip(opened.outputs, found, strict=True))
    return RunResult(inputs, outputs, opened.runtime, error)


def _as_fed(opened: OpenedArtifact, network: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Its inputs, with the network's sizes where it leaves some open, which count as 1."""
    given = {spec.name: spec.shape for spec in network}

    def sized(spec: TensorSpec) -> TensorSpec:
        shape = given.get(spec.name, ())
        fits = len(shape) == len(spec.shape) and all(
            own in (1, size) for own, size in zip(spec.shape, shape, strict=True)
        )
        return msgspec.structs.replace(spec, shape=shape) if fits else spec

    return tuple(map(sized, opened.inputs))


def _as_answered(spec: TensorSpec, answers: Any) -> TensorSpec:
    """With the sizes that it had: files leave many open that follow from the inputs'. answers: [N, ...]."""
    shape = (1, *answers.shape[1:]) if answers.ndim == len(spec.shape) else answers.shape[1:]
    return msgspec.structs.replace(spec, shape=tuple(map(int, shape)))


def _refuse_other_answers(
    opened: OpenedArtifact, images: Sequence[Any], one_by_one: Sequence[Any], artifact: str
) -> None:
    """Raises UserError if the answers to several images at once are not those to one after the other."""
    from edgebench.schema.tensors import from_stored, relative_error

    assert opened.run_many is not None
    try:
        together = [from_stored(one, spec) for one, spec in zip(opened.run_many(images), opened.outputs, strict=True)]
        error = max(
            relative_error(both, single) if both.shape == single.shape else math.inf
            for both, single in zip(together, one_by_one, strict=True)
        )
    except Exception as refusal:  # each runtime raises its own
        error, why = math.inf, f" ({str(refusal).strip().splitlines()[0][:200]})"
    else:
        why = ""
    if not error <= LARGEST_ERROR_TOGETHER:
        raise UserError(
            "--dynamic-batch",
            f"{Path(artifact).name} answers {len(images[0])} images at once differently from one at a time{why}",
            "Omit the option, or name other formats; a network that was exported for one image cannot take several",
        )


def race(exporter: Exporter, task: RaceTask) -> tuple[float, ...]:
    """Median processor time of one inference of each file, in seconds: one thread, taking turns of a few inferences.

    Not wall time: other programs must not decide which file is kept. The first inference of a turn finds the caches
    filled by the other files, and is not counted.
    """
    opened = [exporter.open_artifact(Path(artifact)) for artifact in task.artifacts]
    inputs = [[random_input(spec) for spec in one.inputs] for one in opened]
    times_s: list[list[float]] = [[] for _ in opened]
    started = time.perf_counter()
    while time.perf_counter() - started < task.seconds * len(opened):
        for one, sample, mine in zip(opened, inputs, times_s, strict=True):
            one.run(sample)
            for _ in range(RACE_TURN):
                before = time.thread_time()
                one.run(sample)
                mine.append(time.thread_time() - before)
    return tuple(statistics.median(mine) for mine in times_s)


def random_input(spec: TensorSpec) -> Any:
    import numpy as np

    random = np.random.default_rng(0)
    if spec.dtype.startswith("float"):
        return random.standard_normal(spec.shape).astype(spec.dtype)
    if spec.is_whole:
        return np.zeros(spec.shape, spec.dtype)  # any other number may lie outside a table
    limits = np.iinfo(spec.dtype)
    return random.integers(limits.min, limits.max, spec.shape, spec.dtype, endpoint=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
