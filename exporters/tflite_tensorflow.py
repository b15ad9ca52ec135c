"""TFLite of any .onnx file, and of checkpoints that litert-torch cannot convert: onnx2tf, TensorFlow,
ai-edge-quantizer.

Slower to start than `tflite` and much heavier to install (the extra `tensorflow`). onnx2tf turns channels-first inputs
into channels-last ones. fp16 and INT8 are made from the float32 file as in `tflite`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from exporters import ConversionJob, ConvertedFile, onnx, tflite
from exporters.onnx_edit import simplified
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
    import tensorflow

    prepared = out.with_suffix(".onnx")
    # Simplified here: onnx2tf runs the program `onnxsim`, which is only on the path if the environment is active.
    specs = simplified.write(source, onnx.open_artifact(source).inputs, prepared)
    # Of the others, images, it moves the channels last.
    kept = [one.name for one in job.inputs if one.layout != "NCHW"]
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


__all__ = ["convert", "fold", "open_artifact", "open_for_batches", "warm"]
