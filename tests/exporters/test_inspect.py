"""Looking into our own files, and what is printed and written. Strangers have a file of their own.

RENEW_GOLDENS=1 writes the golden text in tests/data anew.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from edgebench.analysis import inspection_report as report
from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.inspect import inspect, known_of
from edgebench.modelfile import feeding
from edgebench.schema import bundle
from edgebench.schema.inspection import Inspection, Layer, LoadedBy
from exporters.inspect import LookTask
from exporters.workers.process import WorkerPool
from tests.conftest import DATA, run_cli

pytestmark = pytest.mark.export

for library in ("onnx", "onnxruntime", "ai_edge_litert"):
    if not importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

from tests.support.inspected import BUNDLE, on_terminal, read_onnx, read_tflite  # noqa: E402
from tests.support.inspected import folder as folder  # noqa: E402
from tests.support.inspected import network_file as network_file  # noqa: E402

# ------------------------------------------------------------------ our own files


@pytest.fixture(scope="module")
def int8() -> Inspection:
    return inspect(BUNDLE / "onnx-int8.onnx")


@pytest.fixture(scope="module")
def tflite_int8() -> Inspection:
    return inspect(BUNDLE / "tflite-int8.tflite")


@pytest.mark.parametrize("name", ["onnx-fp32.onnx", "onnx-int8.onnx", "tflite-fp32.tflite", "tflite-int8.tflite"])
def test_counts_are_those_of_the_checkpoint(name: str) -> None:
    """The bundle's counts come from models.count on the torch network."""
    artifact = next(one for one in bundle.load(BUNDLE).artifacts if one.content.file == name)
    read = read_onnx if name.endswith(".onnx") else lambda path, _: read_tflite(path)
    network = read(BUNDLE / name, BUNDLE)
    assert (network.macs, network.parameters) == (artifact.macs, artifact.parameters) == (192_324, 48_410)
    biases = 11 + 11 + 22 + 44 + 10
    bytes_each = (1, 4) if "int8" in name else (4, 4)
    assert network.weights_bytes == (network.parameters - biases) * bytes_each[0] + biases * bytes_each[1]


def test_both_formats_hold_the_same_network() -> None:
    """The same shapes, zeros and memory, found by two readers in two formats."""
    mine, its = (
        [layer for layer in network.layers if layer.weights]
        for network in (read_onnx(BUNDLE / "onnx-int8.onnx", BUNDLE), read_tflite(BUNDLE / "tflite-int8.tflite"))
    )
    for one, other in zip(mine, its, strict=True):
        assert (one.macs, one.parameters, one.weights_bytes) == (other.macs, other.parameters, other.weights_bytes)
        assert (one.zeros, one.scales, one.activation_bytes) == (other.zeros, other.scales, other.activation_bytes)
        assert one.grouped == other.grouped, "also where TFLite calls the stem of grey images depthwise"
    assert [layer.grouped for layer in mine] == [False, True, False, False, False]
    assert sum(layer.zeros or 0 for layer in mine) > 0
    peaks = [
        network.memory.peak_activation_bytes
        for network in (read_onnx(BUNDLE / "onnx-int8.onnx", BUNDLE), read_tflite(BUNDLE / "tflite-int8.tflite"))
        if network.memory
    ]
    assert peaks == [11 * 28 * 28 + 11 * 14 * 14] * 2


def test_int8_runs_on_integers_and_is_near_its_float_sibling(int8: Inspection, tflite_int8: Inspection) -> None:
    for found in (int8, tflite_int8):
        assert found.compared_images == 32
        assert all(layer.arithmetic == "integer" for layer in found.network.layers)
        assert all(20 < (layer.sqnr_db or 0) < 60 for layer in found.network.layers)
        assert found.network.remarks == ()
    runs_as = {layer.operator: layer.runs_as for layer in int8.network.layers}
    assert (runs_as["Conv"], runs_as["Gemm"]) == ("QLinearConv", "QGemm")
    last = [found.network.layers[-1].sqnr_db for found in (int8, tflite_int8)]
    assert last[0] == pytest.approx(last[1], abs=1), "two runtimes, the same weights and nearly the same ranges"


