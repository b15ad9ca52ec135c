"""A .tflite file as it is stored: tensors, buffers, names. Read in Python, with the schema that LiteRT ships."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from edgebench.files.plain_text import plain_excerpt
from edgebench.schema.inspection import InspectedTensor
from exporters.inspect.graph import Activation, Weight, count_zeros, guess_layout, refuse_too_many

IDENTIFIER = b"TFL3"
_NUMPY_TOO = ("float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64")


class File:
    """Reads on demand; a damaged file raises whatever reading beyond its end raises."""

    def __init__(self, content: bytes, path: Path) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._content = content
        self._model = schema.Model.GetRootAs(content, 0)
        self._operators = _names(schema.BuiltinOperator)
        self._dtypes = {number: name.lower() for number, name in _names(schema.TensorType).items()}
        self.subgraphs = [self._model.Subgraphs(i) for i in range(self._model.SubgraphsLength())]
        if not self.subgraphs:
            raise ValueError("no subgraph")
        refuse_too_many(path, sum(subgraph.OperatorsLength() for subgraph in self.subgraphs))

    def tensors(self, subgraph: Any) -> list[Tensor]:
        return [Tensor(self, subgraph.Tensors(i)) for i in range(subgraph.TensorsLength())]

    def kind(self, operator: Any) -> str:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        # Older files store it in a byte, newer ones in both places.
        name = self._operators.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "unknown")
        return f"{name} {text(code.CustomCode())}" if name == "CUSTOM" else name

    def facts(self) -> dict[str, str]:
        facts = {"TFLite": f"schema {self._model.Version()}"}
        for index in range(self._model.MetadataLength()):
            entry = self._model.Metadata(index)
            if entry.Name() == b"min_runtime_version":
                version = text(bytes(self.buffer(entry.Buffer())).split(b"\0")[0])
                facts["loads from"] = f"TensorFlow Lite {version}, according to its metadata"
        if self._model.Description():
            facts["producer"] = text(self._model.Description()).rstrip(".")
        return facts

    def signatures(self) -> Iterator[str]:
        for index in range(self._model.SignatureDefsLength()):
            signature = self._model.SignatureDefs(index)
            inputs = [text(signature.Inputs(i).Name()) for i in range(signature.InputsLength())]
            outputs = [text(signature.Outputs(i).Name()) for i in range(signature.OutputsLength())]
            yield f"{text(signature.SignatureKey())}({', '.join(inputs)}) -> {', '.join(outputs)}"

    def dtype(self, code: int) -> str:
        return self._dtypes.get(code, "unknown")

    def buffer(self, index: int) -> Any:
        """Bytes: in the structure itself, or after it in files of more than 2 GB."""
        if not 0 <= index < self._model.BuffersLength():
            return b""
        buffer = self._model.Buffers(index)
        if buffer.Offset() > 1:
            return self._content[buffer.Offset() : buffer.Offset() + buffer.Size()]
        return buffer.DataAsNumpy() if buffer.DataLength() else b""


class Tensor:
    def __init__(self, file: File, stored: Any) -> None:
        self._file = file
        self._stored = stored
        self.name = text(stored.Name())
        self.dtype = file.dtype(stored.Type())

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return tuple(indexes(self._stored.ShapeAsNumpy())) if self._stored.ShapeLength() else ()

    @cached_property
    def content(self) -> Any:
        return self._file.buffer(self._stored.Buffer())

    @property
    def is_constant(self) -> bool:
        return len(self.content) > 0

    @cached_property
    def _scales(self) -> tuple[Any, Any]:
        """Arrays of scales and zero points; empty if it is not quantised."""
        quantisation = self._stored.Quantization()
        if quantisation is None or not quantisation.ScaleLength():
            return (), ()
        points = quantisation.ZeroPointAsNumpy() if quantisation.ZeroPointLength() else [0]
        return quantisation.ScaleAsNumpy(), points

    @property
    def is_quantised(self) -> bool:
        return len(self._scales[0]) > 0

    def value(self) -> Activation:
        scales, points = self._scales
        one = len(scales) == 1 and len(points) == 1
        return Activation(self.shape, self.dtype, float(scales[0]) if one else None, int(points[0]) if one else None)

    def port(self) -> InspectedTensor:
        signature = indexes(self._stored.ShapeSignatureAsNumpy()) if self._stored.ShapeSignatureLength() else self.shape
        sizes = tuple("?" if size < 0 else size for size in signature)
        value = self.value()
        return InspectedTensor(
            plain_excerpt(self.name), sizes, self.dtype, guess_layout(sizes, "NHWC"), value.scale, value.zero_point
        )

    def weight(self, name: str) -> Weight | None:
        """name: a unique one. None if it is not a weight: shapes and axes are plain integers."""
        if not self.shape or not (self.is_quantised or "float" in self.dtype):
            return None
        return Weight(name, self.shape, self.dtype, len(self._scales[0]), self._zeros())

    def _zeros(self) -> int | None:
        """None for dtypes that numpy lacks, and if channels have different zero points."""
        import numpy as np

        _, points = self._scales
        zero_point = int(points[0]) if len(points) else 0
        if any(int(point) != zero_point for point in points):
            return None
        if self.dtype == "int4":  # two in a byte, the first one low
            pairs = np.frombuffer(self.content, np.uint8)
            return count_zeros(np.stack([pairs & 15, pairs >> 4], 1).reshape(-1)[: prod(self.shape)], zero_point & 15)
        if self.dtype not in _NUMPY_TOO:
            return None
        values = np.frombuffer(self.content, np.dtype(self.dtype).newbyteorder("<"))
        return count_zeros(values, zero_point)


def text(stored: bytes | None) -> str:
    return (stored or b"").decode(errors="replace")


def indexes(stored: Any) -> list[int]:
    """The numbers of a vector; the schema reads an absent one as 0, not as an array."""
    return [int(index) for index in stored] if hasattr(stored, "__len__") else []


def _names(enumeration: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}
