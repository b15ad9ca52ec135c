"""INT8 of a float32 .tflite file with a signature: what its tensors hold, and the file with int8 inputs and outputs.

ai-edge-quantizer writes the file; the ranges are our own, because its calibrator knows extremes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporters import Scheme
from exporters._ranges import METHODS, Histogram, minmax

if TYPE_CHECKING:
    from edgebench.data import Float32Array

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
# litert-torch: each layer inside another, `package.Class_name`.
MODULE = re.compile(r"[\w.]+\.[A-Z]\w*?_(\w+)")


def layers(float32: Path) -> dict[str, str]:
    """The operators with weights, in the order in which they run: a short name -> that of the tensor they write."""
    interpreter = _interpreter(float32)
    tensors = {details["index"]: details["name"] for details in interpreter.get_tensor_details()}
    found: dict[str, str] = {}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] in LAYERS:
            tensor = tensors[operator["outputs"][0]]
            short = "/".join(MODULE.findall(tensor.rpartition(";;")[2])) or tensor
            found[f"{short}#{len(found)}" if short in found else short] = tensor
    return found


def observe(float32: Path, images: Iterable[Float32Array]) -> dict[str, Histogram]:
    """What each activation of the network held. images: [1, ...], in the network's own layout."""
    interpreter = _interpreter(float32)
    (source,) = interpreter.get_input_details()
    written = {index for operator in interpreter._get_ops_details() for index in operator["outputs"]}
    names = {
        details["index"]: details["name"]
        for details in interpreter.get_tensor_details()
        if details["index"] in {source["index"], *written} and details["dtype"].__name__ == "float32"
    }
    seen = {name: Histogram() for name in names.values()}
    for image in images:
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        for index, name in names.items():
            seen[name].add(interpreter.get_tensor(index))
    return seen


def quantise(float32: Path, out: Path, seen: dict[str, Histogram], scheme: Scheme) -> None:
    import numpy as np
    from ai_edge_quantizer import qtyping, quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    interpreter = _interpreter(float32)
    source = interpreter.get_input_details()[0]["name"]
    dimensions = {details["name"]: len(details["shape"]) for details in interpreter.get_tensor_details()}
    ranges = {}
    for name, histogram in seen.items():
        # The ends of the input are those of a byte: nothing there is an outlier.
        method = minmax if name == source else METHODS[scheme.ranges]
        low, high = (np.full((1,) * dimensions[name], end, np.float32) for end in method(histogram))
        ranges[name] = {"min": low, "max": high}
    maker = quantizer.Quantizer(str(float32))
    maker.load_quantization_recipe(recipe.static_wi8_ai8())
    tensors = layers(float32)
    for layer in scheme.float_layers:
        maker.update_quantization_recipe(
            regex=f"^{re.escape(tensors[layer])};$",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    maker.quantize(ranges, enable_progress_report=False).export_model(str(out), overwrite=True)


def _interpreter(path: Path) -> Any:
    """With all tensors kept, not only inputs and outputs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    return interpreter
