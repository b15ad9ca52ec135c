"""INT8 of a float32 .tflite file with a signature: the ranges of its tensors, and the file with int8 inputs and
outputs.

ai-edge-quantizer writes the file; the ranges are computed here, because its calibrator only supports extremes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebench.schema.tensors import relative_error
from exporters import Scheme
from exporters.arithmetic import affine
from exporters.arithmetic.ranges import Histogram, chosen
from exporters.tflite_edit import flatbuffer, signatures, tidying
from exporters.tflite_edit.affine import TfliteGraph

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
TRANSPOSED = "TRANSPOSE_CONV"
SAMPLES_TO_COMPARE = 4
STEPS = 255
LARGEST_WEIGHT = 127
LARGEST_BIAS = 2**30  # in 32 bits, with room for the sums of products
# They only move numbers: their outputs have the steps of their inputs, so they follow them, in bytes or in float.
MOVES = (
    *("RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "SPLIT", "PAD", "PADV2", "MIRROR_PAD", "GATHER", "GATHER_ND"),
    *("PACK", "UNPACK", "BROADCAST_TO", "SPACE_TO_DEPTH", "DYNAMIC_UPDATE_SLICE"),
)
# litert-torch names layers inside one another, `package.Class_name`.
MODULE = re.compile(r"[\w.]+\.[A-Z]\w*?_(\w+)")


def prepare(float32: Path, out: Path) -> tuple[Path, str]:
    """The file from which INT8 is made, and what became of operators that only scale and shift channels ("" without
    any).

    It is the file itself, or `out` with fewer of these operators if its answers stay the same. The file itself is
    tidied first.
    """
    model = flatbuffer.read(float32)
    if len(model.subgraphs) != 1:
        return float32, ""
    if tidying.tidy(model):
        float32 = out.with_suffix(".tidy.tflite")
        flatbuffer.write(model, float32)
    graph = TfliteGraph(model)
    done = affine.fold(graph)
    if not done.any:
        return float32, ""
    graph.drop_unread()
    flatbuffer.write(model, out)
    before, after = (_answers(path) for path in (float32, out))
    error = max(relative_error(*both) for both in zip(after, before, strict=True))
    if not error <= affine.LARGEST_ERROR:
        return float32, f"not folded: outputs change by {error:.1e}"
    return out, str(done)


def _answers(path: Path) -> list[Any]:
    """For each output, answers to a few random inputs; integers are zero: what an index may be is not known."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    found = []
    for _ in range(SAMPLES_TO_COMPARE):
        for source in interpreter.get_input_details():
            is_float = np.issubdtype(source["dtype"], np.floating)
            drawn = random.standard_normal(source["shape"]) if is_float else np.zeros(source["shape"])
            interpreter.set_tensor(source["index"], np.asarray(drawn).astype(source["dtype"]))
        interpreter.invoke()
        found.append([interpreter.get_tensor(sink["index"]).ravel() for sink in interpreter.get_output_details()])
    return [np.concatenate(one) for one in zip(*found, strict=True)]


@dataclass(frozen=True)
class Operator:
    """tensor: the name of its first output; scope: of all outputs, as the quantiser joins them."""

    kind: str
    tensor: str
    scope: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]

    @property
    def moves(self) -> bool:
        return self.kind in MOVES


