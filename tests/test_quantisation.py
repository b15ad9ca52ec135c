"""INT8: ranges, the choice between candidates, layers that stay float. One network is made that eight bits spoil."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import exporters
from device_agents.python import facts
from edgebench import checkpoint, data, instructions, training
from edgebench.data import Dataset
from edgebench.errors import UserError
from edgebench.export import candidates, export
from edgebench.inspection import Layer
from edgebench.progress import Silent
from edgebench.targets import Target
from edgebench.train import train
from exporters import Kernels, Made, Scheme, _float_operators, _mixed, _onnx_int8, _processor, _ranges
from exporters import _parity as parity
from exporters._candidates import Candidate, fastest
from exporters._ranges import METHODS, Histogram

DESKTOP = Target("desktop-cpu", "local")
FORMS = {"rpi4": {"u8s8": 100, "s8s8": 92}, "rpi5": {"u8s8": 100, "s8s8": 98}}  # instructions
RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.standard_normal((50, 20_000)).astype(np.float32)


def histogram(images: Any) -> Histogram:
    seen = Histogram()
    for image in images:
        seen.add(np.asarray(image, np.float32))
    return seen


def error(values: np.ndarray, ends: tuple[float, float]) -> float:
    """Mean squared error of 256 levels over a range that is widened to hold zero."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    step = (high - low) / 255
    zero = round(-low / step)
    return float(np.square((np.clip(np.round(values / step) + zero, 0, 255) - zero) * step - values).mean())


# ------------------------------------------------------------------ histograms


def test_a_histogram_counts_everything_and_knows_the_extremes() -> None:
    seen = histogram(NORMAL)
    assert (seen.low, seen.high) == (NORMAL.min(), NORMAL.max())
    centres, counts = seen.bins()
    assert counts.sum() == NORMAL.size
    assert (np.diff(centres) > 0).all()
    assert np.average(centres, weights=counts) == pytest.approx(NORMAL.mean(), abs=1e-3)
    assert np.average(centres**2, weights=counts) == pytest.approx(np.square(NORMAL).mean(), rel=1e-3)


def test_a_later_image_with_larger_numbers_changes_neither_counts_nor_memory() -> None:
    seen = histogram(NORMAL[:1])
    before = len(seen.counts)
    seen.add(NORMAL[1] * 1000)
    assert len(seen.counts) == before
    centres, counts = seen.bins()
    assert counts.sum() == 2 * NORMAL.shape[1]
    assert counts[np.abs(centres) < 6].sum() >= NORMAL.shape[1]


def test_of_large_tensors_a_part_is_counted_but_all_extremes() -> None:
    large = np.zeros(10 * _ranges.SAMPLED_PER_IMAGE, np.float32)
    large[1] = -7
    large[-2] = 9
    seen = histogram([large])
    assert (seen.low, seen.high) == (-7, 9)
    assert seen.counts.sum() <= _ranges.SAMPLED_PER_IMAGE


def test_padding_with_minus_infinity_is_no_activation() -> None:
    seen = histogram([[-np.inf, -1, 2]])
    assert (seen.low, seen.high, seen.counts.sum()) == (-1, 2, 2)


# ------------------------------------------------------------------ ranges


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "values",
    [NORMAL, np.maximum(NORMAL, 0), NORMAL - 9, np.zeros((2, 8)), np.ones((2, 8)) * 3],
    ids=["both", "relu", "negative", "zeros", "constant"],
)
def test_a_range_lies_within_the_extremes_and_holds_the_bulk(method: str, values: np.ndarray) -> None:
    low, high = METHODS[method](histogram(values))
    assert min(values.min(), 0) <= low <= high <= max(values.max(), 0)
    middle = np.quantile(values, (0.01, 0.99))
    assert min(low, 0) <= middle[0] + 1e-3
    assert middle[1] - 1e-3 <= max(high, 0)


def test_each_method_is_what_its_name_says() -> None:
    seen = histogram(NORMAL)
    assert METHODS["minmax"](seen) == (NORMAL.min(), NORMAL.max())
    assert METHODS["average"](seen) == pytest.approx((NORMAL.min(1).mean(), NORMAL.max(1).mean()))
    assert METHODS["most-images"](seen) == pytest.approx(
        (np.quantile(NORMAL.min(1), 0.05), np.quantile(NORMAL.max(1), 0.95))
    )
    assert METHODS["percentile"](seen) == pytest.approx(np.quantile(NORMAL, (1e-4, 1 - 1e-4)), abs=1e-3)
    grid = [(low, high) for low in np.arange(-5.5, -2, 0.1) for high in np.arange(2, 5.5, 0.1)]
    best = min(error(NORMAL[:5], ends) for ends in grid)
    assert error(NORMAL[:5], METHODS["mse"](seen)) <= 1.03 * best


