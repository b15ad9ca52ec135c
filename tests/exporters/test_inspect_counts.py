"""Looking into hand-made files: counts in closed forms, runtimes that load them, and hints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from exporters.inspect import onnx_file

pytestmark = pytest.mark.export

for library in ("onnx", "onnxruntime", "ai_edge_litert"):
    if not importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.support.inspected import by_name, conv_net, make, port, read_onnx, weight  # noqa: E402
from tests.support.inspected import folder as folder  # noqa: E402
from tests.support.inspected import network_file as network_file  # noqa: E402

# ------------------------------------------------------------------ closed forms


def test_a_convolution_in_closed_form(network_file: Path, folder: Path) -> None:
    layer = by_name(read_onnx(network_file, folder))["first"]
    assert layer.output_shape == (1, 4, 8, 8)
    assert layer.activation_bytes == 4 * 8 * 8 * 4
    assert layer.macs == 8 * 8 * 4 * 3 * 3 * 3
    assert layer.parameters == 4 * 3 * 3 * 3 + 4
    assert layer.weights_bytes == 4 * layer.parameters
    assert (layer.weights, layer.zeros, layer.weights_dtype, layer.scales) == (108, 5, "float32", 0)


def test_a_batch_is_counted_as_one_image(folder: Path) -> None:
    one, eight = (read_onnx(conv_net(batch), folder) for batch in (1, 8))
    assert one.macs == eight.macs == 8 * 8 * (108 + 144) + 20
    assert eight.layers[0].activation_bytes == 8 * (one.layers[0].activation_bytes or 0)


def test_the_peak_of_a_residual_network(folder: Path) -> None:
    """At the sum its two inputs and its output are held; the network's input is done with by then."""
    memory = read_onnx(conv_net(), folder).memory
    assert memory is not None
    assert (memory.peak_activation_bytes, memory.peak_at) == (3 * 4 * 8 * 8 * 4, 4)


def test_products_of_every_kind(folder: Path) -> None:
    """Transposed convolution, rows before the last axis, a constant on the left, and two activations."""
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"], "transposed", strides=[2, 2]),
        helper.make_node("MatMul", ["t", "m"], ["rows"], "rows"),
        helper.make_node("MatMul", ["l", "t"], ["left"], "left"),
        helper.make_node("MatMul", ["rows", "left"], ["y"], "both"),
    ]
    weights = [weight("w", 2, 3, 2, 2), weight("m", 8, 8), weight("l", 8, 8)]
    network = read_onnx(make(nodes, [port("x", 1, 2, 4, 4)], [port("y", 1, 3, 8, 8)], weights), folder)
    macs = {layer.name: layer.macs for layer in network.layers}
    assert macs == {"transposed": 4 * 4 * 2 * 3 * 2 * 2, "rows": 3 * 8 * 64, "left": 3 * 8 * 64, "both": 0}
    assert any("not those of" in remark for remark in network.remarks)


def test_weights_that_layers_share_count_once(folder: Path) -> None:
    nodes = [helper.make_node("Gemm", ["x", "w"], ["a"], "one"), helper.make_node("Gemm", ["a", "w"], ["y"], "two")]
    network = read_onnx(make(nodes, [port("x", 1, 6)], [port("y", 1, 6)], [weight("w", 6, 6)]), folder)
    assert [layer.parameters for layer in network.layers] == [36, 36]
    assert (network.parameters, network.weights_bytes, network.macs) == (36, 144, 72)


@pytest.mark.parametrize(
    ("opset", "ir_version", "runtime"),
    [(17, 8, "1.16"), (18, 9, "1.16"), (20, 9, "1.17"), (18, 10, "1.18"), (23, 10, "1.23"), (25, 13, "1.31")],
)
def test_the_oldest_runtime_that_was_seen_to_load_it(opset: int, ir_version: int, runtime: str) -> None:
    assert onnx_file.oldest_onnxruntime(opset, ir_version) == f"onnxruntime {runtime}"


def test_domains_that_nothing_uses_still_keep_old_runtimes_away(folder: Path) -> None:
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
    facts = read_onnx(conv_net(opset_imports=domains), folder).facts
    assert facts["loads from"] == "onnxruntime 1.18"
    assert facts["other opsets"] == "ai.onnx.ml 5"


# ------------------------------------------------------------------ hints


