"""Preprocessing as the first operators of a .tflite file, or as the quantisation of its input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters.arithmetic.folding import AS_OPERATORS, AS_QUANTISATION, INPUT, coefficients
from exporters.tflite_edit import flatbuffer

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

# In steps of the input's quantisation: the error of rounding in any case.
EXACT_STEPS = 0.5
# A byte as int8: the same step, with the zero point this much lower.
UINT8_OFFSET = 128


def fold(path: Path, out: Path, preprocessing: Preprocessing, spec: TensorSpec) -> str:
    """Float input: cast, multiply, add. int8: also quantise, or just another zero point if that is as exact."""
    head = _Head(flatbuffer.read(path))
    scale, shift = coefficients(preprocessing, spec)
    if spec.scale is not None and deviation_steps(spec, scale, shift) <= EXACT_STEPS:
        head.requantise()
        how = AS_QUANTISATION
    else:
        head.prepare(scale, shift, quantise=spec.scale is not None)
        how = AS_OPERATORS
    flatbuffer.write(head.model, out)
    return how


def deviation_steps(spec: TensorSpec, scale: Float32Array, shift: Float32Array) -> float:
    """How far bytes, read as the input's int8 are, lie from the prepared numbers, in steps, where it is farthest."""
    assert spec.scale is not None and spec.zero_point is not None
    ends = [byte * scale + shift - (byte - UINT8_OFFSET - spec.zero_point) * spec.scale for byte in (0, 255)]
    return max(float(abs(end).max()) for end in ends) / spec.scale


class _Head:
    """Inserts operators before the first one of a network."""

    def __init__(self, model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model = model
        self._schema = schema
        self._graph = model.subgraphs[0]
        (self._old,) = self._graph.inputs
        self._operators: list[Any] = []

    def requantise(self) -> None:
        """uint8 in, int8 out, with the same steps."""
        old = self._graph.tensors[self._old]
        held = self._schema.QuantizationParametersT()
        held.scale = old.quantization.scale
        held.zeroPoint = [int(old.quantization.zeroPoint[0]) + UINT8_OFFSET]
        image = self._tensor(INPUT, self._schema.TensorType.UINT8, old)
        self._graph.tensors[image].quantization = held
        self._operator("QUANTIZE", [image], self._old, version=2)
        self._finish(image)

    def prepare(self, scale: Float32Array, shift: Float32Array, *, quantise: bool) -> None:
        types = self._schema.TensorType
        old = self._graph.tensors[self._old]
        image = self._tensor(INPUT, types.UINT8, old)
        as_float = self._tensor(f"{INPUT}_float", types.FLOAT32, old)
        scaled = self._tensor(f"{INPUT}_scaled", types.FLOAT32, old)
        prepared = self._tensor(f"{INPUT}_prepared", types.FLOAT32, old) if quantise else self._old
        self._operator("CAST", [image], as_float, inDataType=types.UINT8, outDataType=types.FLOAT32)
        self._operator("MUL", [as_float, self._constant(f"{INPUT}_scale", scale)], scaled)
        self._operator("ADD", [scaled, self._constant(f"{INPUT}_shift", shift)], prepared)
        if quantise:
            self._operator("QUANTIZE", [prepared], self._old)
        self._finish(image)

    def _tensor(self, name: str, type_: int, like: Any) -> int:
        tensor = self._schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name.encode(), type_, like.shape
        tensor.shapeSignature, tensor.hasRank = like.shapeSignature, like.hasRank
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _constant(self, name: str, numbers: Float32Array) -> int:
        import numpy as np

        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(numbers.astype("<f4").tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = self._schema.TensorT()
        tensor.name, tensor.type, tensor.shape = name.encode(), self._schema.TensorType.FLOAT32, list(numbers.shape)
        tensor.buffer = len(self.model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _operator(self, kind: str, inputs: list[int], output: int, *, version: int = 1, **options: int) -> None:
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(self._schema.BuiltinOperator, kind), version)
        operator.inputs, operator.outputs = inputs, [output]
        name = f"{kind.capitalize()}Options"
        operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, name)
        operator.builtinOptions = getattr(self._schema, f"{name}T")()
        for option, value in options.items():
            setattr(operator.builtinOptions, option, value)
        self._operators.append(operator)

    def _code(self, kind: int, version: int) -> int:
        """Older runtimes read the operator code from a byte, newer ones from a separate field."""
        code = self._schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _finish(self, image: int) -> None:
        self._graph.operators = [*self._operators, *self._graph.operators]
        self._graph.inputs = [image]
        for signature in self.model.signatureDefs or []:
            for entry in signature.inputs:
                if entry.tensorIndex == self._old:
                    entry.tensorIndex = image
