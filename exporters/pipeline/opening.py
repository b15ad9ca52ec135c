"""Open what a user names, whatever kind of network it is."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import msgspec

from edgebench import modelfile
from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.modelfile import ModelFile, feeding
from edgebench.modelfile.feeding import InputRequest
from edgebench.networks import data, normalisation, own_network
from edgebench.networks.from_checkpoint import rebuild
from edgebench.networks.own_network import weight_files
from edgebench.progress import Progress, Silent
from edgebench.schema import checkpoint
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import IsolatedModel, SourceKind
from exporters.sources import keras, module_ports
from exporters.sources.model_summary import ModelSummary
from exporters.sources.source_model import NOTABLE_ZEROS, SourceModel, SourceRequest
from exporters.workers.messages import InspectTask
from exporters.workers.process import Failed, WorkerPool

READABLE = (
    "Give a checkpoint (.safetensors), an .onnx, .keras or .h5 file, a SavedModel folder, or package.module:callable"
)


_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def open_source(
    request: SourceRequest,
    scratch: Path,
    workers: WorkerPool,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> SourceModel:
    """scratch: for temporary files. Raises UserError, and BadFile for a file that is not what its name says."""
    path = Path(request.source)
    if request.is_module:
        return _module(request, scratch, workers)
    if request.arguments:
        raise UserError("--argument", f"{request.source} is no callable, which takes arguments", "Leave the option out")
    if (path / keras.SAVED_MODEL).is_file() or (path.suffix in keras.SUFFIXES and path.is_file()):
        return _from_keras(request, scratch, workers)
    if not path.is_file():
        raise BadFile(str(path), "there is no such file", "Check the path, or make a checkpoint with `edgebench train`")
    if path.suffix == checkpoint.SUFFIX:
        return _checkpoint(request)
    if path.suffix == ".onnx":
        return _onnx(request, scratch, workers, progress)
    if path.suffix in weight_files.PICKLED:
        raise BadFile(
            str(path),
            f"export does not read '{path.suffix}' files: they hold weights, but no network",
            f"Name what makes the network: edgebench export package.module:callable --weights {path}",
        )
    raise BadFile(str(path), f"export does not read '{path.suffix}' files", READABLE)


def _checkpoint(request: SourceRequest) -> SourceModel:
    for option, value in (
        ("--weights", request.weights),
        ("--input", request.input_shape),
        ("--shape", request.wanted.shapes or None),
        ("--dim", request.wanted.dims or None),
        ("--preprocessing", request.preprocessing),
    ):
        if value is not None:
            raise UserError(option, f"{request.source} is a checkpoint, which has its own", "Leave the option out")
    path = Path(request.source)
    opened = checkpoint.load(path)
    about = opened.about
    is_own = own_network.is_own(about.model)
    zeros = _zeros(opened) if about.has_zeros else 0
    packed = zeros >= NOTABLE_ZEROS * about.size.parameters
    inputs = (TensorSpec(module_ports.INPUT, (1, *about.input_shape), "float32", "NCHW"),)
    return SourceModel(
        name=request.name,
        where=request.source,
        path=path,
        kind="checkpoint",
        model=about.model,
        inputs=inputs,
        outputs=(TensorSpec(module_ports.CLASSES, (1, len(about.class_names)), "float32", "NC"),),
        source={"kind": "checkpoint", "file": path.name, "digest": opened.digest, "dataset": about.dataset},
        digest="" if is_own else opened.digest,  # it does not cover code
        parameters=about.size.parameters,
        macs=about.size.macs,
        dataset=request.dataset or about.dataset,
        calibration=request.calibration or request.dataset or about.dataset,
        preprocessing=_sized(request, about.preprocessing),
        class_names=about.class_names,
        zeros=zeros,
        packed_bytes=_packed_bytes(path) if packed else None,
        tested=about.metrics,
        isolated=IsolatedModel("checkpoint", str(path.absolute()), str(Path.cwd()), inputs=inputs) if is_own else None,
    )


def _sized(request: SourceRequest, preprocessing: Preprocessing) -> Preprocessing:
    """A checkpoint's own, with a geometry for data whose images have other sizes than those that it was trained on."""
    if request.geometry is None:
        return preprocessing
    if preprocessing.geometry not in (None, request.geometry):
        seen = f"{request.source} was trained on images {preprocessing.geometry}"
        raise UserError("--resize and --crop", seen, "Leave the options out")
    return msgspec.structs.replace(preprocessing, geometry=request.geometry)


