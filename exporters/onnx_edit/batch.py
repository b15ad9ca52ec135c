"""An .onnx file for one image -> the same for any number of images at once."""

from __future__ import annotations

from pathlib import Path


def open_batch(path: Path, out: Path) -> None:
    """The caller must check that the answers stay the same: a network that reshapes to one image fails."""
    import onnx

    model = onnx.load(str(path))
    del model.graph.value_info[:]  # sizes for one image; the runtime infers them again
    held = {tensor.name for tensor in model.graph.initializer}
    for port in (*(one for one in model.graph.input if one.name not in held), *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, str(out))