@pytest.mark.parametrize("method", ["average", "most-images", "percentile", "entropy"])
def test_an_odd_image_does_not_spoil_the_others(method: str) -> None:
    spoiled = [np.append(NORMAL[0], 400), *NORMAL[1:]]
    ends = METHODS[method](histogram(spoiled))
    assert error(NORMAL, ends) < 0.5 * error(NORMAL, (-5.0, 400.0))


def test_entropy_clips_what_hardly_occurs() -> None:
    low, high = METHODS["entropy"](histogram(RANDOM.laplace(size=(50, 20_000))))
    assert -low == pytest.approx(high, rel=0.3)
    assert high < 13


# ------------------------------------------------------------------ choices


def candidate(agreement: float, latency_s: float, name: str) -> Candidate:
    return Candidate(Made("int8", name, Scheme("mse")), agreement, 0.9, latency_s)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([(0.98, 9.0, "slow"), (0.98, 6.0, "fast")], "fast"),
        ([(0.98, 9.0, "right"), (0.97, 6.0, "wrong")], "right"),
        ([(0.9795, 9.0, "slow"), (0.98, 6.0, "fast"), (0.9791, 5.0, "faster")], "faster"),
        ([(0.98, 9.0, "first"), (0.98, 8.9, "hardly faster")], "first"),
    ],
)
def test_answers_decide_then_speed(given: list[tuple[float, float, str]], wanted: str) -> None:
    assert fastest([candidate(*one) for one in given]).made.file == wanted


@pytest.mark.parametrize("count", [1, 2, 3, 7, 53])
def test_the_fewest_layers_are_found_with_few_trials(count: int) -> None:
    for wanted in range(1, count + 1):
        asked: list[int] = []

        def holds(number: int, wanted: int = wanted, asked: list[int] = asked) -> bool:
            asked.append(number)
            return number >= wanted

        assert _mixed.fewest(count, holds) == wanted
        assert len(asked) <= 2 * wanted.bit_length() + 1
        assert len(set(asked)) == len(asked)


def test_divergence_is_zero_for_equal_probabilities_and_grows() -> None:
    reference = RANDOM.standard_normal((100, 10)).astype(np.float32)
    assert parity.divergence(reference + 5, reference) == pytest.approx(0, abs=1e-6)
    near, far = (
        parity.divergence(reference + NORMAL[0, :1000].reshape(100, 10) * size, reference) for size in (0.1, 1)
    )
    assert 0 < near < far


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
    assert _onnx_int8.float_nodes(graph, ("stem",)) == ["stem", "gate", "silu"]
    assert _onnx_int8.float_nodes(graph, ("middle",)) == ["middle", "relu"]
    assert _onnx_int8.float_nodes(graph, ("stem", "middle")) == ["stem", "gate", "silu", "middle", "relu", "sum"]
    assert _onnx_int8.float_nodes(graph, ()) == []
    assert onnx.checker


# ------------------------------------------------------------------ the real thing

FORMATS = [
    "onnx-int8",
    pytest.param("tflite-int8", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def small() -> Dataset:
    for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
        if not exporters.importlib.util.find_spec(library):
            pytest.skip(f"needs {library}")
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 640), test=data.balanced(full.test, 300))


@pytest.fixture(scope="module")
def dense(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> checkpoint.Checkpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: small)
        return train("ultralight", epochs=6, out=tmp_path_factory.mktemp("quantisation"))


@pytest.fixture
def spoilt(dense: checkpoint.Checkpoint, tmp_path: Path) -> checkpoint.Checkpoint:
    """The same function of the image, but one channel between two layers is so large that no byte holds the others."""
    import torch

    network: Any = dense.build()
    with torch.no_grad():
        network.depthwise.bias[0] += 3000
        network.pointwise.bias -= 3000 * network.pointwise.weight[:, 0, 0, 0]
    return checkpoint.save(network, dense.about, tmp_path / "spoilt.safetensors")


@pytest.mark.export
@pytest.mark.parametrize("name", FORMATS)
def test_the_fewest_layers_stay_float(
    name: str, spoilt: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: small)
    (artifact,) = export(spoilt.path, formats=[name], max_drop=1.0, out=tmp_path / "out").bundle.artifacts
    notes, found = artifact.notes, artifact.parity
    assert found is not None
    assert notes["float_layers"].startswith("2 of 5; ")
    assert "depthwise" in notes["float_layers"] and "pointwise" in notes["float_layers"]
    before, after = (float(notes[f"drop_{when}"].split()[0]) for when in ("before", "after"))
    assert before > 10 > 1 >= after
    assert found.top1_agreement > 0.95
    lines = candidates(artifact)
    assert sum(line.endswith("chosen") for line in lines) == 1
    assert max(map(len, lines)) <= 80


