"""A worker process: tasks as JSON lines on stdin, JSON lines back, the last one of each task `{"done": true}`.

    python -m exporters.workers.worker convert|run|race|fold|inspect|look|look-at|ask PLUGIN [LIFELINE]

Native libraries print to file descriptor 1; so it is kept for the answers under another number and then pointed at
stderr, which the parent sends to a log file.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

import exporters
from edgebench.errors import UserError
from edgebench.schema.bundle import TensorSpec, raw
from edgebench.schema.inspection import Looked
from edgebench.schema.preprocessing import Preprocessing
from exporters.inspect import Look, look
from exporters.sources import foreign_kinds
from exporters.sources.facts import Facts
from exporters.sources.foreign import ASKED_TWICE, Foreign, ForeignRun
from exporters.sources.onnx_file import inspect
from exporters.workers import answering
from exporters.workers.answering import Run

RACE_TURN = 5
# Images that a file for any number is shown at once, and how far its answers may be off for it, relative: sums may be
# added up in another order.
TOGETHER = 3
LARGEST_ERROR_TOGETHER = 1e-4


class Ran(msgspec.Struct, frozen=True):
    """repeat_error: how far the answers to the first images were off, relative, when they came a second time."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str
    repeat_error: float = 0.0


class Fold(msgspec.Struct, frozen=True):
    """Put the preprocessing into a file."""

    artifact: str
    out: str
    preprocessing: Preprocessing


class Inspect(msgspec.Struct, frozen=True):
    """Look into an .onnx file. input_shape: (channels, height, width), or () if the user did not say.

    sized: .onnx to write with these sizes, if the file leaves them open.
    """

    artifact: str
    input_shape: tuple[int, ...]
    sized: str


class Race(msgspec.Struct, frozen=True):
    """Time these files against one another, for about so many seconds each."""

    artifacts: tuple[str, ...]
    seconds: float


class Failure(msgspec.Struct, frozen=True):
    """user: whether where, seen and remedy are those of a UserError; else `seen` is the exception's text."""

    user: bool
    where: str
    seen: str
    remedy: str


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the answer: exactly one of these."""

    made: exporters.Made | None = None
    ran: Ran | None = None
    facts: Facts | None = None
    folded: str = ""
    looked: Looked | None = None
    latencies_s: tuple[float, ...] = ()
    failed: Failure | None = None
    done: bool = False


def end_with_parent(lifeline: int) -> None:
    """A parent that is killed cannot end its workers, and native code that computes for minutes reads no pipe: so the
    kernel sends SIGIO, which ends a process that does not handle it, when the other end of this one is closed.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        os._exit(1)  # it was closed before


def main(action: str, plugin: str, lifeline: str = "") -> int:
    if lifeline:
        end_with_parent(int(lifeline))
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def answer(line: Line) -> None:
        answers.write(msgspec.json.encode(line) + b"\n")

    try:
        exporter = exporters.load(plugin)
        if action == "convert":
            exporter.warm()  # while the parent still prepares the job
        for task in sys.stdin.buffer:
            for line in perform(action, exporter, task):
                answer(line)
            answer(Line(done=True))
    except UserError as error:
        answer(Line(failed=Failure(True, error.where, error.seen, error.remedy)))
        return 1
    except Exception as error:  # the parent says whose fault it is; the log has the traceback
        import traceback

        traceback.print_exc()
        answer(Line(failed=Failure(False, type(error).__name__, _first_words(error), "")))
        return 1
    return 0


def _first_words(error: Exception) -> str:
    """The first line; one that announces another ("Error(s) in loading state_dict:") with what it announces."""
    first, *others = str(error).strip().splitlines() or [""]
    return f"{first} {others[0].strip()}"[:300] if first.endswith(":") and others else first[:300]