def layers(float32: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Short names of the operators that may each be INT8 or float, in execution order; and of those with weights."""
    named = _named(_operators(_interpreter(float32)))
    return tuple(named), tuple(name for name, operator in named.items() if operator.kind in LAYERS)


def _operators(interpreter: Any) -> list[Operator]:
    """Those that the quantiser supports and that write floats."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_CODE_TO_NAME

    known = {kind for kind, code in vars(qtyping.BuiltinOperator).items() if code in TFL_OP_CODE_TO_NAME}
    tensors = {details["index"]: details for details in interpreter.get_tensor_details()}
    found = []
    for operator in interpreter._get_ops_details():
        kind, writes = operator["op_name"], [index for index in operator["outputs"] if index in tensors]
        if kind in known and writes and all(tensors[index]["dtype"].__name__ == "float32" for index in writes):
            names = [tensors[index]["name"] for index in writes]
            reads = tuple(int(index) for index in operator["inputs"] if index >= 0)
            scope = "".join(f"{name};" for name in names)
            found.append(Operator(kind, names[0], scope, reads, tuple(map(int, writes))))
    return found


def _named(operators: list[Operator]) -> dict[str, Operator]:
    """By names that the network's users may recognise: layers by their modules, other operators also by their kind."""
    found: dict[str, Operator] = {}
    for operator in operators:
        if operator.moves:
            continue
        short = "/".join(MODULE.findall(operator.tensor.rpartition(";;")[2])) or operator.tensor
        short = short if operator.kind in LAYERS else f"{short} ({operator.kind})"
        found[f"{short}#{len(found)}" if short in found else short] = operator
    return found


def _float_scopes(interpreter: Any, float_layers: tuple[str, ...]) -> list[str]:
    """The scopes of these operators, and of those that only move their outputs."""
    operators = _operators(interpreter)
    named = _named(operators)
    chosen = {named[name].scope for name in float_layers}
    written = {index for operator in interpreter._get_ops_details() for index in operator["outputs"]}
    floats: set[int] = set()
    scopes = []
    for operator in operators:
        given = [index for index in operator.reads if index in written]
        if operator.scope in chosen or (operator.moves and given and floats.issuperset(given)):
            floats.update(operator.writes)
            scopes.append(operator.scope)
    return scopes


def _masking_scopes(interpreter: Any, seen: dict[str, Histogram]) -> list[str]:
    """The scopes of operators that mask scores for a softmax, and of the softmax: eight bits have no room for both."""
    names = {details["index"]: details["name"] for details in interpreter.get_tensor_details()}
    masked = {index for index, name in names.items() if name in seen and seen[name].has_mask}
    operators = _operators(interpreter)
    scopes = []
    for operator in operators:
        waiting = [operator] if operator.kind == "SOFTMAX" and masked.intersection(operator.reads) else []
        while waiting:
            one = waiting.pop()
            scopes.append(one.scope)
            waiting += [other for other in operators if masked.intersection(one.reads).intersection(other.writes)]
    return scopes


def _products_of_constants(interpreter: Any) -> list[str]:
    """The scopes of matrix products whose first factor is a constant."""
    written = {index for operator in interpreter._get_ops_details() for index in operator["outputs"]}
    written |= {details["index"] for details in interpreter.get_input_details()}
    return [
        operator.scope
        for operator in _operators(interpreter)
        if operator.kind == "BATCH_MATMUL" and operator.reads[0] not in written
    ]


def observe(float32: Path, samples: Iterable[Sequence[Any]]) -> dict[str, Histogram]:
    """The values of each activation, as histograms. samples: an array for each input, as the network takes them."""
    interpreter = _interpreter(float32)
    sources = [details["index"] for details in interpreter.get_input_details()]
    written = {index for operator in interpreter._get_ops_details() for index in operator["outputs"]}
    names = {
        details["index"]: details["name"]
        for details in interpreter.get_tensor_details()
        if details["index"] in {*sources, *written} and details["dtype"].__name__ == "float32"
    }
    seen = {name: Histogram() for name in names.values()}
    for sample in samples:
        for index, array in zip(sources, sample, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        for index, name in names.items():
            seen[name].add(interpreter.get_tensor(index))
    return seen


def quantise(float32: Path, out: Path, seen: dict[str, Histogram], scheme: Scheme) -> None:
    import numpy as np
    from ai_edge_quantizer import qtyping, quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    interpreter = _interpreter(float32)
    sources = {details["name"] for details in interpreter.get_input_details()}
    dimensions = {details["name"]: len(details["shape"]) for details in interpreter.get_tensor_details()}
    ranges = {}
    for name, histogram in seen.items():
        # The range of an input is that of a byte: no value is an outlier.
        ends = chosen(histogram, "minmax" if name in sources else scheme.ranges)
        low, high = (np.full((1,) * dimensions[name], end, np.float32) for end in ends)
        ranges[name] = {"min": low, "max": high}
    ranges |= _with_room_for_biases(interpreter, ranges)
    maker = quantizer.Quantizer(str(float32))
    maker.load_quantization_recipe(recipe.static_wi8_ai8())
    for scope in _products_of_constants(interpreter):
        # Its kernel has one scale for the whole constant, and reads the first of several.
        maker.add_static_config(
            regex=f"^{re.escape(scope)}$",
            operation_name=qtyping.TFLOperationName.BATCH_MATMUL,
            activation_num_bits=8,
            weight_num_bits=8,
            weight_granularity=qtyping.QuantGranularity.TENSORWISE,
        )
    for scope in {*_float_scopes(interpreter, scheme.float_layers), *_masking_scopes(interpreter, seen)}:
        maker.update_quantization_recipe(
            regex=f"^{re.escape(scope)}$",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    maker.quantize(ranges, enable_progress_report=False).export_model(str(out), overwrite=True)
    flatbuffer.gather(out)
    signatures.repair(float32, out)


def _with_room_for_biases(interpreter: Any, ranges: dict[str, Any]) -> dict[str, Any]:
    """Ranges of weights, only for layers that need wider ones than their weights span.

    A bias is stored in steps of the input times those of the weights. A filter that died in training, or a channel that
    a batch norm almost suppresses, has weights so small that its bias does not fit into 32 bits of such steps, and the
    quantiser clips it without a warning.
    """
    import numpy as np

    names = {details["index"]: details["name"] for details in interpreter.get_tensor_details()}
    found: dict[str, Any] = {}
    for operator in interpreter._get_ops_details():
        given = [int(index) for index in operator["inputs"]]
        if operator["op_name"] not in LAYERS or len(given) < (4 if operator["op_name"] == TRANSPOSED else 3):
            continue
        source, held, added = (given[2], given[1], given[3]) if operator["op_name"] == TRANSPOSED else given[:3]
        if added < 0 or names[source] not in ranges:
            continue
        weight, bias = interpreter.get_tensor(held), interpreter.get_tensor(added)
        axis = weight.ndim - 1 if operator["op_name"] == "DEPTHWISE_CONV_2D" else 0
        others = tuple(other for other in range(weight.ndim) if other != axis)
        span = abs(weight).max(others, keepdims=True)
        ends = ranges[names[source]]
        step = (max(float(ends["max"].max()), 0.0) - min(float(ends["min"].min()), 0.0)) / STEPS
        shape = [1] * weight.ndim
        shape[axis] = -1
        least = (abs(bias) / max(step * LARGEST_BIAS, 1e-30) * LARGEST_WEIGHT).reshape(shape)
        if (least > span).any():
            wide = np.maximum(span, least).astype(np.float32)
            found[names[held]] = {"min": -wide, "max": wide}
    return found


def _interpreter(path: Path) -> Any:
    """Keeps all tensors, not only inputs and outputs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    return interpreter