@pytest.mark.parametrize(("first", "said"), [("Sub", "it begins with Sub, Div"), ("Relu", "no normalisation")])
def test_a_normalisation_in_the_file_is_noticed(first: str, said: str, folder: Path) -> None:
    start = (
        [helper.make_node("Sub", ["x", "mean"], ["m"]), helper.make_node("Div", ["m", "std"], ["n"])]
        if first == "Sub"
        else [helper.make_node("Relu", ["x"], ["n"])]
    )
    nodes = [*start, helper.make_node("Gemm", ["n", "w"], ["y"])]
    weights = [weight("mean", 1), weight("std", 1), weight("w", 6, 6)]
    network = read_onnx(make(nodes, [port("x", 1, 6)], [port("y", 1, 6)], weights), folder)
    assert any(said in hint for hint in network.hints)
    assert any("outputs are logits" in hint for hint in network.hints)


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("by", ["Div", "Reciprocal"])
def test_a_softmax_by_hand_is_one(by: str, spread: bool, folder: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["l"]),
        helper.make_node("Exp", ["l"], ["e"]),
        helper.make_node("ReduceSum", ["e", "axes"], ["s"], keepdims=1),
        *([helper.make_node("Expand", ["s", "shape"], ["t"])] if spread else []),
    ]
    below = "t" if spread else "s"
    if by == "Div":
        nodes.append(helper.make_node("Div", ["e", below], ["y"]))
    else:
        nodes += [helper.make_node("Reciprocal", [below], ["r"]), helper.make_node("Mul", ["e", "r"], ["y"])]
    integers = [numpy_helper.from_array(np.array(values), name) for name, values in (("axes", [1]), ("shape", [1, 6]))]
    net = make(nodes, [port("x", 1, 6)], [port("y", 1, 6)], [weight("w", 6, 6), *integers])
    said = [hint for hint in read_onnx(net, folder).hints if "ends with" in hint]
    assert len(said) == 1 and "probabilities" in said[0] and "logits" not in said[0]


def test_nothing_is_claimed_of_answers_that_may_be_anything(folder: Path) -> None:
    nodes = [helper.make_node("Gemm", ["x", "w"], ["l"]), helper.make_node("Div", ["l", "n"], ["y"])]
    net = make(nodes, [port("x", 1, 6)], [port("y", 1, 6)], [weight("w", 6, 6), weight("n", 6)])
    (said,) = [hint for hint in read_onnx(net, folder).hints if "ends with" in hint]
    assert said == "it ends with Div: the file does not show what its outputs mean"
    nodes = [helper.make_node("Sigmoid", ["x"], ["l"]), helper.make_node("ReduceMean", ["l", "axes"], ["y"])]
    axes = numpy_helper.from_array(np.array([1]), "axes")
    net = make(nodes, [port("x", 1, 6)], [port("y", 1, 1)], [axes], opset=18)
    assert any("independent probabilities for each class" in hint for hint in read_onnx(net, folder).hints)


@pytest.mark.parametrize(
    ("name", "sizes", "said"),
    [
        ("pixels", (1, 3, 8, 8), "feed it images"),
        ("pixels", (1, 8, 8, 3), "feed it images"),
        ("pixels", (1, 1, 28, 28), "feed it images"),
        ("waveform", (1, 16000), "feed it inputs"),
        ("x", (1, 1, 76, 32), "feed it inputs"),
        ("mel_spectrogram", (1, 1, 64, 64), "feed it inputs"),
        ("x", (1, 40, 100), "feed it inputs"),
    ],
)
def test_advice_about_images_is_for_images(name: str, sizes: tuple[int, ...], said: str, folder: Path) -> None:
    net = make([helper.make_node("Relu", [name], ["y"])], [port(name, *sizes)], [port("y", *sizes)], [])
    assert any(said in hint for hint in read_onnx(net, folder).hints)


def test_tokens_are_not_normalised(folder: Path) -> None:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, 8])
    rows = numpy_helper.from_array(np.zeros((10, 4), np.float32), "table")
    net = make([helper.make_node("Gather", ["table", "input_ids"], ["y"])], [ids], [port("y", 1, 8, 4)], [rows])
    hints = read_onnx(net, folder).hints
    assert any("its input is int64: tokens" in hint for hint in hints)
    assert not any("image" in hint or "normalisation" in hint for hint in hints)
