"""What a device is asked about a file (`deploy --accuracy`), and what its answers are worth.

    file ──> its input and outputs ─┐
    --dataset, or the bundle's own ─┴─> task ──> what the device keeps ──> answers ──> scores

A file of a bundle says itself which test set it is for and how images are prepared. Anyone else's is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import msgspec

from edgebench.device import accuracy, fed_images, local_artifacts
from edgebench.device.accuracy import TestSet
from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.networks import data, normalisation, own_metric, tasks
from edgebench.networks.own_data import annotated
from edgebench.networks.own_data.annotations import AnnotatedImages
from edgebench.networks.scoring import ImageAnswers, KeptAnswers, OutputsOfFile, ScoreChoice
from edgebench.progress import Progress
from edgebench.schema.bundle import TEST_SET, Artifact
from edgebench.schema.preprocessing import Geometry, Preprocessing
from edgebench.schema.record import Scored

# (name, preprocessing, geometry, channels) -> test images
Load = Callable[[str, "Preprocessing | None", "Geometry | None", "int | None"], AnnotatedImages]


@dataclass(frozen=True)
class Question:
    """About one file. local: with its input, outputs and preprocessing filled in where it did not say them."""

    local: LocalArtifact
    test: AnnotatedImages
    task: str
    asked: KeptAnswers
    metric: str | None

    @property
    def said(self) -> str:
        names = self.test.class_names
        classes = f"; class 0 is '{names[0]}', {len(names) - 1} is '{names[-1]}'" if len(names) > 1 else ""
        return (
            f"{self.task} on {len(self.test.images):,} test images of {self.test.name}, "
            f"read as {self.asked.said}{classes}; images: {self.local.artifact.preprocessing}"
        )

    def test_set(self) -> TestSet:
        """What is sent. Raises UserError for what is too much for devices."""
        import numpy as np

        is_class = self.test.kind == "classes" and self.metric is None
        labels = np.array(self.test.targets, np.int64) if is_class else None
        kept = self.asked.reduction, self.asked.image_bytes
        return accuracy.test_set(self.local.artifact, self.test.name, self.test.images, labels, *kept)

    def scored(self, answers: Sequence[ImageAnswers]) -> Scored:
        """Raises UserError where answers and targets do not fit each other."""
        if self.metric is not None:
            names = [one.name for one in self.local.artifact.outputs]
            scores = own_metric.scores(self.metric, names, answers, self.test)
        else:
            scores = tasks.load(self.task).scores(answers, self.test, self.asked)
        count = len(self.test.images)
        return Scored(self.task, self.test.name, count, self.test.sha256, self.asked.said, scores)


def questions(wanted: Sequence[LocalArtifact], choice: ScoreChoice, progress: Progress) -> dict[str, Question]:
    """What each artifact is asked about its test set, by the artifact's name."""
    # All artifacts of a bundle are tested on the same images.
    load = cache(partial(loaded, progress=progress))
    questions = {}
    alike: dict[str, list[str]] = {}
    for one in wanted:
        local_artifacts.check_test_set(one)
        asked = questions[one.artifact.name] = question(one, choice, load)
        alike.setdefault(asked.said, []).append(one.artifact.name)
    for said, names in alike.items():
        progress.say(f"{', '.join(names)}: {said}")
    return questions


def scored(questions: Mapping[str, Question], progress: Progress, name: str, answers: Sequence[ImageAnswers]) -> Scored:
    with progress.step(f"Scoring {len(answers):,} answers of {name}"):
        return questions[name].scored(answers)


def test_sets(questions: Mapping[str, Question], progress: Progress) -> dict[str, TestSet]:
    if not questions:
        return {}
    with progress.step("Preparing the test images", total=len(questions)) as step:
        tests = {}
        for name, one in questions.items():
            tests[name] = one.test_set()
            step.advance()
    return tests


def question(local: LocalArtifact, choice: ScoreChoice, load: Load) -> Question:
    """Raises UserError, BadFile for a file that cannot be scored like this."""
    artifact = local.artifact
    trained_on = artifact.parity.dataset if artifact.parity is not None else ""
    name = choice.dataset or trained_on
    if not name:
        raise UserError(
            artifact.name, "it does not say which test set it is for",
            "Give one, and how images are prepared: --dataset photos/ --preprocessing 0..1 (and --resize, --letterbox)",
        )  # fmt: skip
    if artifact.preprocessing is not None:
        _refuse_preparation(artifact, choice)
        test = load(name, artifact.preprocessing, None, None)
        _check_content(artifact, name, test)
        prepared = local if artifact.inputs else fed_images.described(local)
    else:
        prepared, test = _prepared(local, name, choice, load)
    if len(test.images) == 0:
        raise UserError(test.name, "it has no test images", "Give data with a test split")
    network = fed_images.outputs(prepared)
    _check_size(prepared.artifact, test)
    outputs = OutputsOfFile(artifact.name, fed_images.size(prepared.artifact.inputs[0]), *network)
    task = tasks.chosen(choice.task, test)
    if choice.metric is not None:
        own_metric.load(choice.metric)
        return Question(prepared, test, task, own_metric.asked(outputs, test), choice.metric)
    return Question(prepared, test, task, tasks.load(task).asked(outputs, test, choice), None)


