"""The same networks through other tools as their manuals say, at defaults.

    python -m benchmarks.strange_networks.peers TOOL FIRST

prints one outcome a line, from the network with that number on, until the tool crashes or all are done.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.strange_networks import judging
from benchmarks.strange_networks.kinds import Network
from benchmarks.strange_networks.networks import ALL
from benchmarks.strange_networks.outcome import Outcome

GIVEN, FRESH = 24, 24
LONGEST_S = 900
Tool = Callable[[Network, Path], Iterator[tuple[str, Callable[[], Path]]]]


def onnxruntime_tools(network: Network, folder: Path) -> Iterator[tuple[str, Callable[[], Path]]]:
    """torch.onnx.export, quant_pre_process, quantize_static."""
    source = folder / "torch.onnx"

    def float32() -> Path:
        return _written(network, source)

    def integer() -> Path:
        from onnxruntime.quantization import CalibrationDataReader, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        names = _input_names(source)

        class Given(CalibrationDataReader):
            def __init__(self) -> None:
                self._left = iter(network.samples(GIVEN, seed=2))

            def get_next(self) -> Any:
                sample = next(self._left, None)
                return None if sample is None else dict(zip(names, sample, strict=True))

        quant_pre_process(str(source), str(folder / "prepared.onnx"))
        quantize_static(str(folder / "prepared.onnx"), str(folder / "int8.onnx"), Given())
        return folder / "int8.onnx"

    yield "torch.onnx fp32", float32
    yield "ONNX Runtime INT8", integer


def litert_torch_tools(network: Network, folder: Path) -> Iterator[tuple[str, Callable[[], Path]]]:
    """litert_torch.convert, then ai-edge-quantizer's static recipe."""
    if network.is_file:
        return
    out = folder / "litert.tflite"

    def float32() -> Path:
        import litert_torch
        import torch

        example = tuple(torch.from_numpy(one) for one in network.samples(1)[0])
        litert_torch.convert(network.network(), example).export(str(out))
        return out

    def integer() -> Path:
        from ai_edge_quantizer import quantizer, recipe

        maker = quantizer.Quantizer(str(out))
        maker.load_quantization_recipe(recipe.static_wi8_ai8())
        samples = [
            {f"args_{place}": one for place, one in enumerate(sample)} for sample in network.samples(GIVEN, seed=2)
        ]
        found = maker.calibrate({"serving_default": samples})
        maker.quantize(found).export_model(str(folder / "int8.tflite"), overwrite=True)
        return folder / "int8.tflite"

    yield "litert-torch fp32", float32
    yield "ai-edge-quantizer INT8", integer


def onnx2tf_tools(network: Network, folder: Path) -> Iterator[tuple[str, Callable[[], Path]]]:
    """torch.onnx.export, then onnx2tf; for INT8 its own option -oiqt with calibration data."""
    source = folder / "torch.onnx"

    def run(**more: Any) -> None:
        import onnx2tf
        from onnx2tf import onnx2tf as tool

        # It fetches images to compare its answers on, at each start, whatever it is asked: here they are random.
        random = np.random.default_rng(0).random((20, 128, 128, 3), np.float32)
        tool.download_test_image_data = lambda: random
        try:
            onnx2tf.convert(str(source), output_folder_path=str(folder / "tf"), non_verbose=True, **more)
        except SystemExit as stop:
            raise RuntimeError("onnx2tf ended") from stop

    def float32() -> Path:
        _written(network, source, opset=min(network.opset, 17), dynamo=False)
        run()
        return folder / "tf" / f"{source.stem}_float32.tflite"

    def integer() -> Path:
        calibration = []
        for name, values in zip(_input_names(source), zip(*network.samples(GIVEN, seed=2), strict=True), strict=True):
            given = np.concatenate(values)
            given = np.moveaxis(given, 1, -1) if given.ndim > 2 else given
            np.save(folder / f"{len(calibration)}.npy", given)
            flat = [[[[0.0] * given.shape[-1]]]], [[[[1.0] * given.shape[-1]]]]
            calibration.append([name, str(folder / f"{len(calibration)}.npy"), *flat])
        run(output_integer_quantized_tflite=True, custom_input_op_name_np_data_path=calibration)
        return folder / "tf" / f"{source.stem}_full_integer_quant.tflite"

    yield "onnx2tf fp32", float32
    yield "onnx2tf INT8", integer


TOOLS: dict[str, Tool] = {
    "onnxruntime": onnxruntime_tools,
    "litert-torch": litert_torch_tools,
    "onnx2tf": onnx2tf_tools,
}
ROUTES = {
    "onnxruntime": ("torch.onnx fp32", "ONNX Runtime INT8"),
    "litert-torch": ("litert-torch fp32", "ai-edge-quantizer INT8"),
    "onnx2tf": ("onnx2tf fp32", "onnx2tf INT8"),
}


def _written(network: Network, path: Path, **more: Any) -> Path:
    """A network that exists as a file is that file; others by torch.onnx.export at its defaults."""
    import torch

    if network.is_file:
        return network.write(path)
    example = tuple(torch.from_numpy(one) for one in network.samples(1)[0])
    names = [port.name for port in network.inputs]
    opset = {"opset_version": more["opset"]} if "opset" in more else {}
    more = {"dynamo": more.get("dynamo", True), **opset}
    if more["dynamo"]:
        more |= {"verbose": False}
    torch.onnx.export(network.network(), example, str(path), input_names=names, **more)
    return path


def _input_names(path: Path) -> list[str]:
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    held = {tensor.name for tensor in graph.initializer}
    return [port.name for port in graph.input if port.name not in held]


def _out_of_time(*_: object) -> None:
    raise TimeoutError(f"no file after {LONGEST_S} s")


def outcomes(tool: str, network: Network, folder: Path) -> Iterator[Outcome]:
    samples = network.samples(FRESH, seed=1)
    wanted = network.own_answers(folder, samples)
    made = False
    for route, make in TOOLS[tool](network, folder):
        precision = "fp32" if "fp32" in route else "int8"
        signal.alarm(LONGEST_S)
        try:
            if precision == "int8" and not made:
                raise RuntimeError("there is no float32 file to start from")
            file = make()
            made = True
            words = judging.judged(file, network, samples, wanted, precision)
            yield Outcome(network.name, route, "right", words)
        except judging.Wrong as wrong:
            yield Outcome(network.name, route, "wrong", str(wrong))
        except Exception as error:  # what the table is about
            yield Outcome(network.name, route, "traceback", f"{type(error).__name__}: {str(error).strip()[:300]}")
        finally:
            signal.alarm(0)


def main(tool: str, first: int) -> None:
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _out_of_time)
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the tools print
    for network in ALL[first:]:
        with tempfile.TemporaryDirectory() as folder:
            for outcome in outcomes(tool, network, Path(folder)):
                channel.write(msgspec.json.encode(outcome) + b"\n")
                channel.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