def _zeros(opened: checkpoint.Checkpoint) -> int:
    """Of a network of the user's own, whose code does not run here, by the names that tensors of statistics have."""
    if own_network.is_own(opened.about.model):
        held = opened.tensors().items()
        return sum(int((tensor == 0).sum()) for name, tensor in held if not name.endswith(_STATISTICS))
    return sum(int((parameter == 0).sum()) for parameter in rebuild(opened).parameters())


def _packed_bytes(path: Path) -> int:
    """Size of the whole checkpoint with one bit for each zero."""
    from edgebench.networks import packed_file

    packed, _ = packed_file.verified(packed_file.split(path.read_bytes()), "bitmask")
    return packed.file_bytes


def _onnx(request: SourceRequest, scratch: Path, workers: WorkerPool, progress: Progress) -> SourceModel:
    if request.weights is not None:
        raise UserError("--weights", f"{request.source} has its own weights", "Leave the option out")
    path = Path(request.source)
    model = modelfile.read(path)
    assert model is not None
    modelfile.companions(path, model)  # raises for a missing data file, by its name
    wanted = _of_image(path, model, request)
    feeding.refuse_unused(wanted, [model])
    fed = feeding.settle(path, model, wanted)
    for remark in fed.remarks:
        progress.say(remark)
    sized = scratch / path.name
    try:
        summary = workers.inspect(InspectTask(str(path), fed.shapes, str(sized)))
    except Failed as failure:
        raise BadFile(
            str(path),
            f"onnxruntime cannot open it and run it once ({failure.seen})",
            "Check that it is a complete .onnx file",
        ) from failure
    return _from_summary(
        request,
        summary,
        kind="onnx",
        path=sized if sized.exists() else path,
        source={"kind": "onnx", "file": path.name, "sha256": summary.sha256},
    )


def _of_image(path: Path, model: ModelFile, request: SourceRequest) -> InputRequest:
    """--input 3x224x224 is the size of one image, whichever way round the file takes it."""
    if request.input_shape is None:
        return request.wanted
    if request.wanted.shapes:
        raise UserError("--input", "--shape is given too", "Leave one of the two out")
    channels, height, width = request.input_shape
    shape = model.inputs[0].shape if len(model.inputs) == 1 else ()
    for sizes in ((channels, height, width), (height, width, channels)):
        if shape and len(shape) == 4 and all(
            isinstance(own, str) or own == size for own, size in zip(shape[1:], sizes, strict=True)
        ):  # fmt: skip
            return replace(request.wanted, shapes={"": (1, *sizes)})
    shown = "; ".join(str(list(one.shape or ())) for one in model.inputs)
    given = "x".join(map(str, request.input_shape))
    raise UserError("--input", f"{given} does not fit {path}: its input is {shown}", "Leave --input out")


