"""TFLite (LiteRT) of a checkpoint: float32 and fp16 weights, and full INT8 with int8 inputs and outputs.

litert-torch converts without TensorFlow and without an ONNX file in between; ai-edge-quantizer makes fp16 and INT8 of
its float32 file. Inputs are channels last (NHWC), as TFLite runtimes expect.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgebench.bundle import TensorSpec
from edgebench.data import Preprocessing
from exporters import Job, Made, Opened

FORMAT = "tflite"
SUFFIX = ".tflite"
SOURCES = ("checkpoint",)
PRECISIONS = ("fp32", "fp16", "int8")
PACKAGES = ("torch", "litert_torch", "ai_edge_quantizer", "ai_edge_litert")
EXTRA = "export"

INT8_METHODS = ("minmax", "moving-average")


def warm() -> None:
    import ai_edge_quantizer  # noqa: F401
    import litert_torch  # noqa: F401


def convert(job: Job) -> Iterator[Made]:
    float32 = Path(job.folder) / "tflite-fp32.tflite"
    _from_checkpoint(Path(job.source), float32)
    yield from precisions_of(float32, job)


def _from_checkpoint(source: Path, out: Path) -> None:
    import litert_torch
    import torch

    from edgebench import checkpoint

    opened = checkpoint.load(source)
    channels, height, width = opened.about.input_shape
    network = litert_torch.to_channel_last_io(opened.build(), args=[0]).eval()
    litert_torch.convert(network, (torch.zeros(1, height, width, channels),)).export(str(out))


def precisions_of(float32: Path, job: Job) -> Iterator[Made]:
    """The wanted precisions of a float32 .tflite file that has a signature."""
    folder = Path(job.folder)
    if "fp32" in job.precisions:
        yield Made("fp32", str(float32))
    if "fp16" in job.precisions:
        yield Made("fp16", str(_halve(float32, folder / "tflite-fp16.tflite")))
    if "int8" in job.precisions:
        assert job.preprocessing is not None
        for method in INT8_METHODS:
            out = folder / f"tflite-int8.{method}.tflite"
            _quantise(float32, out, method, Path(job.calibration), job.preprocessing)
            yield Made("int8", str(out), method)


def _halve(float32: Path, out: Path) -> Path:
    """Weights are stored as fp16; inputs, outputs and, in most runtimes, arithmetic stay float32."""
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    maker = quantizer.Quantizer(str(float32))
    maker.add_weight_only_config(
        ".*",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        num_bits=16,
        granularity=qtyping.QuantGranularity.TENSORWISE,
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )
    maker.quantize(enable_progress_report=False).export_model(str(out), overwrite=True)
    return out


def _quantise(float32: Path, out: Path, method: str, calibration: Path, preprocessing: Preprocessing) -> None:
    import numpy as np
    from ai_edge_quantizer import calibrator, quantizer, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    from exporters._parity import to_layout

    signature, argument = _signature(float32)
    spec = open_artifact(float32).inputs[0]
    images = to_layout(preprocessing.apply(np.load(calibration, allow_pickle=False)), spec)
    samples = {signature: [{argument: image[None]} for image in images]}
    update = {"minmax": qsv_utils.min_max_update, "moving-average": qsv_utils.moving_average_update}[method]
    wanted = recipe.static_wi8_ai8()
    # The quantizer's own `calibrate` offers only the moving average; its two halves are called apart.
    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(wanted)
    ranges = calibrator.Calibrator(str(float32), num_threads=1, qsv_update_func=update)
    ranges.calibrate(samples, rules)
    maker = quantizer.Quantizer(str(float32))
    maker.load_quantization_recipe(wanted)
    maker.quantize(ranges.get_model_qsvs(), enable_progress_report=False).export_model(str(out), overwrite=True)


def _signature(path: Path) -> tuple[str, str]:
    """Name of the file's signature and of its one argument."""
    from ai_edge_litert.interpreter import Interpreter

    ((name, tensors),) = Interpreter(str(path)).get_signature_list().items()
    (argument,) = tensors["inputs"]
    return name, argument


def open_artifact(path: Path) -> Opened:
    from ai_edge_litert import __version__
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (sink,) = interpreter.get_output_details()

    def run(stored: Any) -> Any:
        interpreter.set_tensor(source["index"], stored)
        interpreter.invoke()
        return interpreter.get_tensor(sink["index"])

    return Opened((_spec(source),), (_spec(sink),), f"LiteRT {__version__} CPU", run)


def _spec(details: dict[str, Any]) -> TensorSpec:
    shape = tuple(int(size) for size in details["shape"])
    scale, zero_point = details["quantization"]
    quantised = details["dtype"].__name__ in ("int8", "uint8", "int16")
    return TensorSpec(
        details["name"],
        shape,
        details["dtype"].__name__,
        "NHWC" if len(shape) == 4 else "NC",
        float(scale) if quantised else None,
        int(zero_point) if quantised else None,
    )
