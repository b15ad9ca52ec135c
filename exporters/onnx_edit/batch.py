"""An .onnx file for one image -> the same for any number at once."""

from __future__ import annotations

from pathlib import Path


def open_batch(path: Path, out: Path) -> None:
    """Whether it then answers to several as to one is for who runs it to see: what reshapes to one image does not."""
    import onnx

    model = onnx.load(str(path))
    del model.graph.value_info[:]  # sizes for one image, which the runtime finds anew
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, str(out))