def _module(request: SourceRequest, scratch: Path, workers: WorkerPool) -> SourceModel:
    images = request.dataset or request.calibration
    if request.input_shape is None and not request.wanted.shapes and images is None:
        raise UserError(
            request.source,
            "code does not say how large its inputs are",
            "Name the data set, --dataset cifar10, or the sizes, --input 3x32x32 or --shape ids=1x16:int64",
        )
    if request.wanted.dims:
        raise UserError("--dim", "code has no names for sizes", "Give them with --shape")
    if importlib.util.find_spec("torch") is None:
        raise MissingPackage(request.source, "torch", "train")
    weights, key = weight_files.named(request.weights) if request.weights else (None, "")
    arguments = msgspec.json.encode(request.arguments, enc_hook=str).decode()
    isolated = IsolatedModel(
        kind="module",
        source=request.source,
        folder=str(Path.cwd()),
        weights=str(weights.absolute()) if weights else "",
        weights_key=key,
        arguments=arguments,
        inputs=_inputs(request) or _image(request.input_shape or _shape(request, str(images))),
        held=str(scratch / "module.pt"),
    )
    source = {"kind": "module", "callable": request.source}
    if request.arguments:
        source["arguments"] = arguments
    if weights is not None:
        source |= {"weights": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    summary = _looked_at(isolated, workers)
    if summary.weights:
        source["weights_note"] = summary.weights
    isolated = msgspec.structs.replace(isolated, inputs=summary.inputs)
    return replace(_from_summary(request, summary, "module", Path(request.source), source), isolated=isolated)


def _inputs(request: SourceRequest) -> tuple[TensorSpec, ...]:
    """As the user gives them; "" is the name of an only one. Raises UserError for too many axes."""
    if request.wanted.shapes and request.input_shape is not None:
        raise UserError("--input", "--shape is given too", "Leave one of the two out")
    for name, sizes in request.wanted.shapes.items():
        if len(sizes) > module_ports.MOST_AXES:
            seen = f"{name or 'the input'} has {len(sizes)} axes"
            raise UserError("--shape", seen, f"Export takes up to {module_ports.MOST_AXES}")
    return tuple(
        TensorSpec(name, sizes, request.wanted.dtypes.get(name, "float32"), "any")
        for name, sizes in request.wanted.shapes.items()
    )


def _image(shape: tuple[int, ...]) -> tuple[TensorSpec, ...]:
    return (TensorSpec("", (1, *shape), "float32", "NCHW"),)


def _shape(request: SourceRequest, images: str) -> tuple[int, int, int]:
    channels = normalisation.channels_of(request.preprocessing)
    return data.prepared(images, geometry=request.geometry, channels=channels, with_targets=True).input_shape


def _from_keras(request: SourceRequest, scratch: Path, workers: WorkerPool) -> SourceModel:
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingPackage(request.source, "tensorflow", "tensorflow")
    for option, value in (
        ("--weights", request.weights),
        ("--input", request.input_shape),
        ("--dim", request.wanted.dims or None),
    ):
        if value is not None:
            raise UserError(option, f"{request.source} has its own", "Leave the option out")
    path = Path(request.source)
    isolated = IsolatedModel(
        "keras", str(path.absolute()), inputs=_inputs(request), held=str(scratch / "keras-fp32.tflite")
    )
    summary = _looked_at(isolated, workers)
    isolated = msgspec.structs.replace(isolated, inputs=summary.inputs)
    source = {"kind": "keras", "file": path.name, "sha256": summary.sha256}
    return replace(_from_summary(request, summary, "keras", path, source), isolated=isolated)


def _looked_at(isolated: IsolatedModel, workers: WorkerPool) -> ModelSummary:
    try:
        return workers.look_at(isolated)
    except Failed as failure:
        raise BadFile(
            isolated.source, f"cannot be opened ({failure.seen})", "Check that it runs outside edgebench"
        ) from failure


def _from_summary(
    request: SourceRequest, summary: ModelSummary, kind: SourceKind, path: Path, source: dict[str, str]
) -> SourceModel:
    """A network that did not come from edgebench."""
    return SourceModel(
        name=request.name,
        where=request.source,
        path=path,
        kind=kind,
        model=request.source if kind == "module" else Path(request.source).stem,
        inputs=summary.inputs,
        outputs=summary.outputs,
        table_sizes=summary.table_sizes,
        source=source,
        digest=summary.sha256,
        parameters=summary.parameters,
        macs=summary.macs,
        dataset=request.dataset or request.calibration,
        calibration=request.calibration or request.dataset,
        named_preprocessing=request.preprocessing,
        geometry=request.geometry,
        zeros=summary.zeros,
        precision=summary.precision,
    )
