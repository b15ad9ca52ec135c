"""A worker process: one task as JSON on stdin, JSON lines back.

    python -m exporters._worker convert|run|inspect PLUGIN

Native libraries print to file descriptor 1; so it is kept for the answers under another number and then pointed at
stderr, which the parent sends to a log file.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import msgspec

import exporters
from edgebench.bundle import TensorSpec
from edgebench.data import Preprocessing
from edgebench.errors import UserError
from exporters._onnx_graph import OnnxFacts, inspect


class Run(msgspec.Struct, frozen=True):
    """Load `artifact` and let it answer.

    images: .npy, uint8 [N, H, W, C] with preprocessing, or float32 [N, C, H, W] without; without any, the artifact is
    only loaded. answers: .npy to write, float32 [N, classes].
    """

    artifact: str
    images: str = ""
    preprocessing: Preprocessing | None = None
    answers: str = ""


class Ran(msgspec.Struct, frozen=True):
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str


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
    facts: OnnxFacts | None = None
    failed: Failure | None = None


def main(action: str, plugin: str) -> int:
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def answer(**line: Any) -> None:
        answers.write(msgspec.json.encode(Line(**line)) + b"\n")

    try:
        exporter = exporters.load(plugin)
        if action == "convert":
            exporter.warm()  # while the parent still prepares the job
            for made in exporter.convert(msgspec.json.decode(sys.stdin.buffer.read(), type=exporters.Job)):
                answer(made=made)
        elif action == "inspect":
            path = Path(msgspec.json.decode(sys.stdin.buffer.read(), type=Run).artifact)
            answer(facts=inspect(path, exporter.open_artifact(path)))
        else:
            answer(ran=run(exporter, msgspec.json.decode(sys.stdin.buffer.read(), type=Run)))
    except UserError as error:
        answer(failed=Failure(True, error.where, error.seen, error.remedy))
        return 1
    except Exception as error:  # the parent says whose fault it is; the log has the traceback
        import traceback

        traceback.print_exc()
        text = str(error).strip().splitlines() or [""]
        answer(failed=Failure(False, type(error).__name__, text[0][:300], ""))
        return 1
    return 0


def run(exporter: exporters.Exporter, task: Run) -> Ran:
    opened = exporter.open_artifact(Path(task.artifact))
    if task.images:
        import numpy as np

        from exporters._parity import from_stored, to_stored

        images = np.load(task.images, mmap_mode="r", allow_pickle=False)
        results = []
        for position in range(len(images)):
            image = images[position : position + 1]
            prepared = task.preprocessing.apply(image) if task.preprocessing else np.array(image)
            stored = opened.run(to_stored(prepared, opened.inputs[0]))
            results.append(from_stored(stored, opened.outputs[0]))
        np.save(task.answers, np.concatenate(results), allow_pickle=False)
    return Ran(opened.inputs, opened.outputs, opened.runtime)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