def test_a_file_of_a_bundle_says_how_far_it_is_from_its_network(int8: Inspection) -> None:
    assert int8.artifact is not None
    assert int8.artifact.parity is not None
    assert int8.source["dataset"] == "fashion-mnist-mini"
    text = on_terminal(int8)
    assert "89.45% (88.03% to 90.72%) on 2,000 test images of fashion-mnist-mini" in text
    assert "calibration: 256 images" in text


def test_the_float_file_is_not_compared_with_itself() -> None:
    known = known_of(BUNDLE / "onnx-fp32.onnx", bundle.file_ref(BUNDLE, BUNDLE / "onnx-fp32.onnx").sha256)
    assert known.artifact is not None
    assert known.sibling is None


def test_a_damaged_bundle_is_said_and_not_used(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes((BUNDLE / "onnx-fp32.onnx").read_bytes())
    assert known_of(tmp_path / "net.onnx", "0" * 64).remarks == ()
    (tmp_path / "bundle.json").write_text('{"schema_version": 1, "name": "\\u001b[31m"}')
    (remark,) = known_of(tmp_path / "net.onnx", "0" * 64).remarks
    assert "is not used" in remark
    (tmp_path / "bundle.json").write_bytes((BUNDLE / "bundle.json").read_bytes())
    assert "missing" in known_of(tmp_path / "net.onnx", "0" * 64).remarks[0]


def test_litert_says_how_much_memory_it_lays_aside(tflite_int8: Inspection) -> None:
    memory = tflite_int8.network.memory
    assert memory is not None
    assert memory.arena_bytes is not None
    assert memory.peak_activation_bytes <= memory.arena_bytes < 2 * memory.peak_activation_bytes


def test_inputs_are_described_as_they_are_stored(int8: Inspection, tflite_int8: Inspection) -> None:
    (source,) = int8.network.inputs
    assert (source.name, source.shape, source.dtype, source.layout) == (
        "input",
        ("batch", 1, 28, 28),
        "float32",
        "NCHW",
    )
    (source,) = tflite_int8.network.inputs
    assert (source.shape, source.dtype, source.layout, source.zero_point) == ((1, 28, 28, 1), "int8", "NHWC", -55)
    assert tflite_int8.network.signatures == ("serving_default(args_0) -> output_0",)


@pytest.mark.filterwarnings("ignore")  # torch's, about its older exporter
@pytest.mark.parametrize(
    ("model", "shape"),
    [("mlp-small", (1, 28, 28)), ("ultralight", (3, 32, 32)), ("res-se", (3, 32, 32)), ("mobilenetv2", (3, 32, 32))],
)
def test_macs_of_our_networks_are_those_that_are_counted_in_torch(
    model: str, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    from edgebench.networks import models
    from edgebench.schema import checkpoint
    from edgebench.schema.history import Metrics
    from edgebench.schema.preprocessing import Preprocessing
    from exporters import onnx as exporter

    network = models.build(model, shape, 10)
    about = checkpoint.Metadata(
        model=model,
        dataset="fashion-mnist-mini",
        input_shape=shape,
        class_names=tuple("abcdefghij"),
        preprocessing=Preprocessing((0.5,) * shape[0], (0.5,) * shape[0]),
        size=models.count(network, shape),
        metrics=Metrics(0.1, 2.3, 100),
    )
    saved = checkpoint.save(network, about, tmp_path / "net.safetensors")
    exporter.from_checkpoint(saved.path, tmp_path / "net.onnx")
    assert read_onnx(tmp_path / "net.onnx", tmp_path).macs == about.size.macs


def test_what_integers_of_an_input_stand_for(tflite_int8: Inspection, network_file: Path, folder: Path) -> None:
    ends = [(end + 55) * 0.01110925991088152 for end in (-128, 127)]
    assert any(f"{ends[0]:.4g} to {ends[1]:.4g}" in hint for hint in tflite_int8.network.hints)
    assert any("ends with Softmax: outputs are probabilities" in h for h in read_onnx(network_file, folder).hints)


# ------------------------------------------------------------------ what is printed and written


def test_the_terminal_shows_what_it_always_showed(int8: Inspection) -> None:
    layers = tuple(replace(layer, sqnr_db=30.0 + layer.number) for layer in int8.network.layers)
    found = replace(int8, runtime="onnxruntime 1.31.1 CPU", network=replace(int8.network, layers=layers))
    text = "\n".join(line.rstrip() for line in on_terminal(found).splitlines()) + "\n"
    path = DATA / "inspection-80.txt"
    if os.environ.get("RENEW_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert all(len(line) <= 80 for line in text.splitlines())


def test_numbers_are_never_shortened(tflite_int8: Inspection) -> None:
    text = on_terminal(tflite_int8)
    for layer in tflite_int8.network.layers:
        assert layer.macs == 0 or f"{layer.macs:,}" in text
        assert layer.weights_bytes == 0 or f"{layer.weights_bytes:,}" in text


@pytest.mark.parametrize(
    ("name", "operator", "shown"),
    [
        ("/features/features.2/conv/conv.0/conv.0.0/Conv", "Conv", "features.2/conv.0.0"),
        ("/stem/Conv", "Conv", "stem"),
        ("a.b/nn.ReLU6_act1;;a.b/nn.Conv2d_stem;", "CONV_2D", "ReLU6_act1+Conv2d_…"),
        ("a/nn.Conv2d_depthwise;2", "CONV_2D", "Conv2d_depthwise"),
        ("Conv", "Conv", "Conv"),
    ],
)
def test_layers_are_called_by_what_tells_them_apart(name: str, operator: str, shown: str) -> None:
    layer = Layer(1, name, operator, (), "float32", None, None)
    made = report.layer_name(layer)
    assert len(made) <= 19
    assert made == shown or (made.startswith("…") and made.endswith("Conv2d_stem"))


def test_a_network_of_thousands_of_layers_does_not_flood_the_terminal(int8: Inspection) -> None:
    many = tuple(replace(int8.network.layers[0], number=number) for number in range(1, 1001))
    text = on_terminal(replace(int8, network=replace(int8.network, layers=many)))
    assert "600 more layers: --csv FILE" in text
    assert len(text.splitlines()) < 1000


def test_the_command(tmp_path: Path) -> None:
    done = run_cli(
        *("inspect", BUNDLE / "onnx-int8.onnx", "--json", "a.json", "--csv", "a.csv", "--svg", "a.svg"), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "integer QLinearConv" in done.stdout
    found = msgspec.json.decode((tmp_path / "a.json").read_bytes(), type=Inspection)
    assert found.network.macs == 192_324
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sum(int(row["macs"]) for row in rows) == 192_324
    assert rows[0]["output_shape"] == "1x11x28x28"
    assert prod(map(int, rows[0]["output_shape"].split("x"))) == int(rows[0]["activation_bytes"])
    picture = (tmp_path / "a.svg").read_text()
    assert "SQNR against the fp32 file" in picture
    assert json.loads((tmp_path / "a.json").read_text())["sha256"] in done.stdout


def test_mistakes_are_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkerPool, "look", lambda self, task: pytest.fail("a process was started"))
    with pytest.raises(BadFile, match="no such file"):
        inspect(tmp_path / "nothing.onnx")
    with pytest.raises(UserError, match="stored with all sizes"):
        inspect(BUNDLE / "tflite-fp32.tflite", shape=(1, 2))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else real(name))
    with pytest.raises(MissingPackage, match=r"pip install 'edgebench\[export\]'"):
        inspect(BUNDLE / "onnx-fp32.onnx")
    for text in ("3 x 4", "1x0x3", "axb", ""):
        with pytest.raises(UserError, match="is not an input shape"):
            feeding.parse_sizes(text)
    assert feeding.parse_sizes("1x3X224x224") == (1, 3, 224, 224)


def test_a_file_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    done = run_cli("inspect", BUNDLE / "onnx-fp32.onnx", "--svg", "no/such/folder.svg", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Layers" not in done.stdout


def test_a_runtime_that_refuses_leaves_the_network_as_read(network_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = WorkerPool.look

    def refuse(self: WorkerPool, task: LookTask) -> Any:
        return LoadedBy("onnxruntime 0.1", "no") if task.step == "load" else real(self, task)

    monkeypatch.setattr(WorkerPool, "look", refuse)
    found = inspect(network_file)
    assert "onnxruntime 0.1 does not run it: no" in found.network.remarks
    assert found.network.macs
