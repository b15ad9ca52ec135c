"""INT8 of a float32 .onnx file: the ranges of its tensors, and the file with quantise and dequantise nodes.

Activations are unsigned, weights signed and per channel: onnxruntime fuses all of that on x86 and ARM. Signed
activations stay partly unfused on x86, and are for boards on which they take fewer instructions; unsigned weights run
on slower kernels. Any layer may stay float; operators that only follow float layers then stay float too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.tensors import relative_error
from exporters import Scheme
from exporters.arithmetic import affine
from exporters.arithmetic.ranges import Histogram, chosen
from exporters.onnx_edit.affine import OnnxGraph
from exporters.onnx_edit.operators import LAYERS, always_float, float_nodes, known, rankable, weighted
from exporters.onnx_edit.widening import widen

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

# Their integer kernels look up one byte at a time; on large maps, and between float layers, float is faster.
SLOW_ACTIVATIONS = ("Sigmoid", "HardSigmoid", "HardSwish")
# Numbers of layers: the stem, or the stem and first block (depthwise in MobileNetV2, squeeze-excite in EfficientNet).
FLOAT_STEMS = (1, 2, 3, 4)
# From this many pixels on, the stem takes a notable part of a light network's time: its three channels fill few of the
# lanes of integer kernels, and depthwise kernels gain nothing from integers.
LARGE_MAP = 96 * 96
OLDEST_OPSET = 13  # the first with dequantise nodes per channel
NEWER_OPSET = 17
IMAGES_TO_COMPARE = 4


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
    (source,) = (port for port in model.graph.input if port.name not in {one.name for one in model.graph.initializer})
    shape = [size.dim_value or 1 for size in source.type.tensor_type.shape.dim]
    images = np.random.default_rng(0).standard_normal((IMAGES_TO_COMPARE, *shape), np.float32)
    before, after = (
        np.concatenate([session.run(None, {source.name: image})[0] for image in images])
        for session in (_session(model.SerializeToString()), _session(folded.SerializeToString()))
    )
    error = relative_error(after, before)
    return (
        (folded, str(done)) if error <= affine.LARGEST_ERROR else (model, f"not folded: outputs change by {error:.1e}")
    )


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


def left_in_float(prepared: Path) -> str:
    """Which layers always stay float, and why; "" if there are none."""
    names = always_float(_graph(prepared))
    return f"{', '.join(names)}: grouped transposed convolutions, which are float in onnxruntime" if names else ""


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


def observe(prepared: Path, images: Iterable[Float32Array]) -> dict[str, Histogram]:
    """The values of each float tensor, as histograms. images: [1, ...], in the network's own layout."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(str(prepared)))
    source = model.graph.input[0].name
    known = {value.name for value in model.graph.output}
    added = [value for value in model.graph.value_info if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    model.graph.output.extend(value for value in added if value.name not in known)
    names = [value.name for value in model.graph.output]

    exposed = prepared.with_suffix(".exposed.onnx")
    onnx.save(model, str(exposed))
    session = _session(str(exposed))
    seen = {name: Histogram() for name in [source, *names]}
    for image in images:
        seen[source].add(image)
        for name, values in zip(names, session.run(names, {source: image}), strict=True):
            seen[name].add(values)
    return seen


def quantise(prepared: Path, out: Path, seen: dict[str, Histogram], scheme: Scheme) -> None:
    import numpy as np
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    model = load_model_with_shape_infer(prepared)
    named = rankable(model.graph) if scheme.exactly else ()
    source = model.graph.input[0].name
    ranges = {}
    for name, histogram in seen.items():
        # The range of the input is that of a byte: no value is an outlier.
        ends = chosen(histogram, "minmax" if name == source else scheme.ranges)
        ranges[name] = tuple(np.array(end, np.float32) for end in ends)
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=scheme.kernels.weight_bits == 7,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if scheme.kernels.signed else QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=float_nodes(model.graph, (*scheme.float_layers, *always_float(model.graph)), exactly=named),
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
    writers = {name: node for node in graph.node for name in node.output}
    (answer,) = (port.name for port in graph.output)
    dequantise = writers[answer]
    quantise = writers.get(dequantise.input[0])
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