def _refuse_preparation(artifact: Artifact, choice: ScoreChoice) -> None:
    given = {"--preprocessing": choice.preprocessing, "--resize, --crop or --letterbox": choice.geometry}
    for option, value in given.items():
        if value is not None:
            raise UserError(
                option, f"{artifact.name} says itself how its images are prepared: {artifact.preprocessing}",
                "Leave it out, or deploy the file alone, outside its bundle",
            )  # fmt: skip


def _check_content(artifact: Artifact, name: str, test: AnnotatedImages) -> None:
    """A bundle's accuracy on the host is of these very images."""
    kept = artifact.notes.get(TEST_SET)
    if kept in (None, test.sha256) and (kept is not None or artifact.parity is None or artifact.parity.dataset == name):
        return
    if artifact.parity is not None and artifact.parity.dataset == name:
        raise UserError(
            name, f"its test images, or how they are decoded, changed since {artifact.name} was exported",
            "Export it again, or leave --accuracy out",
        )  # fmt: skip
    raise UserError(
        name, f"its test images are not those that {artifact.name} was exported with",
        "Give a copy of the same data, or deploy the file alone, outside its bundle",
    )  # fmt: skip


def _prepared(
    local: LocalArtifact, name: str, choice: ScoreChoice, load: Load
) -> tuple[LocalArtifact, AnnotatedImages]:
    """A file that says nothing of its images: its input is described, its preprocessing is the user's."""
    if choice.preprocessing is None:
        raise UserError(
            local.artifact.name, "it does not say what its input is made of",
            "Say what a byte becomes: --preprocessing 0..1, 0..255, -1..1 or imagenet",
        )  # fmt: skip
    described = fed_images.described(local)
    test = load(name, None, choice.geometry, fed_images.channels(described.artifact.inputs[0]))
    channels = int(test.images.shape[3])
    own = Preprocessing((0.0,) * channels, (1.0,) * channels, geometry=choice.geometry)
    if choice.preprocessing == normalisation.DATA_SET:
        raise UserError("--preprocessing", "'data-set' is for networks trained here", "Choose 0..1, 0..255 or imagenet")
    preprocessing = normalisation.named(choice.preprocessing, own)
    artifact = msgspec.structs.replace(
        described.artifact, preprocessing=preprocessing, notes={**described.artifact.notes, TEST_SET: test.sha256}
    )
    return replace(described, artifact=artifact), test


def _check_size(artifact: Artifact, test: AnnotatedImages) -> None:
    """Raises UserError for images of another size than the input's, with what would help."""
    spec, preprocessing = artifact.inputs[0], artifact.preprocessing
    height, width, channels = test.images.shape[1:]
    if preprocessing is not None and preprocessing.resize:
        height, width = preprocessing.resize
    wanted = fed_images.size(spec)
    if spec.layout == "NC":
        if height * width * channels != spec.shape[1]:
            seen = f"it takes {spec.shape[1]} numbers, the images have {height * width * channels}"
            raise UserError(artifact.name, seen, "Give images, and --resize, of the size that it was trained with")
    elif (height, width) != wanted:
        size = "x".join(map(str, wanted))
        raise UserError(
            artifact.name, f"its input is {size}, the images are {height}x{width} (height x width)",
            f"Say how they become that: --resize {size} (stretched) or --letterbox {size} (with grey around them)",
        )  # fmt: skip


def loaded(
    name: str,
    preprocessing: Preprocessing | None,
    geometry: Geometry | None,
    channels: int | None,
    progress: Progress,
) -> AnnotatedImages:
    """Test images with their targets, from data of any kind. Raises UserError, BadFile."""
    if preprocessing is not None:
        geometry, channels = preprocessing.geometry, len(preprocessing.mean)
    if data.is_own(name):
        test = annotated.load(name, geometry, channels, progress)
        if test is not None:
            for line in test.remarks:
                progress.say(line)
            return test
    dataset = data.prepared(name, preprocessing, geometry=geometry, channels=channels, progress=progress, scored=True)
    split = dataset.test
    return AnnotatedImages(
        name=dataset.name,
        kind="classes",
        images=split.images,
        targets=split.labels.tolist(),
        sizes=[],
        class_names=dataset.class_names,
        sha256=split.digest(),
        geometry=geometry or Geometry(),
    )
