"""TFLite of any .onnx file, and of checkpoints that litert-torch cannot convert: onnx2tf, TensorFlow,
ai-edge-quantizer.

Slower to start than `tflite` and much heavier to install (the extra `tensorflow`). onnx2tf turns channels-first inputs
into channels-last ones. fp16 and INT8 are made from the float32 file as in `tflite`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from exporters import ConversionJob, ConvertedFile, onnx, tflite
from exporters.tflite import fold, open_artifact, open_for_batches

FORMAT = "tflite"
SUFFIX = ".tflite"
SOURCES = ("checkpoint", "module", "onnx")
PRECISIONS = ("fp32", "fp16", "int8")
PACKAGES = (
    "onnx",
    "tensorflow",
    "tf_keras",
    "onnx2tf",
    "onnx_graphsurgeon",
    "onnxsim",
    "sng4onnx",
    "ai_edge_quantizer",
)
EXTRA = "tensorflow"

# onnx2tf downloads this file from GitHub for three-channel inputs, unless it is in the working folder.
PROBE_FILE = "calibration_image_sample_data_20x128x128x3_float32.npy"
NEVER_NEGATIVE = ("Relu", "Sigmoid", "Clip")


def warm() -> None:
    """Not TensorFlow: a checkpoint is read first, and torch's compiler crashes if TensorFlow was imported before it."""
    import onnxsim  # noqa: F401


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    float32 = Path(job.folder) / "tflite-fp32.tflite"
    if not float32.exists():
        _from_onnx(onnx.float32_of(job), job, float32)
    yield from tflite.precisions_of(float32, job)


def _from_onnx(source: Path, job: ConversionJob, out: Path) -> None:
    import numpy as np
    import onnx2tf
    import onnxsim
    import tensorflow
    from onnx import load, save

    specs = onnx.open_artifact(source).inputs
    # Simplified here: onnx2tf runs the program `onnxsim`, which is only on the path if the environment is active.
    model, _ = onnxsim.simplify(load(str(source)), overwrite_input_shapes={one.name: list(one.shape) for one in specs})
    pad_before_pooling(model)
    prepared = out.with_suffix(".onnx")
    # Of the others, images, it moves the channels last.
    kept = [one.name for one in job.inputs if one.layout != "NCHW"]
    save(model, str(prepared))
    os.chdir(out.parent)
    # onnx2tf compares the outputs of its layers on these; any images will do.
    probe = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    np.save(PROBE_FILE, probe, allow_pickle=False)
    saved = out.with_suffix(".saved-model")
    try:
        onnx2tf.convert(
            input_onnx_file_path=str(prepared),
            output_folder_path=str(saved),
            not_use_onnxsim=True,
            batch_size=1,
            keep_shape_absolutely_input_names=[one.name for one in specs if one.name in kept] or None,
            non_verbose=True,
        )
    except SystemExit as stop:
        raise RuntimeError("onnx2tf cannot convert this network") from stop
    # Not onnx2tf's own .tflite file: it has no signature, and the quantizer needs one.
    out.write_bytes(tensorflow.lite.TFLiteConverter.from_saved_model(str(saved)).convert())


def pad_before_pooling(model: Any) -> int:
    """Turn MaxPool(pads) after a layer that is never negative into Pad(0) + MaxPool, in place; returns how many.

    onnx2tf pads with the lowest float, using an operator (PADV2) that XNNPACK does not support: the network would run
    in two parts. TensorFlow's own quantizer even derives a scale of 1e36 from it, which crashes LiteRT. After a layer
    whose outputs are >= 0, padding with zeros gives the same.
    """
    import numpy as np
    from onnx import helper, numpy_helper

    graph = model.graph
    producers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    nodes = []
    turned = 0
    for node in graph.node:
        pads = next((a for a in node.attribute if a.name == "pads" and any(a.ints)), None)
        if node.op_type == "MaxPool" and pads and _never_negative(producers.get(node.input[0]), constants):
            padded, sizes, zero = (f"{node.output[0]}_{part}" for part in ("padded", "pads", "zero"))
            top, left, bottom, right = pads.ints
            sizes_of_all_axes = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            graph.initializer.append(numpy_helper.from_array(sizes_of_all_axes, sizes))
            graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), zero))
            nodes.append(helper.make_node("Pad", [node.input[0], sizes, zero], [padded], mode="constant"))
            node.input[0] = padded
            node.attribute.remove(pads)
            turned += 1
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return turned


def _never_negative(node: Any, constants: dict[str, Any]) -> bool:
    if node is None or node.op_type not in NEVER_NEGATIVE:
        return False
    if node.op_type != "Clip":
        return True
    lowest = constants.get(node.input[1]) if len(node.input) > 1 else None
    return lowest is not None and bool(lowest >= 0)


__all__ = ["convert", "fold", "open_artifact", "open_for_batches", "pad_before_pooling", "warm"]
