"""Looking into files that others quantised: what runs on integers, what stayed float, and why."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebench.inspect import inspect
from edgebench.schema.inspection import OperatorCount, is_quantised, operators

pytestmark = pytest.mark.export

for library in ("onnx", "onnxruntime", "ai_edge_litert"):
    if not importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

from tests.support.inspected import BUNDLE, by_name, on_terminal, read_onnx, read_tflite  # noqa: E402
from tests.support.inspected import folder as folder  # noqa: E402
from tests.support.inspected import network_file as network_file  # noqa: E402


def quantise(source: Path, out: Path, **options: Any) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            random = np.random.default_rng(1)
            self.batches = iter([{"x": random.standard_normal((4, 3, 8, 8)).astype(np.float32)} for _ in range(2)])

        def get_next(self) -> Any:
            return next(self.batches, None)

    options = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True} | options
    quantize_static(str(source), str(out), Reader(), **({"quant_format": QuantFormat.QDQ} | options))
    return out


def test_signed_activations_are_seen_to_stay_float_on_this_runtime(network_file: Path, folder: Path) -> None:
    """What the file says and what its runtime runs are two things; here onnxruntime's fusing has the last word."""
    from onnxruntime.quantization import QuantType

    unsigned = inspect(quantise(network_file, folder / "u8s8.onnx"))
    layers = by_name(unsigned.network)
    assert {layers[name].runs_as for name in ("first", "second")} == {"QLinearConv"}
    assert (layers["first"].weights_dtype, layers["first"].scales, layers["first"].activation_dtype) == (
        "int8",
        4,
        "uint8",
    )
    assert layers["soft"].why_float == "the quantiser does not support Softplus"
    assert OperatorCount("Conv", 2, 2, 0) in operators(unsigned.network)
    assert OperatorCount("Softplus", 1, 0, 1) in operators(unsigned.network)

    file = quantise(network_file, folder / "s8s8.onnx", activation_type=QuantType.QInt8)
    assert by_name(read_onnx(file, folder))["sum"].arithmetic == "integer"
    signed = by_name(inspect(file).network)
    for name, layer in signed.items():
        if layer.runs_as in ("Conv", "FusedConv", "Add"):
            assert layer.arithmetic == "float", name
            assert "does not fuse" in layer.why_float


def test_why_operators_stayed_float(network_file: Path, folder: Path) -> None:
    file = quantise(network_file, folder / "some.onnx", nodes_to_exclude=["pool", "flat", "head", "prob"])
    reasons = {layer.name: layer.why_float for layer in read_onnx(file, folder).layers}
    assert reasons["first"] == ""
    assert reasons["soft"] == "the quantiser does not support Softplus"
    assert reasons["flat"] == "between float operators"
    text = on_terminal(inspect(file))
    assert "Softplus (the quantiser does not support Softplus)" in text


def test_integer_operators_of_older_formats(network_file: Path, folder: Path) -> None:
    from onnxruntime.quantization import QuantFormat, quantize_dynamic

    old = read_onnx(quantise(network_file, folder / "qop.onnx", quant_format=QuantFormat.QOperator), folder)
    first = next(layer for layer in old.layers if layer.operator == "QLinearConv")
    assert (first.macs, first.parameters, first.weights_dtype, first.arithmetic) == (6912, 112, "int8", "integer")
    quantize_dynamic(str(network_file), str(folder / "dynamic.onnx"))
    dynamic = read_onnx(folder / "dynamic.onnx", folder)
    first = next(layer for layer in dynamic.layers if layer.operator == "ConvInteger")
    assert (first.macs, first.weights, first.arithmetic) == (6912, 108, "integer")
    assert dynamic.macs == 8 * 8 * (108 + 144) + 20
    assert is_quantised(dynamic)


def test_a_layer_that_the_runtime_quantises_on_its_own_is_pointed_at(network_file: Path, folder: Path) -> None:
    """Left out by name, but between integers: onnxruntime rounds its weights when it loads the file."""
    file = quantise(network_file, folder / "excluded.onnx", nodes_to_exclude=["second"])
    found = inspect(file)
    second = by_name(found.network)["second"]
    assert (second.weights_dtype, second.scales) == ("float32", 0)
    if second.runs_as == "QLinearConv":  # what this version does
        assert any("what is float in the file: second" in remark for remark in found.network.remarks)
    else:
        assert (second.arithmetic, second.runs_as) == ("float", "Conv")


@pytest.mark.skipif(not importlib.util.find_spec("ai_edge_quantizer"), reason="needs ai_edge_quantizer")
@pytest.mark.parametrize(
    ("recipe", "dtype", "bits"), [("dynamic_wi8_afp32", "int8", 8), ("weight_only_wi4_afp32", "int4", 4)]
)
def test_tflite_files_with_integer_weights_only(recipe: str, dtype: str, bits: int, tmp_path: Path) -> None:
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as recipes

    maker = quantizer.Quantizer(str(BUNDLE / "tflite-fp32.tflite"))
    maker.load_quantization_recipe(getattr(recipes, recipe)())
    maker.quantize(enable_progress_report=False).export_model(str(tmp_path / "net.tflite"), overwrite=True)
    network = read_tflite(tmp_path / "net.tflite")
    assert (network.macs, network.parameters) == (192_324, 48_410)
    largest = max(network.layers, key=lambda layer: layer.weights)
    assert (largest.weights_dtype, largest.scales, largest.activation_dtype) == (dtype, 44, "float32")
    assert largest.weights_bytes == largest.weights * bits // 8 + 44 * 4
    assert largest.why_float == "only its weights are quantised, not its activations"
    # The coarser the steps, the more of the small weights are rounded to zero.
    assert (largest.zeros or 0) / largest.weights == pytest.approx({8: 0.018, 4: 0.3}[bits], rel=0.5)
