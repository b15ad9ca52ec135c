"""Networks that come as .onnx files: opsets, weights of other types, weights beside the file, names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.strange_networks import images, operators, sequences
from benchmarks.strange_networks.kinds import IMAGE, Network, Port


def half_weights(path: Path) -> None:
    """Weights as float16, cast where they are read."""
    _cast_weights(path, "FLOAT16")


def brain_weights(path: Path) -> None:
    """Weights as bfloat16, cast where they are read."""
    _cast_weights(path, "BFLOAT16")


def _cast_weights(path: Path, kind: str) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    casts = []
    for tensor in [one for one in model.graph.initializer if one.data_type == TensorProto.FLOAT]:
        name, array = tensor.name, numpy_helper.to_array(tensor)
        tensor.CopyFrom(helper.make_tensor(f"{name}_stored", getattr(TensorProto, kind), array.shape, array.ravel()))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def half_throughout(path: Path) -> None:
    """All in float16, only inputs and outputs in float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    halved = OnnxModel(convert_float_to_float16(onnx.load(str(path)), keep_io_types=True))
    halved.topological_sort()
    onnx.save(halved.model, str(path))


def weights_beside(path: Path) -> None:
    import onnx

    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)


def strange_names(path: Path) -> None:
    """Not ASCII, with spaces, slashes and colons, very long, and alike once these are replaced."""

    def named(number: int) -> str:
        return ("слой: выход/0 é ", "a/b:0", "a_b_0", "a b 0", "a:b/0", f"{'long_' * 60}")[number % 6] + (
            f"·{number // 6}" if number >= 6 else ""
        )

    import onnx

    model = onnx.load(str(path))
    tensors = dict.fromkeys(name for node in model.graph.node for name in (*node.input, *node.output) if name)
    new = {name: named(number) for number, name in enumerate(tensors)}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new.get(name, name) for name in names]
        node.name = f"узел {node.name}"
    for values in (model.graph.input, model.graph.output, model.graph.initializer, model.graph.value_info):
        for value in values:
            value.name = new.get(value.name, value.name)
    onnx.save(model, str(path))


def constant_nodes(path: Path) -> None:
    """Every weight as a Constant node."""
    import onnx
    from onnx import helper

    model = onnx.load(str(path))
    nodes: list[Any] = [helper.make_node("Constant", [], [one.name], value=one) for one in model.graph.initializer]
    nodes += list(model.graph.node)
    del model.graph.initializer[:]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def open_sizes(path: Path) -> None:
    """Nothing but the number of channels is fixed."""
    import onnx

    model = onnx.load(str(path))
    del model.graph.value_info[:]
    for place, name in ((0, "batch"), (2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, str(path))


FILES = (
    *(Network(f"opset {opset}", images.Residual, opset=opset, as_file=True) for opset in (11, 12, 13, 14, 15, 16)),
    *(Network(f"opset {opset}", images.InvertedResidual, opset=opset, as_file=True) for opset in (18, 19, 20)),
    Network("opset 21, dynamo", images.VisionTransformer, opset=21, dynamo=True, as_file=True),
    Network("opset 22, dynamo", images.ConvNext, opset=22, dynamo=True, as_file=True),
    Network("opset 18, dynamo, U-Net", images.UNet, opset=18, dynamo=True, as_file=True),
    Network(
        "LSTM, opset 11", sequences.lstm, (Port("steps", (1, sequences.STEPS, sequences.FEATURES)),), 11, as_file=True
    ),
    Network("float16 weights", images.Residual, edit=half_weights),
    Network("float16 throughout", images.InvertedResidual, edit=half_throughout),
    Network("bfloat16 weights", images.Residual, edit=brain_weights),
    Network("external data", images.Residual, edit=weights_beside),
    Network("strange tensor names", images.Residual, edit=strange_names),
    Network("weights as Constant nodes", images.InvertedResidual, edit=constant_nodes),
    Network("open sizes", images.Residual, edit=open_sizes, open_sizes=True),
    Network("Resize, opset 11", operators.resize_bilinear, IMAGE, 11, as_file=True),
)
