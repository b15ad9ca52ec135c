"""Makes device_agents/python/peak_models.py: networks of one large matrix product, by which an agent probes a device.

python tools/make_peak_models.py
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

SIZE = 512
CONVERTER = Path(__file__).parents[1] / "exporters/_mnn_converter.py"
WRITTEN = Path(__file__).parents[1] / "device_agents/python/peak_models.py"
HEAD = '''"""Networks of one product of two matrices of %d x %d, in float32 and in INT8, for each kind of file.

Deflated twice, as all weights are equal. Made by tools/make_peak_models.py.
"""

SIZE = %d
PEAK_MODELS = {
'''


def onnx_float() -> bytes:
    import numpy as np
    from onnx import TensorProto, helper

    weights = helper.make_tensor(
        "w", TensorProto.FLOAT, [SIZE, SIZE], np.full(SIZE * SIZE, 0.01, "<f4").tobytes(), raw=True
    )
    return _onnx(TensorProto.FLOAT, [helper.make_node("MatMul", ["x", "w"], ["y"])], [weights])


def onnx_int8() -> bytes:
    """As quantised files are: the product between DequantizeLinear and QuantizeLinear, which runtimes fuse."""
    import numpy as np
    from onnx import TensorProto, helper

    stored = np.full(SIZE * SIZE, 3, "i1").tobytes()
    constants = [
        helper.make_tensor("w", TensorProto.INT8, [SIZE, SIZE], stored, raw=True),
        helper.make_tensor("s", TensorProto.FLOAT, [], [0.01]),
        helper.make_tensor("z", TensorProto.UINT8, [], [0]),
        helper.make_tensor("zw", TensorProto.INT8, [], [0]),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["w", "s", "zw"], ["b"]),
        helper.make_node("MatMul", ["a", "b"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["y"]),
    ]
    return _onnx(TensorProto.UINT8, nodes, constants)


def _onnx(dtype: int, nodes: list[Any], constants: list[Any]) -> bytes:
    from onnx import helper

    ends = [helper.make_tensor_value_info(name, dtype, [SIZE, SIZE]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    made: bytes = helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]
    ).SerializeToString()
    return made


def tflite_float() -> bytes:
    import numpy as np

    return _tflite("FLOAT32", np.full(SIZE * SIZE, 0.01, "<f4").tobytes())


def tflite_int8() -> bytes:
    import numpy as np

    return _tflite("INT8", np.full(SIZE * SIZE, 3, "i1").tobytes())


def _tflite(dtype: str, stored: bytes) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, buffer: int) -> Any:
        made = schema.TensorT()
        made.shape, made.type, made.buffer, made.name = [SIZE, SIZE], getattr(schema.TensorType, dtype), buffer, name
        if dtype == "INT8":
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [0.01], [0]
        return made

    operator, code, graph, model = schema.OperatorT(), schema.OperatorCodeT(), schema.SubGraphT(), schema.ModelT()
    operator.inputs, operator.outputs = [0, 1, -1], [2]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    graph.tensors = [tensor("x", 0), tensor("w", 1), tensor("y", 0)]
    graph.inputs, graph.outputs, graph.operators, graph.name = [0], [2], [operator], "main"
    empty, weights = schema.BufferT(), schema.BufferT()
    weights.data = np.frombuffer(stored, "u1")
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [empty, weights]
    builder = flatbuffers.Builder(len(stored) + 4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def mnn_float() -> bytes:
    """By MNN's converter, without the random name that it gives to each file."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "a.onnx", Path(folder) / "a.mnn"
        given.write_bytes(onnx_float())
        command = [sys.executable, "-I", str(CONVERTER), "-f", "ONNX", "--bizCode", "edgebench"]
        command += ["--modelFile", str(given), "--MNNModel", str(made)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        return re.sub(rb"\w{8}(-\w{4}){3}-\w{12}", b"0" * 36, made.read_bytes(), count=1)


def source() -> str:
    lines = []
    made = {
        ".onnx": {"float": onnx_float(), "int8": onnx_int8()},
        ".tflite": {"float": tflite_float(), "int8": tflite_int8()},
        ".mnn": {"float": mnn_float()},
    }
    for suffix, models in made.items():
        lines.append(f'    "{suffix}": {{\n')
        for kind, content in models.items():
            packed = base64.b64encode(zlib.compress(zlib.compress(content, 9), 9)).decode()
            parts = [packed[place : place + 96] for place in range(0, len(packed), 96)]
            text = "".join(f'            "{part}"\n' for part in parts)
            lines.append(f'        "{kind}": (\n{text}        ),\n')
        lines.append("    },\n")
    return HEAD % (SIZE, SIZE, SIZE) + "".join(lines) + "}\n"


if __name__ == "__main__":
    WRITTEN.write_text(source())
