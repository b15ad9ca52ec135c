"""What people type without edgebench to get fp32, fp16 and INT8 files, a process for each step, all at defaults.

    python -m benchmarks.peer_tools STEP CHECKPOINT CALIBRATION.npy FOLDER

CALIBRATION.npy holds prepared images, float32 [N, C, H, W].
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebench.errors import UserError
from edgebench.networks.from_checkpoint import rebuild

LONGEST_S = 1800


@dataclass(frozen=True)
class Work:
    checkpoint: Path
    calibration: Path
    folder: Path

    @property
    def onnx(self) -> Path:
        return self.folder / "torch.onnx"

    @property
    def tflite(self) -> Path:
        return self.folder / "litert-torch.tflite"

    def network(self) -> Any:
        from edgebench.schema import checkpoint

        return rebuild(checkpoint.load(self.checkpoint)).eval()

    def images(self) -> Any:
        return np.load(self.calibration)

    def each(self, *, channels_last: bool) -> Iterator[Any]:
        for image in self.images():
            yield np.ascontiguousarray((image.transpose(1, 2, 0) if channels_last else image)[None])


def torch_onnx(work: Work) -> None:
    import torch

    example = torch.from_numpy(work.images()[:1])
    names: dict[str, Any] = {"input_names": ["input"], "output_names": ["logits"]}
    torch.onnx.export(work.network(), (example,), str(work.onnx), verbose=False, **names)


def onnx_fp16(work: Work) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(str(work.onnx))), str(work.folder / "fp16.onnx"))


def onnx_int8(work: Work) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = work.each(channels_last=False)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._left, None)
            return None if image is None else {"input": image}

    prepared = work.folder / "prepared.onnx"
    quant_pre_process(str(work.onnx), str(prepared))
    quantize_static(str(prepared), str(work.folder / "int8.onnx"), Images())


def litert_torch(work: Work) -> None:
    import litert_torch as converter
    import torch

    network = converter.to_channel_last_io(work.network(), args=[0])
    example = torch.from_numpy(next(work.each(channels_last=True)))
    converter.convert(network, (example,)).export(str(work.tflite))


def tflite_fp16(work: Work) -> None:
    from ai_edge_quantizer import qtyping, quantizer
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    maker = quantizer.Quantizer(str(work.tflite))
    maker.add_weight_only_config(
        ".*",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        num_bits=16,
        granularity=qtyping.QuantGranularity.TENSORWISE,
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )
    maker.quantize().export_model(str(work.folder / "fp16.tflite"), overwrite=True)


def tflite_int8(work: Work) -> None:
    from ai_edge_quantizer import quantizer, recipe

    maker = quantizer.Quantizer(str(work.tflite))
    maker.load_quantization_recipe(recipe.static_wi8_ai8())
    found = maker.calibrate({"serving_default": [{"args_0": image} for image in work.each(channels_last=True)]})
    maker.quantize(found).export_model(str(work.folder / "aeq-int8.tflite"), overwrite=True)


def onnx2tf(work: Work) -> None:
    channels = work.images().shape[1]
    last = work.folder / "calibration-nhwc.npy"
    np.save(last, work.images().transpose(0, 2, 3, 1))
    ones = "[[[[" + ",".join(["1.0"] * channels) + "]]]]"
    zeros = ones.replace("1.0", "0.0")
    # It fetches images to compare its answers on, at each start, whatever it is asked: here they are random.
    from onnx2tf import onnx2tf as tool

    random = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
    tool.download_test_image_data = lambda: random
    sys.argv = ["onnx2tf", "-i", str(work.onnx), "-o", str(work.folder / "onnx2tf"), "-oiqt", "-n"]
    sys.argv += ["-cind", "input", str(last), zeros, ones]
    tool.main()


STEPS: dict[str, Callable[[Work], None]] = {
    "torch-onnx": torch_onnx,
    "onnx-fp16": onnx_fp16,
    "onnx-int8": onnx_int8,
    "litert-torch": litert_torch,
    "tflite-fp16": tflite_fp16,
    "tflite-int8": tflite_int8,
    "onnx2tf": onnx2tf,
}
# INT8: what made it, the plugin that opens it, where it is, and the steps that it takes.
INT8 = (
    ("onnxruntime.quantization", "onnx", "int8.onnx", ("torch-onnx", "onnx-int8")),
    ("litert-torch + ai-edge-quantizer", "tflite", "aeq-int8.tflite", ("litert-torch", "tflite-int8")),
    ("onnx2tf -oiqt", "tflite", "onnx2tf/torch_full_integer_quant.tflite", ("torch-onnx", "onnx2tf")),
)


@dataclass(frozen=True)
class Tool:
    """One INT8 file of the tools. failure: why there is none."""

    name: str
    plugin: str
    file: Path
    failure: UserError | None


def make_int8(checkpoint: Path, calibration: Path, folder: Path) -> Iterator[Tool]:
    """All INT8 files of the tools, each as soon as it is there. A step that fails ends those that need it."""
    folder.mkdir()
    failures: dict[str, UserError | None] = {}
    for name, plugin, file, steps in INT8:
        failure = None
        for step in steps:
            if step not in failures:
                failures[step] = _failure(step, checkpoint, calibration, folder)
            failure = failures[step]
            if failure:
                break
        yield Tool(name, plugin, folder / file, failure)


def _failure(step: str, checkpoint: Path, calibration: Path, folder: Path) -> UserError | None:
    """Run a step; what it died of."""
    line = command(step, checkpoint, calibration, folder)
    try:
        ran = subprocess.run(line, capture_output=True, text=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return UserError(f"the step {step}", f"it had not ended after {LONGEST_S} s", "Run it by hand")
    if not ran.returncode:
        return None
    said = ran.stderr.strip().splitlines() or [f"it ended with status {ran.returncode}"]
    return UserError(f"the step {step}", said[-1][:500], "pip install 'edgebench[export,tensorflow]'")


def command(step: str, checkpoint: Path, calibration: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peer_tools", step, str(checkpoint), str(calibration), str(folder)]


def main(step: str, checkpoint: str, calibration: str, folder: str) -> int:
    STEPS[step](Work(Path(checkpoint), Path(calibration), Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
