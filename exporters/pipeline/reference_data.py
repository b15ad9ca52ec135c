"""The samples that an export is judged by, and the parent's answers to them: images of a data set, inputs that the user
gave, or made-up ones.

A checkpoint is run in this process, any other network in a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile, UserError
from edgebench.networks import data
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint, tensors
from exporters.arithmetic import feeds, image_files
from exporters.pipeline import golden, made_up, preprocessing_choice
from exporters.pipeline.criterion import AGREEMENT, DISTANCE, Criterion, choose_criterion
from exporters.pipeline.export_inputs import ExportInputs
from exporters.pipeline.samples import Samples, keep
from exporters.sources.isolated import ASKED_TWICE, IsolatedRun
from exporters.workers import process
from exporters.workers.messages import RunResult, RunTask
from exporters.workers.process import Failed, WorkerPool, WorkerProcess

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from edgebench.schema.preprocessing import Preprocessing
    from exporters import IsolatedModel
    from exporters.pipeline.export_images import ExportImages
    from exporters.sources.source_model import SourceModel

    Answer = Callable[[Path, Preprocessing | None], tuple[Any, ...]]
    Ask = Callable[[Path, Preprocessing | None], tuple[tuple[Any, ...], float]]

RANKING_IMAGES = 256
# How many validation images INT8 files are compared on: as many as one file answers with this much work, but never
# fewer than the minimum. Chance hides the differences between candidates long before: for two that disagree on one
# image in a hundred, a thousand images resolve 0.4 points and five thousand 0.2.
CHOOSING_MACS = 70_000_000_000
LEAST_TO_CHOOSE_BY = 1000
# Relative: threads and batches of other sizes change sums by far less, dropout by far more.
LARGEST_REPEAT_ERROR = 1e-3


@dataclass(frozen=True)
class ReferenceData:
    """test: the official test split, the user's inputs, or made-up ones; selection: the validation split.

    Of the user's inputs those that are not for calibration are both. ranking: a part of the selection, for quick
    comparisons. calibration: a file of `feeds`; images are from the training split. compared_on: what `test` is, in
    words, where it has no labels and is no part of `dataset`; "" where it was made up. own_test_set: sha256 of the test
    images where they are the user's own. annotated: the test images with boxes, masks, ... criterion: how INT8 files
    are compared on the selection.
    """

    dataset: str
    test: Samples
    selection: Samples | None = None
    ranking: Samples | None = None
    calibration: Path | None = None
    calibration_note: str = ""
    preprocessing: Preprocessing | None = None
    own_test_set: str = ""
    criterion: Criterion = AGREEMENT
    compared_on: str = ""
    annotated: AnnotatedImages | None = None

    @property
    def chosen_on(self) -> str:
        """For the notes of INT8 files."""
        assert self.selection is not None
        return self.compared_on or f"{len(self.selection)} images of the validation split"


def collect(
    parent: SourceModel,
    images: ExportImages | ExportInputs | None,
    folder: Path,
    workers: WorkerPool,
    *,
    by_all: bool = False,
) -> ReferenceData:
    """Run the parent on the images of its data set, or on inputs; files go to `folder`.

    by_all: INT8 files are compared on the whole validation split. Raises UserError if the parent is not deterministic,
    or wants its images prepared in another way.
    """
    with _checked_answers(parent, workers) as answer:
        if images is None:
            return _made_up(parent, folder, answer)
        if isinstance(images, ExportInputs):
            return _given(parent, images, folder, answer)
        dataset, preprocessing = images.dataset, images.preprocessing
        judging = dataset.validation if by_all else _enough(dataset.validation, parent.macs)
        labelled = parent.is_classifier and dataset.annotated is None
        selection = _samples(parent, folder, "validation", judging, preprocessing, answer, labelled)
        ranking = selection.take(data.balanced_index(judging.labels, RANKING_IMAGES), "ranking")
        if parent.preprocessing_is_guessed and ranking.labels is not None:
            preprocessing_choice.refuse_wrong(
                parent.where,
                dataset.name,
                preprocessing,
                ranking.reference[0],
                ranking.labels,
                lambda other: answer(ranking.file, other)[0],
            )
        return ReferenceData(
            dataset=dataset.name,
            test=_samples(parent, folder, "test", dataset.test, preprocessing, answer, labelled),
            selection=selection,
            ranking=ranking,
            calibration=keep(folder, "calibration", images.calibration),
            calibration_note=images.calibration_note,
            preprocessing=preprocessing,
            own_test_set=_own_test_set(dataset),
            annotated=dataset.annotated,
            criterion=choose_criterion(parent, dataset.name, selection),
        )


def _own_test_set(dataset: data.Dataset) -> str:
    """Of annotated images that of all, also where a part is compared on."""
    if dataset.annotated is not None:
        return str(dataset.annotated.sha256)
    return dataset.test.digest() if dataset.content else ""


def _enough(split: data.Split, macs: int | None) -> data.Split:
    """As many of them as a choice needs, the same share of every class."""
    count = max(LEAST_TO_CHOOSE_BY, CHOOSING_MACS // max(macs or 1, 1))
    return split if count >= len(split) else split.take(data.balanced_index(split.labels, count))


def _samples(
    parent: SourceModel,
    folder: Path,
    name: str,
    split: data.Split,
    preprocessing: Preprocessing,
    answer: Answer,
    labelled: bool,
) -> Samples:
    """labelled: the images have classes, which the network names."""
    file = keep(folder, name, split)
    chosen = data.balanced_index(split.labels, golden.count(parent.inputs))
    answers = answer(file, preprocessing)
    if not labelled:
        return Samples(file, preprocessing, answers, chosen, parent.inputs, parent.outputs)
    _refuse_labels(parent.where, split, answers[0].shape[1])
    return Samples(file, preprocessing, answers, chosen, parent.inputs, parent.outputs, split.labels)


def _refuse_labels(where: str, split: data.Split, outputs: int) -> None:
    largest = int(split.labels.max(initial=0))
    if largest >= outputs:
        raise UserError(
            where,
            f"it has {outputs:,} outputs, the images have labels up to {largest:,}",
            "Use data with the network's classes, in their order",
        )


def _made_up(parent: SourceModel, folder: Path, answer: Answer) -> ReferenceData:
    """Without any data only exact copies can be judged: random numbers show whether answers are the same."""
    import numpy as np

    count = golden.count(parent.inputs)
    arrays = made_up.arrays(parent.inputs, count, parent.table_sizes)
    file = feeds.write(folder / f"made-up{feeds.ARRAYS}", list(arrays.values()))
    test = Samples(file, None, answer(file, None), np.arange(count), parent.inputs, parent.outputs)
    return ReferenceData(dataset="", test=test)


def _given(parent: SourceModel, given: ExportInputs, folder: Path, answer: Answer) -> ReferenceData:
    """Some of the user's inputs are for calibration, the others for comparing; of one, it is both."""
    import numpy as np

    calibrating, comparing = given.parts()
    file = feeds.write(folder / f"inputs{feeds.ARRAYS}", list(given.arrays.values()))
    compared = feeds.take(file, comparing, "compared")
    chosen = np.arange(min(len(comparing), golden.count(parent.inputs)))
    test = Samples(compared, None, answer(compared, None), chosen, parent.inputs, parent.outputs)
    return ReferenceData(
        dataset="",
        test=test,
        selection=test,
        ranking=test,
        calibration=feeds.take(file, calibrating, "calibration"),
        calibration_note=given.calibration_note,
        criterion=DISTANCE,
        compared_on=given.compared_on,
    )


