"""How an artifact answers to many images: in batches only where that is the same as one by one. A pretended runtime."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from edgebench.schema.bundle import TensorSpec
from exporters import OpenedArtifact
from exporters.workers import inference, process
from exporters.workers.inference import BATCH, LEAST_BATCHES
from exporters.workers.messages import RunResult, RunTask, WorkerReply
from exporters.workers.process import Failed

COUNT = BATCH * LEAST_BATCHES + 3
INPUT = TensorSpec("input", (1, 1, 2, 2), "float32", "NCHW")
OUTPUT = TensorSpec("logits", (1, 4), "float32", "NC")
GOLDEN = COUNT - 1


class Pretended:
    """Answers with each image's numbers, and keeps what it was asked. `spoil`: what batches do to them."""

    SUFFIX = ".pretended"

    def __init__(self, spoil: Callable[[np.ndarray], np.ndarray] = lambda answers: answers) -> None:
        self.spoil = spoil
        self.alone: list[int] = []
        self.batches: list[int] = []
        self.no_copy: Exception | None = None
        self.opened = OpenedArtifact((INPUT,), (OUTPUT,), "pretended", self._run)

    def _run(self, stored: Sequence[np.ndarray]) -> list[np.ndarray]:
        (image,) = stored
        self.alone.append(int(image.flat[0]))
        return [image.reshape(1, 4)]

    def _run_many(self, stored: Sequence[np.ndarray]) -> list[np.ndarray]:
        (images,) = stored
        self.batches.append(len(images))
        return [self.spoil(images.reshape(-1, 4).copy())]

    def open_for_batches(self, path: Path, out: Path) -> OpenedArtifact | None:
        out.touch()
        if self.no_copy:
            raise self.no_copy
        return dataclasses.replace(self.opened, run_many=self._run_many)


@pytest.fixture
def images(tmp_path: Path) -> np.ndarray:
    numbers = np.arange(COUNT * 4, dtype=np.float32).reshape(COUNT, 1, 2, 2)
    np.save(tmp_path / "images.npy", numbers)
    return numbers


@pytest.fixture
def task(images: np.ndarray, tmp_path: Path) -> RunTask:
    return RunTask("artifact", str(tmp_path / "images.npy"), None, str(tmp_path / "answers.npz"), itself=(0, GOLDEN))


def answers(runtime: Any, task: RunTask) -> np.ndarray:
    (found,) = inference.answers(runtime, runtime.opened, [INPUT], task)
    assert np.array_equal(found, np.load(task.images).reshape(len(found), 4))
    assert sorted(path.name for path in Path(task.answers).parent.iterdir()) == ["images.npy"]
    return found


def test_the_first_batch_and_the_golden_images_are_answered_alone_the_others_together(task: RunTask) -> None:
    runtime = Pretended()
    answers(runtime, task)
    assert runtime.alone == [4 * index for index in (*range(BATCH), GOLDEN)]
    assert runtime.batches == [BATCH] * (LEAST_BATCHES + 1), "the last one is filled up"


def at_one_place(found: np.ndarray) -> np.ndarray:
    found[BATCH - 1, 2] += 1
    return found


def where_a_golden_image_is(found: np.ndarray) -> np.ndarray:
    found[found[:, 0] == 4 * GOLDEN] += 1
    return found


@pytest.mark.parametrize(
    "spoil", [at_one_place, where_a_golden_image_is, lambda found: found[:1], lambda found: found * np.nan]
)
def test_batches_that_are_answered_otherwise_are_not_used(
    spoil: Callable[[np.ndarray], np.ndarray], task: RunTask
) -> None:
    runtime = Pretended(spoil)
    answers(runtime, task)
    assert runtime.batches
    assert runtime.alone[-COUNT:] == [4 * index for index in range(COUNT)]


def test_a_network_that_cannot_have_batches_answers_alone(task: RunTask) -> None:
    runtime = Pretended()
    runtime.no_copy = RuntimeError("reshape to 1x4")
    answers(runtime, task)
    assert len(runtime.alone) == COUNT
    alone = SimpleNamespace(SUFFIX=".pretended", opened=runtime.opened, open_for_batches=lambda *_: None)
    answers(alone, task)


def test_large_images_are_answered_alone(task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Pretended()
    monkeypatch.setattr(inference, "LARGEST_IMAGE", 3)
    answers(runtime, task)
    assert not runtime.batches


def test_a_few_images_and_those_that_must_be_are_answered_alone(task: RunTask, images: np.ndarray) -> None:
    runtime = Pretended()
    answers(runtime, msgspec.structs.replace(task, one_by_one=True))
    np.save(task.images, images[: BATCH * LEAST_BATCHES - 1])
    answers(runtime, msgspec.structs.replace(task, itself=()))
    assert not runtime.batches


def test_a_process_that_batches_kill_is_asked_again_one_by_one(
    task: RunTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunTask] = []

    class Fragile:
        def __init__(self, action: str, plugin: str, log: Path) -> None:
            self.log = log

        def answers(self, task: RunTask) -> Iterator[WorkerReply]:
            asked.append(task)
            if not task.one_by_one:
                raise Failed("the process was killed by SIGSEGV", self.log)
            yield WorkerReply(ran=RunResult((INPUT,), (OUTPUT,), "pretended"))

        def close(self) -> None:
            pass

    monkeypatch.setattr(process, "WorkerProcess", Fragile)
    assert process.WorkerPool(tmp_path).run("onnx", task).runtime == "pretended"
    assert asked == [task, msgspec.structs.replace(task, one_by_one=True)]
