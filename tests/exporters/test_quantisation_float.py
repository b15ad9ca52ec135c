"""INT8: layers that stay float. One network is made that eight bits spoil."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import exporters
from edgebench.export import ExportOptions, export
from edgebench.networks import data, training
from edgebench.networks.data import Dataset
from edgebench.networks.from_checkpoint import rebuild
from edgebench.progress import Silent
from edgebench.schema import checkpoint, tensors
from edgebench.schema.inspection import Layer
from exporters import Kernels, Scheme
from exporters.onnx_edit import int8
from exporters.pipeline import bisection, float_operators
from exporters.pipeline.summary import candidates
from tests.support.quantised import dense as dense
from tests.support.quantised import small as small

FORMATS = [
    "onnx-int8",
    pytest.param("tflite-int8", marks=pytest.mark.slow),
]


@pytest.fixture
def spoilt(dense: checkpoint.Checkpoint, tmp_path: Path) -> checkpoint.Checkpoint:
    """The same function of the image, but one channel between two layers is so large that no byte holds the others."""
    import torch

    network: Any = rebuild(dense)
    with torch.no_grad():
        network.depthwise.bias[0] += 3000
        network.pointwise.bias -= 3000 * network.pointwise.weight[:, 0, 0, 0]
    return checkpoint.save(network, dense.about, tmp_path / "spoilt.safetensors")


def save_onnx(network: Any, path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(network.eval(), (torch.zeros(1, 1, 28, 28),), str(path), dynamo=False, opset_version=17)


@pytest.mark.export
@pytest.mark.parametrize("name", FORMATS)
def test_the_fewest_layers_stay_float(
    name: str, spoilt: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: small)
    (artifact,) = export(
        spoilt.path, ExportOptions(formats=[name], max_drop_points=1.0), out=tmp_path / "out"
    ).bundle.artifacts
    notes, found = artifact.notes, artifact.parity
    assert found is not None
    assert notes["float_layers"].startswith("2 of 7 operators; ")
    assert "depthwise" in notes["float_layers"] and "pointwise" in notes["float_layers"]
    before, after = (float(notes[f"drop_{when}"].split()[0]) for when in ("before", "after"))
    assert before > 10 > 1 >= after
    assert found.top1_agreement > 0.95
    lines = candidates(artifact)
    assert sum(line.endswith("chosen") for line in lines) == 1
    assert max(map(len, lines)) <= 80


@pytest.mark.export
def test_no_layer_stays_float_without_need(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: small)
    made = export(
        dense.path, ExportOptions(formats=["onnx-int8", "onnx-dynamic-int8"], max_drop_points=5), out=tmp_path / "out"
    )
    static, dynamic = made.bundle.artifacts
    assert "float_layers" not in static.notes and "drop_before" not in static.notes
    assert dynamic.name == f"{dense.name}-onnx-dynamic-int8"
    assert dynamic.notes["quantisation"].startswith("dynamic: weights of linear layers INT8")
    assert "calibration" not in dynamic.notes
    import onnx

    nodes = onnx.load(made.path / "onnx-dynamic-int8.onnx").graph.node
    kinds = [node.op_type for node in nodes]
    assert (kinds.count("MatMulInteger"), kinds.count("Conv"), kinds.count("QuantizeLinear")) == (2, 3, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 53])
def test_the_fewest_layers_are_found_with_few_trials(count: int) -> None:
    for wanted in range(1, count + 1):
        asked: list[int] = []

        def holds(number: int, wanted: int = wanted, asked: list[int] = asked) -> bool:
            asked.append(number)
            return number >= wanted

        assert bisection.fewest(count, holds) == wanted
        assert len(asked) <= 2 * wanted.bit_length() + 1
        assert len(set(asked)) == len(asked)


def test_what_lies_between_float_layers_stays_float_too() -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def node(kind: str, inputs: str, output: str) -> Any:
        return helper.make_node(kind, inputs.split(), [output], name=output)

    nodes = [
        node("Conv", "image w", "stem"), node("Sigmoid", "stem", "gate"), node("Mul", "stem gate", "silu"),
        node("Conv", "silu w", "middle"), node("Relu", "middle", "relu"), node("Add", "relu silu", "sum"),
        node("Conv", "sum w", "last"),
    ]  # fmt: skip
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    graph = helper.make_graph(nodes, "g", [], [], [weight])
    assert int8.float_nodes(graph, ("stem",)) == ["stem", "gate", "silu"]
    assert int8.float_nodes(graph, ("middle",)) == ["middle", "relu"]
    assert int8.float_nodes(graph, ("stem", "middle")) == ["stem", "gate", "silu", "middle", "relu", "sum"]
    assert int8.float_nodes(graph, ()) == []
    assert onnx.checker


def test_every_layer_reads_tensors_of_its_own(tmp_path: Path) -> None:
    """Tracing makes one tensor of equal biases; a float layer would read that of an INT8 layer, and dequantise it."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from torch import nn

    network = nn.Sequential(*(nn.Conv2d(1, 1, 3) for _ in range(3)))
    for layer in network:
        nn.init.zeros_(layer.bias)
    save_onnx(network, tmp_path / "source.onnx")
    int8.prepare(tmp_path / "source.onnx", tmp_path / "prepared.onnx")
    nodes = [node for node in onnx.load(tmp_path / "prepared.onnx").graph.node if node.op_type == "Conv"]
    biases = [node.input[2] for node in nodes]
    assert len(biases) == 3 and len(set(biases)) == 3


