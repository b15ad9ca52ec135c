"""The networks that are timed: depthwise convolution nets of six sizes, random weights, one of them also in INT8.

Made once and kept in the cache; their names say how long an inference takes, in µs, on one core of a server of 2024.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebench.errors import UserError
from edgebench.files import cache

# In the file names: another recipe makes other files.
RECIPE = 1
SIZE = 32
WIDTHS_AND_BLOCKS = {10: (16, 2), 20: (16, 6), 50: (32, 6), 100: (48, 8), 300: (64, 13), 1000: (128, 13)}
INT8_US = 300
RUNTIMES = {"onnxruntime": ".onnx", "litert": ".tflite", "openvino": ".onnx", "ncnn": ".param"}


@dataclass(frozen=True)
class Model:
    """One file with one input and one output, and a file with one input for it in its own dtype and layout."""

    name: str
    runtime: str
    path: Path
    input_path: Path


def folder() -> Path:
    path = cache.folder() / "benchmarks"
    path.mkdir(parents=True, exist_ok=True)
    return path


def all_models() -> list[Model]:
    """From the cache; what is missing is exported first (about ten seconds)."""
    found = [
        _model(runtime, precision, nominal_us)
        for runtime in RUNTIMES
        for precision, nominal_us in (*(("fp32", us) for us in WIDTHS_AND_BLOCKS), ("int8", INT8_US))
        if (runtime, precision) != ("ncnn", "int8")
    ]
    if not all(model.path.exists() for model in found):
        # In a process of its own: exporters talk a lot, and what they load does not belong beside a measurement.
        made = subprocess.run([sys.executable, "-m", "benchmarks.models"], capture_output=True, text=True)
        if made.returncode:
            raise UserError(
                "benchmark models", f"export failed: {made.stderr[-500:]}", "pip install 'edgebench[export]'"
            )
    return found


def _model(runtime: str, precision: str, nominal_us: int) -> Model:
    name = f"conv{nominal_us}-{precision}"
    dtype = "int8" if (runtime, precision) == ("litert", "int8") else "float32"
    path = folder() / f"{name}-r{RECIPE}{RUNTIMES[runtime]}"
    return Model(name, runtime, path, input_file(dtype, 3 * SIZE * SIZE))


def _export_all() -> None:
    for nominal_us in WIDTHS_AND_BLOCKS:
        _export(_onnx_fp32, "onnxruntime", "fp32", nominal_us)
        _export(_tflite_fp32, "litert", "fp32", nominal_us)
        _export(_ncnn_fp32, "ncnn", "fp32", nominal_us)
    _export(_onnx_int8, "onnxruntime", "int8", INT8_US)
    _export(_tflite_int8, "litert", "int8", INT8_US)


def _export(make: Callable[[int, Path], None], runtime: str, precision: str, nominal_us: int) -> None:
    path = _model(runtime, precision, nominal_us).path
    if not path.exists():
        partial = path.with_name(f"part-{path.name}")
        make(nominal_us, partial)
        partial.replace(path)


def input_file(dtype: str, count: int) -> Path:
    """`count` random numbers of a type, the same every time."""
    path = folder() / f"input-{dtype}-{count}"
    random = np.random.default_rng(0)
    values = random.integers(-128, 128, count) if dtype == "int8" else random.random(count)
    path.write_bytes(values.astype(dtype).tobytes())
    return path


def _net(nominal_us: int) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    width, blocks = WIDTHS_AND_BLOCKS[nominal_us]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU()]
    for _ in range(blocks):
        layers += [nn.Conv2d(width, width, 3, padding=1, groups=width), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)).eval()


def _samples(count: int) -> Any:
    """[count, channels, height, width], float32."""
    import torch

    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def _onnx_fp32(nominal_us: int, path: Path) -> None:
    import torch

    names: dict[str, Any] = {"input_names": ["input"], "output_names": ["logits"]}
    torch.onnx.export(_net(nominal_us), (_samples(1),), str(path), dynamo=False, opset_version=17, **names)


def _onnx_int8(nominal_us: int, path: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter([{"input": sample[None].numpy()} for sample in _samples(8)])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._left, None)

    quantize_static(
        str(_model("onnxruntime", "fp32", nominal_us).path), str(path), Samples(), quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
    )  # fmt: skip


def _ncnn_fp32(nominal_us: int, path: Path) -> None:
    from edgebench import export

    source, weights = _model("onnxruntime", "fp32", nominal_us).path, path.with_suffix(".bin")
    with tempfile.TemporaryDirectory(prefix="edgebench-") as made:
        export.export(str(source), export.ExportOptions(["ncnn-fp32"]), out=Path(made) / "bundle")
        shutil.copyfile(Path(made) / "bundle/ncnn-fp32.bin", weights.with_name(weights.name.removeprefix("part-")))
        shutil.copyfile(Path(made) / "bundle/ncnn-fp32.param", path)


def _tflite_fp32(nominal_us: int, path: Path) -> None:
    import litert_torch

    net = litert_torch.to_channel_last_io(_net(nominal_us), args=[0])
    litert_torch.convert(net, (_samples(1).permute(0, 2, 3, 1).contiguous(),)).export(str(path))


def _tflite_int8(nominal_us: int, path: Path) -> None:
    from ai_edge_quantizer import quantizer, recipe

    quantize = quantizer.Quantizer(str(_model("litert", "fp32", nominal_us).path))
    quantize.load_quantization_recipe(recipe.static_wi8_ai8())
    samples = [{"args_0": sample[None].numpy()} for sample in _samples(8).permute(0, 2, 3, 1).contiguous()]
    calibrated = quantize.calibrate({"serving_default": samples})
    quantize.quantize(calibrated).export_model(str(path), overwrite=True)


if __name__ == "__main__":
    _export_all()
