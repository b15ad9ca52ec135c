"""The network that artifacts are made from and compared with: a checkpoint, or an .onnx file of someone else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench import checkpoint, data
from edgebench.errors import BadFile, UserError
from exporters import Source
from exporters import _golden as golden
from exporters._evidence import Evidence, Samples, keep
from exporters._onnx_graph import OnnxFacts
from exporters._process import Failed, Workers
from exporters._worker import Run

if TYPE_CHECKING:
    from edgebench.data import Dataset, Float32Array, Preprocessing

RANDOM_SEED = 0


@dataclass(frozen=True)
class Parent:
    """dataset: what it is tested on, calibration: what INT8 ranges are found on; None where no data set is known.

    source: which network it is, for the bundle.
    """

    path: Path
    kind: Source
    model: str
    input_shape: tuple[int, ...]
    source: dict[str, str]
    parameters: int
    macs: int
    dataset: str | None
    calibration: str | None

    @property
    def name(self) -> str:
        """Begins the names of all its artifacts, which become file names on devices."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.stem).lstrip(".-") or "network"


def open_parent(path: Path, calibration: str | None, workers: Workers) -> Parent:
    """Raises BadFile for a file that is not what its name says."""
    if not path.is_file():
        raise BadFile(str(path), "there is no such file", "Check the path, or make a checkpoint with `edgebench train`")
    if path.suffix == checkpoint.SUFFIX:
        opened = checkpoint.load(path)
        about = opened.about
        return Parent(
            path=path,
            kind="checkpoint",
            model=about.model,
            input_shape=about.input_shape,
            source={"kind": "checkpoint", "file": path.name, "digest": opened.digest, "dataset": about.dataset},
            parameters=about.size.parameters,
            macs=about.size.macs,
            dataset=about.dataset,
            calibration=calibration or about.dataset,
        )
    if path.suffix == ".onnx":
        facts = _inspect(path, workers)
        return Parent(
            path=path,
            kind="onnx",
            model=path.stem,
            input_shape=facts.input_shape,
            source={"kind": "onnx", "file": path.name, "sha256": facts.sha256},
            parameters=facts.parameters,
            macs=facts.macs,
            dataset=calibration,
            calibration=calibration,
        )
    raise BadFile(str(path), f"'{path.suffix}' is no format that export reads", "Give a .safetensors or an .onnx file")


def _inspect(path: Path, workers: Workers) -> OnnxFacts:
    try:
        return workers.inspect(path)
    except Failed as failure:
        raise BadFile(
            str(path), f"onnxruntime cannot open it ({failure.seen})", "Check that it is a whole .onnx file"
        ) from failure


def evidence(parent: Parent, folder: Path, workers: Workers) -> Evidence:
    """Let the parent answer to the images of its data set; files go to `folder`."""
    if parent.dataset is None:
        return _random_evidence(parent, folder, workers)
    images = data.load(parent.dataset)
    calibration = images if parent.calibration in (None, parent.dataset) else data.load(parent.calibration)
    ask: Callable[[Path, Preprocessing], Float32Array]
    if parent.kind == "checkpoint":
        preprocessing = checkpoint.load(parent.path).about.preprocessing
        ask = _ask_checkpoint(parent.path)
    else:
        preprocessing = images.preprocessing
        ask = _ask_onnx(parent.path, workers)
    _same_size(parent, images)
    _same_size(parent, calibration)
    shown = calibration.calibration()
    return Evidence(
        dataset=images.name,
        test=_samples(folder, "test", images.test, preprocessing, ask),
        selection=_samples(folder, "validation", images.validation, preprocessing, ask),
        calibration=keep(folder, "calibration", shown),
        calibration_note=f"{len(shown)} images of the training split of {calibration.name}",
        preprocessing=preprocessing,
    )


def _samples(
    folder: Path,
    name: str,
    split: data.Split,
    preprocessing: Preprocessing,
    ask: Callable[[Path, Preprocessing], Float32Array],
) -> Samples:
    height, width, channels = split.images.shape[1:]
    file = keep(folder, name, split)
    chosen = data.balanced_index(split.labels, golden.count((channels, height, width)))
    return Samples(file, preprocessing, ask(file, preprocessing), chosen, split.labels)


def _ask_checkpoint(path: Path) -> Callable[[Path, Preprocessing], Float32Array]:
    import numpy as np

    from edgebench import training

    model = checkpoint.load(path).build()

    def ask(file: Path, preprocessing: Preprocessing) -> Float32Array:
        return training.logits(model, np.load(file, allow_pickle=False), preprocessing)

    return ask


def _ask_onnx(path: Path, workers: Workers) -> Callable[[Path, Preprocessing | None], Float32Array]:
    import numpy as np

    def ask(file: Path, preprocessing: Preprocessing | None) -> Float32Array:
        out = file.with_suffix(".parent.npy")
        try:
            workers.run("onnx", Run(str(path), str(file), preprocessing, str(out)))
        except Failed as failure:
            raise BadFile(
                str(path), f"onnxruntime loads it but cannot run it ({failure.seen})", "Export it again from its source"
            ) from failure
        answers: Float32Array = np.load(out, allow_pickle=False)
        return answers

    return ask


def _random_evidence(parent: Parent, folder: Path, workers: Workers) -> Evidence:
    """Without a data set only exact copies can be judged: normal random numbers tell whether answers are the same."""
    import numpy as np

    count = golden.count(parent.input_shape)
    file = folder / "random.npy"
    numbers = np.random.default_rng(RANDOM_SEED).standard_normal((count, *parent.input_shape), np.float32)
    np.save(file, numbers, allow_pickle=False)
    answers = _ask_onnx(parent.path, workers)(file, None)
    return Evidence(dataset="", test=Samples(file, None, answers, np.arange(count)))


def _same_size(parent: Parent, images: Dataset) -> None:
    wanted, given = parent.input_shape, images.input_shape
    if wanted == given or (len(wanted) == 1 and wanted[0] == given[0] * given[1] * given[2]):
        return
    raise UserError(
        str(parent.path),
        f"it takes {'x'.join(map(str, wanted))} (channels, height, width), the images of {images.name} are "
        f"{'x'.join(map(str, given))}",
        "Use a data set of the network's input size",
    )
