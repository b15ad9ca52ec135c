"""What the parent answers: in this process if it is a checkpoint, in a worker if it is anyone else's network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import BadFile, UserError
from edgebench.networks import data
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint
from edgebench.schema import tensors as parity
from exporters.pipeline import golden
from exporters.pipeline import preprocessing as _preprocessing
from exporters.pipeline.criterion import criterion
from exporters.pipeline.evidence import Evidence, Samples, keep
from exporters.sources.foreign import ASKED_TWICE, Foreign, ForeignRun
from exporters.workers import process
from exporters.workers.answering import Run
from exporters.workers.process import Failed, Worker, Workers
from exporters.workers.worker import Ran

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array
    from edgebench.schema.preprocessing import Preprocessing
    from exporters.pipeline.material import Material
    from exporters.sources.parent import Parent

    Answer = Callable[[Path, Preprocessing | None], Float32Array]
    Ask = Callable[[Path, Preprocessing | None], tuple[Float32Array, float]]

RANDOM_SEED = 0
RANKING_IMAGES = 256
# By how many validation images INT8 files are chosen: as many as one file answers with so much work, but no fewer than
# these. Differences between candidates are drowned by chance long before: two that disagree on one image in a hundred
# are known to 0.4 points by a thousand, and to 0.2 by five thousand.
CHOOSING_MACS = 70_000_000_000
LEAST_TO_CHOOSE_BY = 1000
# Relative: what threads and batches of other sizes do to sums stays far below, dropout far above.
LARGEST_REPEAT_ERROR = 1e-3


def evidence(
    parent: Parent, material: Material | None, folder: Path, workers: Workers, *, by_all: bool = False
) -> Evidence:
    """Let the parent answer to the images of its data set; files go to `folder`.

    by_all: INT8 files are judged by the whole validation split. Raises UserError if the parent answers differently each
    time, or wants its images prepared otherwise.
    """
    with _asking(parent, workers) as answer:
        if material is None:
            return _random_evidence(parent, folder, answer)
        images = material.images
        judging = images.validation if by_all else _enough(images.validation, parent.macs)
        selection = _samples(folder, "validation", judging, material.preprocessing, answer)
        ranking = selection.take(data.balanced_index(judging.labels, RANKING_IMAGES), "ranking")
        if parent.preprocessing_is_guessed:
            assert ranking.labels is not None
            _preprocessing.refuse_wrong(
                parent.where,
                images.name,
                material.preprocessing,
                ranking.reference,
                ranking.labels,
                lambda other: answer(ranking.file, other),
            )
        test = _samples(folder, "test", images.test, material.preprocessing, answer)
        return Evidence(
            dataset=images.name,
            test=test,
            selection=selection,
            ranking=ranking,
            calibration=keep(folder, "calibration", material.calibration),
            calibration_note=material.note,
            preprocessing=material.preprocessing,
            criterion=criterion(parent, images.name, selection),
        )


def _enough(split: data.Split, macs: int | None) -> data.Split:
    """So many of them as a choice needs, the same share of every class."""
    count = max(LEAST_TO_CHOOSE_BY, CHOOSING_MACS // max(macs or 1, 1))
    return split if count >= len(split) else split.take(data.balanced_index(split.labels, count))


def _samples(folder: Path, name: str, split: data.Split, preprocessing: Preprocessing, answer: Answer) -> Samples:
    height, width, channels = split.images.shape[1:]
    file = keep(folder, name, split)
    chosen = data.balanced_index(split.labels, golden.count((channels, height, width)))
    return Samples(file, preprocessing, answer(file, preprocessing), chosen, split.labels)


def _random_evidence(parent: Parent, folder: Path, answer: Answer) -> Evidence:
    """Without a data set only exact copies can be judged: normal random numbers tell whether answers are the same."""
    import numpy as np

    count = golden.count(parent.input_shape)
    file = folder / "random.npy"
    numbers = np.random.default_rng(RANDOM_SEED).standard_normal((count, *parent.input_shape), np.float32)
    np.save(file, numbers, allow_pickle=False)
    return Evidence(dataset="", test=Samples(file, None, answer(file, None), np.arange(count)))


@contextmanager
def _asking(parent: Parent, workers: Workers) -> Iterator[Answer]:
    """A function from a file of images to answers, which were the same when some were asked for again."""
    import numpy as np

    with _asker(parent, workers) as ask:

        def answer(file: Path, preprocessing: Preprocessing | None) -> Float32Array:
            answers, repeat_error = ask(file, preprocessing)
            if not repeat_error <= LARGEST_REPEAT_ERROR:
                raise UserError(
                    parent.where,
                    f"asked twice about the same images it answers differently, by {repeat_error:.0%} of their size",
                    "Export it in evaluation mode: no dropout, nothing drawn at random",
                )
            broken = ~np.isfinite(answers).all(1)
            if broken.any():
                raise UserError(
                    parent.where,
                    f"its answers to {broken.sum():,} of {len(answers):,} images are not numbers",
                    "Train it again with a lower learning rate, or look for a division by zero or a logarithm in it",
                )
            return answers

        yield answer


@contextmanager
def _asker(parent: Parent, workers: Workers) -> Iterator[Ask]:
    """A checkpoint answers here, anyone else's network in one worker."""
    if parent.kind == "checkpoint":
        with _beside_converters():
            yield _ask_checkpoint(parent.path)
    elif parent.foreign is not None:
        with workers.start("ask", parent.foreign.plugin) as worker:
            yield _ask_apart(parent, partial(_answered_by, worker, parent.foreign))
    else:
        yield _ask_apart(parent, lambda *task: workers.run("onnx", Run(str(parent.path), *task)))


@contextmanager
def _beside_converters() -> Iterator[None]:
    """Torch with the processors that the converters leave it: threads that wait for one another on a processor that is
    taken made it 5 to 40 times as slow.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, process.left_over()))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _ask_checkpoint(path: Path) -> Ask:
    import numpy as np

    from edgebench.networks import training

    model = rebuild(checkpoint.load(path))

    def ask(file: Path, preprocessing: Preprocessing | None) -> tuple[Float32Array, float]:
        assert preprocessing is not None
        images = np.load(file, allow_pickle=False)
        answers = training.logits(model, images, preprocessing)
        again = training.logits(model, images[:ASKED_TWICE], preprocessing)
        return answers, parity.repeat_error(again, answers[:ASKED_TWICE])

    return ask


def _ask_apart(parent: Parent, run: Callable[[str, Preprocessing | None, str], Ran]) -> Ask:
    """run: lets it answer to a file of images in another process, and writes the answers to a file."""
    import numpy as np

    def ask(file: Path, preprocessing: Preprocessing | None) -> tuple[Float32Array, float]:
        out = file.with_suffix(".parent.npy")
        try:
            ran = run(str(file), preprocessing, str(out))
        except Failed as failure:
            runner = "onnxruntime" if parent.foreign is None else "this machine"
            raise BadFile(
                parent.where, f"{runner} loads it but cannot run it ({failure.seen})", "Export it again from its source"
            ) from failure
        answers: Float32Array = np.load(out, allow_pickle=False)
        return answers, ran.repeat_error

    return ask


def _answered_by(worker: Worker, foreign: Foreign, images: str, preprocessing: Preprocessing | None, out: str) -> Ran:
    (line,) = worker.answers(ForeignRun(foreign, images, preprocessing, out))
    assert line.ran is not None
    return line.ran