@contextmanager
def _checked_answers(parent: SourceModel, workers: WorkerPool) -> Iterator[Answer]:
    """A function from a file of images to the parent's answers; it raises UserError for answers that cannot be used."""
    import numpy as np

    with _asker(parent, workers) as ask:

        def answer(file: Path, preprocessing: Preprocessing | None) -> tuple[Any, ...]:
            answers, repeat_error = ask(file, preprocessing)
            if not repeat_error <= LARGEST_REPEAT_ERROR:
                raise UserError(
                    parent.where,
                    f"not deterministic: a second run differs by {100 * repeat_error:.2g} % (RMS)",
                    "Export it in evaluation mode: no dropout, nothing drawn at random",
                )
            for output in answers:
                broken = ~np.isfinite(output).reshape(len(output), -1).all(1)
                if broken.any():
                    raise UserError(
                        parent.where,
                        f"its answers to {broken.sum():,} of {len(output):,} {parent.samples} are not numbers",
                        "Train it again with a lower learning rate, or look for a division by zero or a logarithm",
                    )
            return answers

        yield answer


@contextmanager
def _asker(parent: SourceModel, workers: WorkerPool) -> Iterator[Ask]:
    """A checkpoint of a built-in network answers in this process, any other network in one worker."""
    if parent.kind == "checkpoint" and parent.isolated is None:
        with _beside_converters():
            yield _ask_checkpoint(parent.path)
    elif parent.isolated is not None:
        with workers.start("ask", parent.isolated.plugin) as worker:
            yield _ask_apart(parent, partial(_answered_by, worker, parent.isolated))
    else:
        yield _ask_apart(
            parent,
            lambda file, preprocessing, out: workers.run(
                "onnx", RunTask(str(parent.path), file, preprocessing, out, network=parent.inputs)
            ),
        )


@contextmanager
def _beside_converters() -> Iterator[None]:
    """Limit torch to the processors that the converters leave free.

    Threads that wait for one another on a busy processor made it 5 to 40 times as slow.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, process.left_over()))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _ask_checkpoint(path: Path) -> Ask:
    from edgebench.networks import training

    model = rebuild(checkpoint.load(path))

    def ask(file: Path, preprocessing: Preprocessing | None) -> tuple[tuple[Any, ...], float]:
        assert preprocessing is not None
        images = image_files.read(file)
        answers = training.logits(model, images, preprocessing)
        again = training.logits(model, images[:ASKED_TWICE], preprocessing)
        return (answers,), tensors.repeat_error(again, answers[:ASKED_TWICE])

    return ask


def _ask_apart(parent: SourceModel, run: Callable[[str, Preprocessing | None, str], RunResult]) -> Ask:
    """run: runs the parent on a file of images in another process, and writes the answers to a file."""

    def ask(file: Path, preprocessing: Preprocessing | None) -> tuple[tuple[Any, ...], float]:
        out = file.with_suffix(f".parent{feeds.ARRAYS}")
        try:
            ran = run(str(file), preprocessing, str(out))
        except Failed as failure:
            runner = "onnxruntime" if parent.isolated is None else "this machine"
            raise BadFile(
                parent.where, f"{runner} loads it but cannot run it ({failure.seen})", "Export it again from its source"
            ) from failure
        return tuple(feeds.read(out)), ran.repeat_error

    return ask


def _answered_by(
    worker: WorkerProcess, isolated: IsolatedModel, images: str, preprocessing: Preprocessing | None, out: str
) -> RunResult:
    (line,) = worker.answers(IsolatedRun(isolated, images, preprocessing, out))
    assert line.ran is not None
    return line.ran
