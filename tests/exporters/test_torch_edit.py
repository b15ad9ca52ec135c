"""An .onnx graph as a torch module, and operators of torch in terms of others: the same numbers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from benchmarks.strange_networks.networks import ALL
from edgebench.schema.bundle import TensorSpec

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "onnxsim"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from exporters.onnx_edit import simplified  # noqa: E402
from exporters.torch_edit import decompositions, from_onnx  # noqa: E402
from exporters.torch_edit.onnx_call import UnknownOperator  # noqa: E402

NETWORKS = {one.name: one for one in ALL}
SOME = (
    *("GRU, both ways", "LSTM with its state", "attention, scores divided", "token ids and mask", "ResNet"),
    *("ConvTranspose, grouped", "GroupNorm", "LRN", "Resize bilinear, aligned corners", "Resize bicubic"),
    *(
        "Resize, opset 11",
        "pad reflect",
        "top-k",
        "scatter",
        "YOLO, 2 outputs",
        "super-resolution: PReLU, PixelShuffle",
    ),
    *("6 activations that cut", "comparisons and logic", "grid sample", "opset 11", "strange tensor names"),
)


def run(path: Path, sample: Any) -> list[Any]:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    return session.run(None, dict(zip(names, sample, strict=True)))  # type: ignore[no-any-return]


def specs(path: Path, network: Any) -> list[TensorSpec]:
    import onnx

    held = onnx.load(str(path)).graph
    constants = {tensor.name for tensor in held.initializer}
    names = [port.name for port in held.input if port.name not in constants]
    return [TensorSpec(name, port.shape, port.dtype, "any") for name, port in zip(names, network.inputs, strict=True)]


@pytest.mark.parametrize("name", SOME)
def test_a_graph_answers_in_torch_as_in_onnxruntime(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = network.write(tmp_path / "net.onnx")
    simplified.write(source, specs(source, network), tmp_path / "simple.onnx")
    module = from_onnx.module_of(tmp_path / "simple.onnx")
    (sample,) = network.samples(1)
    with torch.inference_mode():
        found = module(*(torch.from_numpy(one) for one in sample))
    for have, want in zip(found if isinstance(found, tuple) else (found,), run(source, sample), strict=True):
        assert have.shape == want.shape
        np.testing.assert_allclose(have.numpy(), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["float16 throughout", "float16 weights", "bfloat16 weights"])
def test_halves_become_float32(name: str, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto

    network = NETWORKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = network.write(tmp_path / "net.onnx")
    simplified.write(source, specs(source, network), tmp_path / "simple.onnx")
    graph = onnx.load(str(tmp_path / "simple.onnx")).graph
    assert not {tensor.data_type for tensor in graph.initializer} & {TensorProto.FLOAT16, TensorProto.BFLOAT16}
    (sample,) = network.samples(1)
    (have,), (want,) = run(tmp_path / "simple.onnx", sample), run(source, sample)
    assert np.abs(have - want).max() < 2e-3 * np.abs(want).max()


def test_an_operator_that_is_not_known_is_named(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    sink = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Hardmax", ["x"], ["y"])], "g", [port], [sink])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(tmp_path / "net.onnx"))
    with pytest.raises(UnknownOperator, match="Hardmax"):
        from_onnx.module_of(tmp_path / "net.onnx")


@pytest.mark.parametrize("output_padding", [0, 1])
@pytest.mark.parametrize(("groups", "dilation", "padding"), [(1, 1, 0), (1, 2, 1), (3, 1, 1), (3, 2, 2), (6, 1, 0)])
def test_transposed_convolutions(groups: int, dilation: int, padding: int, output_padding: int) -> None:
    x, weight, bias = torch.randn(1, 6, 5, 7), torch.randn(6, 2, 3, 3), torch.randn(2 * groups)
    wanted = functional.conv_transpose2d(x, weight, bias, 2, padding, output_padding, groups, dilation)
    found = decompositions._convolution(
        x, weight, bias, [2, 2], [padding] * 2, [dilation] * 2, True, [output_padding] * 2, groups
    )
    if found is NotImplemented:
        assert (groups, dilation, output_padding) == (1, 1, 0)
    else:
        torch.testing.assert_close(found, wanted)


def test_other_operators() -> None:
    same = torch.testing.assert_close
    patches = torch.randn(1, 12, 5 * 5)
    same(
        decompositions._col2im(patches, [8, 7], [2, 3], [1, 2], [1, 1], [2, 1]),
        functional.fold(patches, (8, 7), (2, 3), (1, 2), 1, (2, 1)),
    )
    x = torch.randn(2, 3, 9, 8, 7)
    same(decompositions._adaptive_max_pool(x[0], [4, 3])[0], functional.adaptive_max_pool2d(x[0], (4, 3)))
    same(
        decompositions._max_pool3d(x, [3, 2, 2], [2, 2, 1], [1, 1, 0]),
        functional.max_pool3d(x, (3, 2, 2), (2, 2, 1), (1, 1, 0)),
    )
    same(decompositions._avg_pool3d(x, [3], [2], [1]), functional.avg_pool3d(x, 3, 2, 1))
    for largest in (True, False):
        found, wanted = decompositions._top_k(x, 4, 2, largest), torch.topk(x, 4, 2, largest)
        same(found[0], wanted[0])
        same(found[1], wanted[1])
    same(decompositions._sort(x, 1, True)[0], x.sort(1, True)[0])
    index = torch.tensor([1, 1, 5])
    same(decompositions._index_add(x, 2, index, x[:, :, :3], alpha=2), x.index_add(2, index, x[:, :, :3], alpha=2))
    places = torch.randint(0, 9, (2, 3, 4, 8, 7))
    same(decompositions._scatter_add(x, 2, places, x[:, :, :4]), x.scatter_add(2, places, x[:, :, :4]))