@pytest.mark.export
def test_two_classes_do_not_come_out_equally_large(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    import onnxruntime

    monkeypatch.setattr(data, "load", lambda name: small)
    made = export(dense.path, formats=["onnx-int8"], out=tmp_path / "out")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.path / "onnx-int8.onnx", options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    images = dense.about.preprocessing.apply(small.test.images)
    answers = np.concatenate([session.run(None, {source.name: image[None]})[0] for image in images])
    assert answers.dtype == np.float32
    assert len(np.unique(answers)) > 256
    assert ((answers == answers.max(1, keepdims=True)).sum(1) == 1).all()
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds[-1] == "QGemm", "the last layer still multiplies bytes"
    assert "Gemm" not in kinds


@pytest.mark.export
@pytest.mark.parametrize("name", ["onnx-int8", "onnx-dynamic-int8"])
def test_weights_of_seven_bits_for_processors_that_cut_off(
    name: str, dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    from onnx import numpy_helper

    monkeypatch.setattr(data, "load", lambda name: small)
    largest = {}
    for no_vnni in (False, True):
        made = export(dense.path, formats=[name], no_vnni=no_vnni, out=tmp_path / f"{no_vnni}")
        (artifact,) = made.bundle.artifacts
        tensors = map(numpy_helper.to_array, onnx.load(made.path / artifact.content.file).graph.initializer)
        largest[no_vnni] = max(int(abs(tensor.astype(int)).max()) for tensor in tensors if tensor.dtype == np.int8)
        assert artifact.parity is not None
        assert artifact.parity.top1_agreement > 0.95
        assert ("7 bits" in artifact.notes.get("weights", "")) == no_vnni
    assert largest[False] > 64 >= largest[True]
    assert 2 * 255 * largest[True] < 2**15


@pytest.mark.export
def test_signed_activations_are_the_same_numbers(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes and zero points less 128: for boards on which that is faster; and nowhere channels of zeros."""
    import onnx
    from onnx import numpy_helper

    monkeypatch.setattr(data, "load", lambda name: small)
    monkeypatch.setattr(instructions, "of_forms", lambda network: FORMS)
    zeros, agreement = {}, {}
    for board in ("rpi4", "rpi5"):
        made = export(dense.path, formats=["onnx-int8"], targets=[board], out=tmp_path / board)
        (artifact,) = made.bundle.artifacts
        assert artifact.parity is not None
        assert artifact.notes["form"].partition(",")[0] == ("s8s8" if board == "rpi4" else "u8s8")
        agreement[board] = artifact.parity.top1_agreement
        graph = onnx.load(made.path / artifact.content.file).graph
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        points = [tensors[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
        zeros[board] = [int(point) for point in points]
        assert {point.dtype for point in points} == {np.dtype(np.int8 if board == "rpi4" else np.uint8)}
    assert zeros["rpi4"] == [zero - 128 for zero in zeros["rpi5"]]
    assert agreement["rpi4"] == pytest.approx(agreement["rpi5"], abs=0.01)


@pytest.mark.parametrize(
    ("places", "no_vnni", "expected"),
    [
        ([], False, Kernels()),
        (["rpi4"], False, Kernels(signed=True, x86=False)),
        (["rpi4", "rpi5"], False, Kernels(x86=False)),  # one of them gains too little
        (["rpi4", DESKTOP], False, Kernels()),  # where part of it would stay in float
        ([DESKTOP], False, Kernels()),
        (["another board"], False, Kernels(x86=False)),
        (["rpi4"], True, Kernels(weight_bits=7)),
    ],
)
def test_the_signs_are_those_of_the_boards(
    places: list[Target | str], no_vnni: bool, expected: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_processor, "cuts_off", lambda: False)
    monkeypatch.setattr(instructions, "of_forms", lambda network: FORMS)
    assert _processor.kernels_for(places, "ultralight", no_vnni=no_vnni) == expected


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "expected"),
    [
        ("x86_64", "flags\t\t: sse4_2 avx2 avx512f\n", True),
        ("x86_64", "flags\t\t: avx2 avx_vnni\n", False),
        ("x86_64", "flags\t\t: avx2 avx512f avx512_vnni\n", False),
        ("aarch64", "Features\t: asimd asimddp\n", False),
        ("x86_64", None, False),
    ],
)
def test_processors_that_cut_off_are_known(
    machine: str, cpuinfo: str | None, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "ROOT", tmp_path)
    monkeypatch.setattr(_processor.platform, "machine", lambda: machine)
    if cpuinfo is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc" / "cpuinfo").write_text(cpuinfo)
    assert _processor.cuts_off() == expected


@pytest.mark.export
def test_no_layer_stays_float_without_need(
    dense: checkpoint.Checkpoint, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "load", lambda name: small)
    made = export(dense.path, formats=["onnx-int8", "onnx-dynamic-int8"], max_drop=5, out=tmp_path / "out")
    static, dynamic = made.bundle.artifacts
    assert "float_layers" not in static.notes and "drop_before" not in static.notes
    assert dynamic.name == f"{dense.name}-onnx-dynamic-int8"
    assert dynamic.notes["quantisation"].startswith("dynamic: weights of linear layers INT8")
    assert "calibration" not in dynamic.notes
    import onnx

    nodes = onnx.load(made.path / "onnx-dynamic-int8.onnx").graph.node
    kinds = [node.op_type for node in nodes]
    assert (kinds.count("MatMulInteger"), kinds.count("Conv"), kinds.count("QuantizeLinear")) == (2, 3, 0)


@pytest.mark.parametrize("drop", [-0.1, 100, float("nan")])
def test_a_drop_that_is_none_is_told_before_any_work(drop: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--max-drop"):
        export(tmp_path / "nothing.safetensors", max_drop=drop)


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
    job = exporters.Job(
        str(source), "onnx", ("int8",), str(tmp_path), str(images), small.preprocessing, (Scheme("minmax"),)
    )
    (plain,) = exporter.convert(job)
    assert [len(start) for start in plain.float_starts] == [1, 2]
    assert plain.float_starts[1] == plain.layers[:2]
    for_boards = Scheme("minmax", kernels=Kernels(x86=False))
    (narrow,) = exporter.convert(msgspec.structs.replace(job, schemes=(for_boards,)))
    assert not narrow.float_starts, "which were timed on x86 only"
    schemes = tuple(Scheme("minmax", start) for start in plain.float_starts)
    mixed = list(exporter.convert(msgspec.structs.replace(job, schemes=schemes)))
    image = small.preprocessing.apply(small.validation.images[:1])
    wanted = network(torch.from_numpy(image)).detach().numpy()
    errors = [
        parity.relative_error(exporter.open_artifact(Path(made.file)).run(image), wanted) for made in (plain, *mixed)
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
    made = export(source, formats=["onnx-int8"], calibration=small.name, out=tmp_path / "out")
    (artifact,) = made.bundle.artifacts
    raced = {name: text for name, text in artifact.notes.items() if " ms" in text}
    ranges = artifact.notes["ranges"]
    assert set(raced) == {f"candidate_{ranges}", f"candidate_{ranges}, 1 float", f"candidate_{ranges}, 2 float"}
    (chosen,) = (name for name, text in raced.items() if text.endswith("chosen"))
    count = float_convolutions(made.path / "onnx-int8.onnx")
    assert count == (int(chosen.split()[1]) if chosen.endswith("float") else 0)
    assert artifact.notes.get("float_layers", "0 of 3").startswith(f"{count} of 3")


def save_onnx(network: Any, path: Path) -> None:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(network.eval(), (torch.zeros(1, 1, 28, 28),), str(path), dynamo=False, opset_version=17)


def float_convolutions(path: Path) -> int:
    """Convolutions whose weights are not the output of a dequantise node."""
    import onnx

    graph = onnx.load(path).graph
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return sum(node.op_type == "Conv" and node.input[1] not in dequantised for node in graph.node)


def test_every_layer_reads_tensors_of_its_own(tmp_path: Path) -> None:
    """Tracing makes one tensor of equal biases; a float layer would read that of an INT8 layer, and dequantise it."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from torch import nn

    network = nn.Sequential(*(nn.Conv2d(1, 1, 3) for _ in range(3)))
    for layer in network:
        nn.init.zeros_(layer.bias)
    save_onnx(network, tmp_path / "source.onnx")
    _onnx_int8.prepare(tmp_path / "source.onnx", tmp_path / "prepared.onnx")
    nodes = [node for node in onnx.load(tmp_path / "prepared.onnx").graph.node if node.op_type == "Conv"]
    biases = [node.input[2] for node in nodes]
    assert len(biases) == 3 and len(set(biases)) == 3


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
    _onnx_int8.prepare(tmp_path / "net.onnx", tmp_path / "prepared.onnx")
    assert len(_onnx_int8.float_starts(tmp_path / "prepared.onnx")) == starts


def test_what_stayed_float_is_told_by_reason() -> None:
    def layer(operator: str, arithmetic: Any, why: str = "") -> Layer:
        return Layer(1, operator, operator, (1, 10), "float32", 40, None, arithmetic=arithmetic, why_float=why)

    whole = [layer("Conv", "integer"), layer("QuantizeLinear", "none")]
    assert _float_operators.described(whole) == "none of 1"
    left = [layer("Softplus", "float", "the quantiser does not know Softplus")] * 2
    odd = [layer("Relu", "float")]
    assert _float_operators.described(whole + left + odd) == (
        "3 of 4; Softplus x2: the quantiser does not know Softplus; Relu: it lies between float operators"
    )
