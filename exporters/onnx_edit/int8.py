"""INT8 of a float32 .onnx file: the ranges of its tensors, and the file with quantise and dequantise nodes.

Activations are unsigned, weights signed and per channel: onnxruntime fuses all of that on x86 and ARM. Signed
activations stay partly unfused on x86, and are for boards on which they take fewer instructions; unsigned weights run
on slower kernels. Any layer may stay float; operators that only follow float layers then stay float too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgebench.schema.tensors import relative_error
from exporters import Scheme
from exporters.arithmetic import affine
from exporters.arithmetic.ranges import Histogram, chosen
from exporters.onnx_edit.affine import OnnxGraph
from exporters.onnx_edit.operators import LAYERS, always_float, float_nodes, known, masking, rankable, weighted
from exporters.onnx_edit.widening import widen

# Their integer kernels look up one byte at a time; on large maps, and between float layers, float is faster.
SLOW_ACTIVATIONS = ("Sigmoid", "HardSigmoid", "HardSwish")
# Numbers of layers: the stem, or the stem and first block (depthwise in MobileNetV2, squeeze-excite in EfficientNet).
FLOAT_STEMS = (1, 2, 3, 4)
# From this many pixels on, the stem takes a notable part of a light network's time: its three channels fill few of the
# lanes of integer kernels, and depthwise kernels gain nothing from integers.
LARGE_MAP = 96 * 96
OLDEST_OPSET = 13  # the first with dequantise nodes per channel
NEWER_OPSET = 17
SAMPLES_TO_COMPARE = 4


def prepare(float32: Path, out: Path) -> str:
    """Fold normalisations and give each layer its own tensors and name.

    Returns what became of the normalisations that do not follow a convolution, "" if there are none. Tensors that
    tracing shared between layers would keep convolutions from being fused. A float layer without a bias of its own
    would read that of an INT8 layer, dequantise it each time and run on a slower kernel.
    """
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(float32), str(out), skip_symbolic_shape=True)
    model = onnx.load(str(out))
    if next(entry.version for entry in model.opset_import if entry.domain == "") < OLDEST_OPSET:
        model = version_converter.convert_version(model, NEWER_OPSET)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    folded, note = _folded(model)
    _unshare(folded.graph)
    onnx.save(folded, str(out))
    return note


def _folded(model: Any) -> tuple[Any, str]:
    """The network with fewer operators that only scale and shift channels, if its answers stay the same; and a note."""
    import numpy as np
    from onnx import shape_inference

    folded = shape_inference.infer_shapes(model)
    graph = OnnxGraph(folded.graph)
    done = affine.fold(graph)
    if not done.any:
        return model, ""
    graph.drop_unread()
    folded = shape_inference.infer_shapes(folded)
    random = np.random.default_rng(0)
    samples = [_random_inputs(model.graph, random) for _ in range(SAMPLES_TO_COMPARE)]
    before, after = (
        [
            np.concatenate([one.ravel() for one in found])
            for found in zip(*(session.run(None, sample) for sample in samples), strict=True)
        ]
        for session in (_session(model.SerializeToString()), _session(folded.SerializeToString()))
    )
    error = max(relative_error(*both) for both in zip(after, before, strict=True))
    return (
        (folded, str(done)) if error <= affine.LARGEST_ERROR else (model, f"not folded: outputs change by {error:.1e}")
    )


def fed(graph: Any) -> list[Any]:
    """The inputs that have no number of their own, as older files give them for each weight."""
    held = {tensor.name for tensor in graph.initializer}
    return [port for port in graph.input if port.name not in held]


def _random_inputs(graph: Any, random: Any) -> dict[str, Any]:
    """By name. Integers are zero: what else an index or a length may be is not known."""
    import numpy as np
    from onnx import helper

    found = {}
    for port in fed(graph):
        shape = [size.dim_value or 1 for size in port.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        is_float = np.issubdtype(dtype, np.floating)
        found[port.name] = np.asarray(random.standard_normal(shape) if is_float else np.zeros(shape)).astype(dtype)
    return found


def _session(model: bytes | str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _unshare(graph: Any) -> None:
    """Copy constants that several layers read: tracing merges equal tensors, such as all biases of zero."""
    import onnx

    held = {tensor.name: tensor for tensor in graph.initializer}
    read: set[str] = set()
    for node in graph.node:
        for position, name in enumerate(node.input if node.op_type in LAYERS else ()):
            if name in read:
                copy = onnx.TensorProto()
                copy.CopyFrom(held[name])
                copy.name = f"{name}/{node.name}"
                graph.initializer.append(copy)
                node.input[position] = copy.name
            elif name in held:
                read.add(name)


def layers(prepared: Path) -> tuple[str, ...]:
    """Names of the nodes with weights, in execution order."""
    return weighted(_graph(prepared))


def operators(prepared: Path) -> tuple[str, ...]:
    """Names of all nodes that may be INT8 or float by themselves, in execution order."""
    import onnx

    return rankable(onnx.shape_inference.infer_shapes(onnx.load(str(prepared))).graph)


def left_in_float(prepared: Path, seen: dict[str, Histogram]) -> str:
    """Which layers always stay float, and why; "" if there are none."""
    graph = _graph(prepared)
    parts = []
    if names := always_float(graph):
        parts.append(f"{', '.join(names)}: grouped transposed convolutions, which are float in onnxruntime")
    if names := masking(graph, masked(seen)):
        parts.append(f"{', '.join(names)}: they mask scores, and eight bits have no room for both")
    return "; ".join(parts)


def masked(seen: dict[str, Histogram]) -> set[str]:
    return {name for name, histogram in seen.items() if histogram.has_mask}


def float_starts(prepared: Path) -> tuple[tuple[str, ...], ...]:
    """Groups of layers at the input that may be faster in float; none in most networks."""
    graph = _graph(prepared)
    if not any(node.op_type in SLOW_ACTIVATIONS for node in graph.node) and not _is_light_on_large_maps(graph):
        return ()
    named = layers(prepared)
    return tuple(named[:count] for count in FLOAT_STEMS if count < len(named))


def _is_light_on_large_maps(graph: Any) -> bool:
    """Whether it has depthwise convolutions, and a stem with large output maps."""
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    groups = [attribute.i for node in convolutions for attribute in node.attribute if attribute.name == "group"]
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in graph.value_info}
    if not convolutions or max(groups, default=1) == 1:
        return False
    maps: list[int] = shapes.get(convolutions[0].output[0], [])[2:]
    return math.prod(maps) >= LARGE_MAP


def observe(prepared: Path, samples: Iterable[Sequence[Any]]) -> dict[str, Histogram]:
    """The values of each float tensor, as histograms. samples: an array for each input, as the network takes them."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(str(prepared)))
    sources = [port.name for port in fed(model.graph)]
    # Optimisers leave the types of tensors that they removed.
    added = {name for node in model.graph.node for name in node.output} - {value.name for value in model.graph.output}
    model.graph.output.extend(value for value in model.graph.value_info if value.name in added)
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
    names = [name for name, kind in kinds.items() if kind == onnx.TensorProto.FLOAT and name not in sources]

    exposed = prepared.with_suffix(".exposed.onnx")
    onnx.save(model, str(exposed))
    session = _session(str(exposed))
    seen = {name: Histogram() for name in [*sources, *names]}
    for sample in samples:
        given = dict(zip(sources, sample, strict=True))
        for name, values in (given | dict(zip(names, session.run(names, given), strict=True))).items():
            seen[name].add(values)
    return {name: one for name, one in seen.items() if name in names or one.lows}