def test_what_stayed_float_is_told_by_reason() -> None:
    def layer(operator: str, arithmetic: Any, why: str = "") -> Layer:
        return Layer(1, operator, operator, (1, 10), "float32", 40, None, arithmetic=arithmetic, why_float=why)

    whole = [layer("Conv", "integer"), layer("QuantizeLinear", "none")]
    assert float_operators.described(whole) == "none of 1"
    left = [layer("Softplus", "float", "the quantiser does not support Softplus")] * 2
    odd = [layer("Relu", "float")]
    assert float_operators.described(whole + left + odd) == (
        "3 of 4; Softplus x2: the quantiser does not support Softplus; Relu: between float operators"
    )


# ------------------------------------------------------------------ networks that start in float


def float_convolutions(path: Path) -> int:
    """Convolutions whose weights are not the output of a dequantise node."""
    import onnx

    graph = onnx.load(path).graph
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return sum(node.op_type == "Conv" and node.input[1] not in dequantised for node in graph.node)


@pytest.mark.export
def test_networks_with_slow_integer_activations_may_start_in_float(small: Dataset, tmp_path: Path) -> None:
    """All starts are offered, their convolutions are float, and they answer like the float network."""
    import torch
    from torch import nn

    from exporters import onnx as exporter

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.SiLU(), nn.Conv2d(8, 8, 3), nn.SiLU(), nn.Flatten(), nn.Linear(4608, 10)
    )
    source = tmp_path / "silu.onnx"
    save_onnx(network, source)
    images = tmp_path / "images.npy"
    np.save(images, small.train.images[:32])
    job = exporters.ConversionJob(
        str(source),
        "onnx",
        ("int8",),
        str(tmp_path),
        calibration=str(images),
        preprocessing=small.preprocessing,
        schemes=(Scheme("minmax"),),
    )
    (plain,) = exporter.convert(job)
    assert [len(start) for start in plain.float_starts] == [1, 2]
    assert plain.float_starts[1] == plain.weighted[:2]
    assert len(plain.layers) == 7, "two convolutions, their sigmoids and multiplications, one linear layer"
    for_boards = Scheme("minmax", kernels=Kernels(x86=False))
    (narrow,) = exporter.convert(msgspec.structs.replace(job, schemes=(for_boards,)))
    assert not narrow.float_starts, "which were timed on x86 only"
    schemes = tuple(Scheme("minmax", start) for start in plain.float_starts)
    mixed = list(exporter.convert(msgspec.structs.replace(job, schemes=schemes)))
    image = small.preprocessing.apply(small.validation.images[:1])
    wanted = network(torch.from_numpy(image)).detach().numpy()
    errors = [
        tensors.relative_error(exporter.open_artifact(Path(made.file)).run((image,))[0], wanted)
        for made in (plain, *mixed)
    ]
    assert all(later < 1.2 * earlier for earlier, later in itertools.pairwise(errors))
    assert [float_convolutions(Path(made.file)) for made in (plain, *mixed)] == [0, 1, 2]


@pytest.mark.export
def test_such_networks_are_timed_and_the_notes_say_so(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torch import nn

    monkeypatch.setattr(data, "load", lambda name: small)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2), nn.SiLU(), nn.Conv2d(8, 8, 3, 2), nn.SiLU(), nn.Flatten(), nn.Linear(288, 10),
    )  # fmt: skip
    training.fit(network, small, training.recipe("default", 4), seed=0, label="train", progress=Silent())
    source = tmp_path / "silu.onnx"
    save_onnx(network, source)
    made = export(source, ExportOptions(formats=["onnx-int8"], calibration=small.name), out=tmp_path / "out")
    (artifact,) = made.bundle.artifacts
    raced = {name: text for name, text in artifact.notes.items() if " ms" in text}
    ranges = artifact.notes["ranges"]
    assert set(raced) == {f"candidate_{ranges}", f"candidate_{ranges}, 1 float", f"candidate_{ranges}, 2 float"}
    (chosen,) = (name for name, text in raced.items() if text.endswith("chosen"))
    count = float_convolutions(made.path / "onnx-int8.onnx")
    assert count == (int(chosen.split()[1]) if chosen.endswith("float") else 0)
    assert artifact.notes.get("float_layers", "0 of 7").startswith(f"{count} of 7")


@pytest.mark.parametrize(("size", "groups", "starts"), [(224, 8, 2), (224, 1, 0), (64, 8, 0)])
def test_light_networks_may_start_in_float_on_large_maps(size: int, groups: int, starts: int, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    import torch
    from torch import nn

    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(), nn.Conv2d(8, 8, 3, 1, 1, groups=groups), nn.ReLU6()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network, (torch.zeros(1, 3, size, size),), str(tmp_path / "net.onnx"), dynamo=False, opset_version=17
        )
    int8.prepare(tmp_path / "net.onnx", tmp_path / "prepared.onnx")
    assert len(int8.float_starts(tmp_path / "prepared.onnx")) == starts
