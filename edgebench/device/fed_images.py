"""A file that takes one image: what its input is, as far as the file itself says, and what its outputs are."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.modelfile import Input
from edgebench.schema.bundle import Artifact, TensorSpec

_REMEDY = "Its answers to images cannot be scored; leave --accuracy out"
CHANNELS = (1, 3)
DTYPES = ("float32", "float16", "int8", "uint8", "int16")


def described(local: LocalArtifact) -> LocalArtifact:
    """With `inputs` and `outputs`. Raises UserError for a file that does not take one image."""
    name, model = local.artifact.name, local.model
    if len(local.artifact.inputs) == 1 and local.artifact.inputs[0].layout in ("NCHW", "NHWC", "NC"):
        return local
    if model is None:
        raise UserError(name, "what its input is can only be read from .onnx and .tflite files", _REMEDY)
    if len(model.inputs) != 1:
        raise UserError(name, f"it has {len(model.inputs)} inputs, not one image", _REMEDY)
    one = model.inputs[0]
    shape = local.feeding.shapes.get(one.name) or tuple(size for size in one.shape or () if isinstance(size, int))
    spec = _spec(local.artifact, one, shape)
    outputs = tuple(TensorSpec(of.name, _known(of), of.dtype, "any") for of in model.outputs)
    return replace(local, artifact=msgspec.structs.replace(local.artifact, inputs=(spec,), outputs=outputs))


def _known(one: Input) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in one.shape or ())


def _spec(artifact: Artifact, one: Input, shape: tuple[int, ...]) -> TensorSpec:
    """Raises UserError. Channels are the axis of size 1 or 3; where both ends are, the file's format decides."""
    name, shown = artifact.name, "x".join(map(str, shape)) or "a scalar"
    if one.dtype not in DTYPES:
        raise UserError(name, f"its input is {one.dtype} {shown}, not an image", _REMEDY)
    if shape[:1] != (1,):
        raise UserError(name, f"its input is {shown}: {shape[0] if shape else 0} images at once", _REMEDY)
    quantised = (one.scale, one.zero_point)
    if len(shape) == 2:
        return TensorSpec(one.name, shape, one.dtype, "NC", *quantised)
    if len(shape) == 4 and (shape[1] in CHANNELS or shape[3] in CHANNELS):
        first = shape[1] in CHANNELS and (shape[3] not in CHANNELS or artifact.format == "onnx")
        return TensorSpec(one.name, shape, one.dtype, "NCHW" if first else "NHWC", *quantised)
    raise UserError(name, f"its input is {shown}, not an image of {' or '.join(map(str, CHANNELS))} channels", _REMEDY)


def outputs(local: LocalArtifact) -> tuple[tuple[Input, ...], dict[str, str], tuple[int, ...]]:
    """What the file says of its outputs, its metadata, and its TFLite_Detection_PostProcess."""
    if local.model is not None and local.model.outputs:
        return local.model.outputs, local.model.declared, local.model.postprocess
    return tuple(Input(one.name, one.shape, one.dtype) for one in local.artifact.outputs), {}, ()


def channels(spec: TensorSpec) -> int | None:
    """None where images are rows of numbers, of as many channels as they have."""
    if spec.layout == "NC":
        return None
    return spec.shape[1] if spec.layout == "NCHW" else spec.shape[3]


def size(spec: TensorSpec) -> tuple[int, int]:
    """(height, width)"""
    if spec.layout == "NC":
        return 1, spec.shape[1]
    return (spec.shape[2], spec.shape[3]) if spec.layout == "NCHW" else (spec.shape[1], spec.shape[2])
