"""A .param file of ncnn. Its weights are in a .bin file of the same name, which it does not mention."""

from __future__ import annotations

from pathlib import Path

from device_agents.python.runtimes import _ncnn_param
from edgebench.modelfile._bytes import Damaged
from edgebench.modelfile._what import Input, ModelFile

_LARGEST_BYTES = 1 << 26


def read(path: Path, content: memoryview) -> ModelFile:
    """Raises Damaged."""
    if len(content) > _LARGEST_BYTES:
        raise Damaged(f"a .param file of ncnn is text, not {len(content) / 1e6:.0f} MB")
    try:
        layers = _ncnn_param.layers(bytes(content).decode())
    except UnicodeDecodeError as error:
        raise Damaged("a .param file of ncnn is text; this one is binary") from error
    except ValueError as error:
        raise Damaged(str(error)) from error
    inputs = [Input(name, tuple(shape) if shape else None, dtype) for name, shape, dtype in _ncnn_param.inputs(layers)]
    if not inputs:
        raise Damaged("it has no layer Input")
    return ModelFile(
        inputs=tuple(inputs),
        external=(path.with_suffix(".bin").name,),
        outputs=tuple(Input(name, None, "float32") for name in _ncnn_param.outputs(layers)),
    )