def quantise(prepared: Path, out: Path, seen: dict[str, Histogram], scheme: Scheme) -> None:
    import numpy as np
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    model = load_model_with_shape_infer(prepared)
    named = rankable(model.graph) if scheme.exactly else ()
    never = (*always_float(model.graph), *masking(model.graph, masked(seen)))
    sources = {port.name for port in fed(model.graph)}
    ranges = {}
    for name, histogram in seen.items():
        # The range of an input is that of a byte: no value is an outlier.
        ends = chosen(histogram, "minmax" if name in sources else scheme.ranges)
        ranges[name] = tuple(np.array(end, np.float32) for end in ends)
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=scheme.kernels.weight_bits == 7,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if scheme.kernels.signed else QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=float_nodes(model.graph, (*scheme.float_layers, *never), exactly=named),
        op_types_to_quantize=known(),
        extra_options={},
    )
    quantizer.quantize_model()
    _answer_in_float(quantizer.model.model.graph)
    if scheme.kernels.x86:
        widen(quantizer.model.model)
    quantizer.model.save_model_to_file(str(out), False)


def _answer_in_float(graph: Any) -> None:
    """Leave the outputs of a last linear layer in float, as they are summed: the file's outputs are float in any case.

    256 steps between the largest and the smallest logit of all images are few: for one to three images in a hundred,
    two classes came out equal, and the first of them won. onnxruntime has a kernel that sums bytes to floats.
    """
    for port in graph.output:
        _sums_in_float(graph, port.name)


def _sums_in_float(graph: Any, answer: str) -> None:
    writers = {name: node for node in graph.node for name in node.output}
    dequantise = writers[answer]
    quantise = writers.get(next(iter(dequantise.input), ""))
    if dequantise.op_type != "DequantizeLinear" or quantise is None or quantise.op_type != "QuantizeLinear":
        return
    layer = writers.get(quantise.input[0])
    if layer is None or layer.op_type != "Gemm":
        return
    given = [writers.get(name) for name in layer.input]
    read = sum(layer.output[0] in node.input for node in graph.node)
    if given and read == 1 and all(node is not None and node.op_type == "DequantizeLinear" for node in given):
        graph.node.remove(dequantise)
        graph.node.remove(quantise)
        layer.output[0] = answer


def _graph(path: Path) -> Any:
    import onnx

    return onnx.load(str(path), load_external_data=False).graph
