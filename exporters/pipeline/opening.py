"""Open what a user names, whatever kind of network it is."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

from edgebench import modelfile
from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.networks import data
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint
from exporters import Source
from exporters.sources import keras
from exporters.sources import weights as _weights
from exporters.sources.facts import Facts
from exporters.sources.foreign import Foreign
from exporters.sources.parent import NOTABLE_ZEROS, Given, Parent
from exporters.workers.process import Failed, Workers
from exporters.workers.worker import Inspect

READABLE = (
    "Give a checkpoint (.safetensors), an .onnx, .keras or .h5 file, a SavedModel folder, or package.module:callable"
)


def open_parent(given: Given, scratch: Path, workers: Workers) -> Parent:
    """scratch: for what opening makes. Raises UserError, and BadFile for a file that is not what its name says."""
    path = Path(given.source)
    if given.is_module:
        return _module(given, scratch, workers)
    if (path / keras.SAVED_MODEL).is_file() or (path.suffix in keras.SUFFIXES and path.is_file()):
        return _from_keras(given, scratch, workers)
    if not path.is_file():
        raise BadFile(str(path), "there is no such file", "Check the path, or make a checkpoint with `edgebench train`")
    if path.suffix == checkpoint.SUFFIX:
        return _checkpoint(given)
    if path.suffix == ".onnx":
        return _onnx(given, scratch, workers)
    if path.suffix in _weights.PICKLED:
        raise BadFile(
            str(path),
            f"'{path.suffix}' is no format that export reads: there are weights in it, and no network",
            f"Name what makes the network: edgebench export package.module:callable --weights {path}",
        )
    raise BadFile(str(path), f"'{path.suffix}' is no format that export reads", READABLE)


def _checkpoint(given: Given) -> Parent:
    for option, value in (
        ("--weights", given.weights),
        ("--input", given.input_shape),
        ("--preprocessing", given.preprocessing),
    ):
        if value is not None:
            raise UserError(option, f"{given.source} is a checkpoint, which says that itself", "Leave it out")
    path = Path(given.source)
    opened = checkpoint.load(path)
    about = opened.about
    zeros = _zeros(opened) if about.has_zeros else 0
    packed = zeros >= NOTABLE_ZEROS * about.size.parameters
    return Parent(
        name=given.name,
        where=given.source,
        path=path,
        kind="checkpoint",
        model=about.model,
        input_shape=about.input_shape,
        source={"kind": "checkpoint", "file": path.name, "digest": opened.digest, "dataset": about.dataset},
        digest=opened.digest,
        parameters=about.size.parameters,
        macs=about.size.macs,
        dataset=given.dataset or about.dataset,
        calibration=given.calibration or given.dataset or about.dataset,
        preprocessing=about.preprocessing,
        zeros=zeros,
        packed_bytes=_packed_bytes(path) if packed else None,
        tested=about.metrics,
    )


def _zeros(opened: checkpoint.Checkpoint) -> int:
    return sum(int((parameter == 0).sum()) for parameter in rebuild(opened).parameters())


def _packed_bytes(path: Path) -> int:
    """Of the whole checkpoint with one bit for each zero."""
    from edgebench.networks import packed_file

    packed, _ = packed_file.verified(packed_file.split(path.read_bytes()), "bitmask")
    return packed.file_bytes


def _onnx(given: Given, scratch: Path, workers: Workers) -> Parent:
    if given.weights is not None:
        raise UserError("--weights", f"{given.source} has its own", "Leave it out")
    path = Path(given.source)
    model = modelfile.read(path)
    if model:
        modelfile.companions(path, model)  # what is missing is said here, by its name
    sized = scratch / path.name
    try:
        facts = workers.inspect(Inspect(str(path), given.input_shape or (), str(sized)))
    except Failed as failure:
        raise BadFile(
            str(path), f"onnxruntime cannot open it ({failure.seen})", "Check that it is a whole .onnx file"
        ) from failure
    return _foreign_parent(
        given,
        facts,
        kind="onnx",
        path=sized if sized.exists() else path,
        source={"kind": "onnx", "file": path.name, "sha256": facts.sha256},
    )


def _module(given: Given, scratch: Path, workers: Workers) -> Parent:
    images = given.dataset or given.calibration
    if given.input_shape is None and images is None:
        raise UserError(
            given.source,
            "code does not say how large its images are",
            "Name the data set, --dataset cifar10, or the size, --input 3x32x32",
        )
    if importlib.util.find_spec("torch") is None:
        raise MissingPackage(given.source, "torch", "train")
    weights, key = _weights_file(given.weights) if given.weights else (None, "")
    foreign = Foreign(
        kind="module",
        source=given.source,
        folder=str(Path.cwd()),
        weights=str(weights.absolute()) if weights else "",
        weights_key=key,
        input_shape=given.input_shape or data.load(str(images)).input_shape,
        held=str(scratch / "module.pt"),
    )
    source = {"kind": "module", "callable": given.source}
    if weights is not None:
        source |= {"weights": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    facts = _looked(foreign, workers)
    if facts.weights:
        source["weights_note"] = facts.weights
    return replace(_foreign_parent(given, facts, "module", Path(given.source), source), foreign=foreign)


def _weights_file(given: Path) -> tuple[Path, str]:
    """`FILE` or `FILE:KEY`, the key under which the weights are in it."""
    if given.is_file():
        return given, ""
    file, colon, key = str(given).rpartition(":")
    if colon and Path(file).is_file():
        return Path(file), key
    raise BadFile(str(given), "there is no such file", "Check --weights")


def _from_keras(given: Given, scratch: Path, workers: Workers) -> Parent:
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingPackage(given.source, "tensorflow", "tensorflow")
    for option, value in (("--weights", given.weights), ("--input", given.input_shape)):
        if value is not None:
            raise UserError(option, f"{given.source} says that itself", "Leave it out")
    path = Path(given.source)
    foreign = Foreign("keras", str(path.absolute()), held=str(scratch / "keras-fp32.tflite"))
    facts = _looked(foreign, workers)
    source = {"kind": "keras", "file": path.name, "sha256": facts.sha256}
    return replace(_foreign_parent(given, facts, "keras", path, source), foreign=foreign)


def _looked(foreign: Foreign, workers: Workers) -> Facts:
    try:
        return workers.look_at(foreign)
    except Failed as failure:
        raise BadFile(
            foreign.source, f"it cannot be opened ({failure.seen})", "Check that it runs by itself"
        ) from failure


def _foreign_parent(given: Given, facts: Facts, kind: Source, path: Path, source: dict[str, str]) -> Parent:
    return Parent(
        name=given.name,
        where=given.source,
        path=path,
        kind=kind,
        model=given.source if kind == "module" else Path(given.source).stem,
        input_shape=facts.input_shape,
        source=source,
        digest=facts.sha256,
        parameters=facts.parameters,
        macs=facts.macs,
        dataset=given.dataset or given.calibration,
        calibration=given.calibration or given.dataset,
        named_preprocessing=given.preprocessing,
        zeros=facts.zeros,
    )
