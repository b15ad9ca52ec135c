"""The sizes of the values in an .onnx file, as far as they follow from those of its inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebench.errors import UserError
from edgebench.files.plain_text import plain_excerpt
from exporters.inspect.onnx_constants import dtype_of
from exporters.inspect.onnx_file import graphs

# Larger constants are weights, never shapes; dropping them saves copying them.
_LARGEST_SHAPE_CONSTANT_BYTES = 1024


def set_shape(model: Any, path: Path, constants: dict[str, Any], name: str, shape: tuple[int, ...]) -> None:
    """Set the open sizes of an input, of the first one if no name is given. Equal symbolic sizes get the same value.

    Raises UserError for sizes that are not open.
    """
    sources = [port for port in model.graph.input if port.name not in constants]
    named = [port for port in sources if port.name == name] if name else sources[:1]
    if name and not named:
        known = ", ".join(plain_excerpt(port.name) for port in sources) or "none"
        raise UserError("--shape", f"no input of {path.name} is called '{name}'", f"Its inputs: {known}")
    sizes = named[0].type.tensor_type.shape.dim if named else []
    if len(sizes) != len(shape) or any(d.dim_value not in (new, 0, -1) for d, new in zip(sizes, shape, strict=True)):
        own = "x".join(str(dim.dim_value or "?") for dim in sizes)
        raise UserError(
            "--shape",
            f"{'x'.join(map(str, shape))} does not fit the input of {path.name}, {own or 'which has no sizes'}",
            "Give one size for each axis, and change only those that are open",
        )
    called = {
        dim.dim_param: size for dim, size in zip(sizes, shape, strict=True) if any(map(str.isalnum, dim.dim_param))
    }
    for dim, size in zip(sizes, shape, strict=True):
        dim.dim_value = size
    for port in sources:
        for dim in port.type.tensor_type.shape.dim:
            if dim.dim_param in called:
                dim.dim_value = called[dim.dim_param]


class Shapes:
    """Inferred shapes. Drops the data of the model's large constants."""

    def __init__(self, model: Any, constants: dict[str, Any]) -> None:
        import onnx

        self.remarks: list[str] = []
        for graph in graphs(model.graph):
            for tensor in graph.initializer:
                if len(tensor.raw_data) > _LARGEST_SHAPE_CONSTANT_BYTES:
                    tensor.ClearField("raw_data")
        sources = [port for port in model.graph.input if port.name not in constants]
        _one_image(sources)
        try:
            model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        except Exception as error:  # onnx raises its own types and pybind's
            self.remarks.append(f"its shapes are inconsistent: {' '.join(str(error).split())}")
        self._types = {
            value.name: value.type.tensor_type
            for graph in graphs(model.graph)
            for value in (*graph.value_info, *graph.output, *graph.input)
        }
        self._remark(sources, model.graph)

    def of(self, name: str) -> tuple[tuple[int | None, ...] | None, str]:
        """Shape (unknown sizes are None) and dtype."""
        if name not in self._types:
            return None, "unknown"
        kind = self._types[name]
        if not kind.HasField("shape"):
            return None, dtype_of(kind.elem_type)
        sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)
        return sizes, dtype_of(kind.elem_type)

    def _remark(self, sources: list[Any], graph: Any) -> None:
        open_ = [port for port in sources if any(d.dim_value < 1 for d in port.type.tensor_type.shape.dim)]
        if open_:
            first = open_[0].type.tensor_type.shape.dim
            guess = 224 if len(first) == 4 else 128
            sizes = "x".join(str(dim.dim_value if dim.dim_value > 0 else guess) for dim in first)
            names = ", ".join(plain_excerpt(port.name) for port in open_)
            self.remarks.append(
                f"sizes of {names} are left open, so MACs and memory are not known: "
                f"give them, e.g. --shape {plain_excerpt(open_[0].name)}={sizes}"
            )
        elif any(output not in self._types for node in graph.node for output in node.output if output):
            self.remarks.append("the output sizes of some operators are not known, and not counted")


def _one_image(sources: list[Any]) -> None:
    """Set an open batch to one image."""
    for port in sources:
        sizes = port.type.tensor_type.shape.dim
        if sizes and sizes[0].dim_value < 1:
            sizes[0].dim_value = 1