def perform(action: str, exporter: exporters.Exporter, task: bytes) -> Iterator[Line]:
    if action == "convert":
        for made in exporter.convert(msgspec.json.decode(task, type=exporters.Job)):
            yield Line(made=made)
    elif action == "race":
        yield Line(latencies_s=race(exporter, msgspec.json.decode(task, type=Race)))
    elif action == "look":
        yield Line(looked=look(msgspec.json.decode(task, type=Look)))
    elif action == "inspect":
        file = msgspec.json.decode(task, type=Inspect)
        yield Line(facts=inspect(Path(file.artifact), exporter.open_artifact, file.input_shape, Path(file.sized)))
    elif action == "look-at":
        yield Line(facts=foreign_kinds.look(msgspec.json.decode(task, type=Foreign)))
    elif action == "ask":
        yield Line(ran=Ran((), (), "", foreign_kinds.run(msgspec.json.decode(task, type=ForeignRun))))
    elif action == "fold":
        fold = msgspec.json.decode(task, type=Fold)
        yield Line(folded=exporter.fold(Path(fold.artifact), Path(fold.out), fold.preprocessing))
    else:
        yield Line(ran=run(exporter, msgspec.json.decode(task, type=Run)))


def run(exporter: exporters.Exporter, task: Run) -> Ran:
    opened = exporter.open_artifact(Path(task.artifact))
    inputs = tuple(raw(spec) for spec in opened.inputs) if task.folded else opened.inputs
    off = 0.0
    if task.images:
        import numpy as np

        from edgebench.schema.tensors import each_batch, repeat_error

        found = answering.answers(exporter, opened, inputs[0], task)
        again = next(each_batch(Path(task.images), task.preprocessing, inputs[0], ASKED_TWICE))
        if task.any_batch:
            _refuse_other_answers(opened, again[:TOGETHER], found[:TOGETHER], task.artifact)
        off = repeat_error(answering.alone(opened, again), found[:ASKED_TWICE])
        np.save(task.answers, found, allow_pickle=False)
    return Ran(inputs, opened.outputs, opened.runtime, off)


def _refuse_other_answers(opened: exporters.Opened, images: Any, one_by_one: Any, artifact: str) -> None:
    """Raises UserError if several images at once are not answered as they were one after the other."""
    from edgebench.schema.tensors import from_stored, relative_error

    assert opened.run_many is not None
    try:
        together = from_stored(opened.run_many(images), opened.outputs[0])
        error = relative_error(together, one_by_one) if together.shape == one_by_one.shape else math.inf
    except Exception as refusal:  # each runtime has its own
        error, why = math.inf, f" ({str(refusal).strip().splitlines()[0][:200]})"
    else:
        why = ""
    if not error <= LARGEST_ERROR_TOGETHER:
        raise UserError(
            "--dynamic-batch",
            f"{Path(artifact).name} does not answer to {len(images)} images at once as to one after the other{why}",
            "Leave the option out, or name other formats; a network that was exported for one image stays so",
        )


def race(exporter: exporters.Exporter, task: Race) -> tuple[float, ...]:
    """Median processor time of one inference of each file, in seconds: one thread, taking turns of a few inferences.

    Not wall time: other programs must not decide which file is kept. The first inference of a turn meets caches that
    the others have filled, and is not counted.
    """
    opened = [exporter.open_artifact(Path(artifact)) for artifact in task.artifacts]
    inputs = [random_input(one.inputs[0]) for one in opened]
    times_s: list[list[float]] = [[] for _ in opened]
    started = time.perf_counter()
    while time.perf_counter() - started < task.seconds * len(opened):
        for one, image, mine in zip(opened, inputs, times_s, strict=True):
            one.run(image)
            for _ in range(RACE_TURN):
                before = time.thread_time()
                one.run(image)
                mine.append(time.thread_time() - before)
    return tuple(statistics.median(mine) for mine in times_s)


def random_input(spec: TensorSpec) -> Any:
    import numpy as np

    random = np.random.default_rng(0)
    if spec.dtype.startswith("float"):
        return random.standard_normal(spec.shape).astype(spec.dtype)
    limits = np.iinfo(spec.dtype)
    return random.integers(limits.min, limits.max, spec.shape, spec.dtype, endpoint=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
