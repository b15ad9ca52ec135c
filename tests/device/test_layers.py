"""The time of each layer, in each runtime: the one that takes most is found, and which layer of the network it is."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from device_agents.python import facts, layer_names, layers, onnx_nodes, runtimes
from device_agents.python.peak_models import PEAK_MODELS
from device_agents.python.runtimes import _mnn_layers
from tests.support import dominated

OPTIONS = {"threads": 1, "device": "cpu"}
SCOPE = "a.b.ChannelLastIOWrapper/torch.nn.modules.container.Sequential_wrapped/"


@pytest.mark.parametrize(
    ("runtime", "write", "name", "named"),
    [
        ("onnxruntime", dominated.onnx_file, "a.onnx", True),
        ("openvino", dominated.onnx_file, "a.onnx", True),
        ("litert", dominated.tflite_file, "a.tflite", True),
        ("torch", dominated.torch_file, "a.pt2", True),
        ("ncnn", dominated.ncnn_file, "a.param", False),  # its converter's names are not the network's
    ],
)
def test_the_layer_that_takes_most_of_the_time_is_found(
    runtime: str, write: Callable[[Path], Path], name: str, named: bool, tmp_path: Path
) -> None:
    pytest.importorskip({"litert": "ai_edge_litert"}.get(runtime, runtime))
    path = str(write(tmp_path / name))
    module = runtimes.module(runtime)
    plain = module.load(path, OPTIONS)
    fed = [bytes(one["bytes"]) for one in plain.inputs()]
    plain.feed(0, fed[0])
    found = layers.profile(module, plain, fed, (path, OPTIONS, str(tmp_path)), 0.1)
    times = [one["ns"] for one in found["layers"]]
    largest = found["layers"][times.index(max(times))]
    assert largest["ns"] > 0.6 * sum(times) and found["cut"] is (runtime in ("torch", "ncnn"))
    assert largest["precision"] == "f32" and largest["kernel"]
    assert [one for one in found["layers"] if "net.large" in one.get("parents", ())] == ([largest] if named else [])
    assert found["plain_ns"] > 0 and found["profiled_ns"] > 0
    assert {one.name for one in tmp_path.iterdir()} <= {name, "a.bin"}


def test_litert_says_in_which_precision_and_by_which_kernel(tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(zlib.decompress(zlib.decompress(base64.b64decode(PEAK_MODELS[".tflite"]["int8"]))))
    module = runtimes.module("litert")
    session = module.profiled(str(path), OPTIONS, str(tmp_path))
    session.begin_layers()
    for _ in range(3):
        session.invoke()
        session.collect()
    *_, layer = session.layers(3)
    assert layer["kind"] == "Fully Connected" and layer["precision"] == "i8" and "XNNPACK" in layer["kernel"]
    assert layer["parents"] == [] and len(layer["ns"]) == 3  # what it makes has the name of the network's output
    with pytest.raises(ValueError, match="other sizes in the file"):
        session.feed(0, b"1")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/features/features.0/features.0.0/Conv", ["features.0.0"]),
        ("/features/features.1/features.1.0/block/block.0/block.0.0/Conv", ["features.1.0.block.0.0"]),
        ("/features/features.3/squeeze/Conv", ["features.3.squeeze"]),
        ("/stem/Conv", ["stem"]),
        ("/Add", ["/Add"]),
        ("Conv_3", ["Conv_3"]),
        (SCOPE + "torch.nn.modules.activation.ReLU6_act1;;" + SCOPE + "torch.nn.Conv2d_my_stem;", ["act1", "my_stem"]),
        ("model/conv2d/Relu;model/conv2d/BiasAdd;x", ["model/conv2d/Relu", "model/conv2d/BiasAdd"]),
        ("", []),
    ],
)
def test_names_of_exporters_say_which_layer_of_the_network_it_is(name: str, found: list[str]) -> None:
    assert layer_names.layers_of(name) == found


def test_kernels_are_matched_with_the_operators_of_the_file_past_what_either_has_alone() -> None:
    operators = [("CONV_2D", "a"), ("PAD", "b"), ("DEPTHWISE_CONV_2D", "c"), ("ADD", "d"), ("FULLY_CONNECTED", "e")]
    kernels = ["Convert (NC, F32, QS8)", "Convolution (NHWC, QC8) IGEMM", "Fully Connected (NC)", "Add (ND, S8)"]
    assert layer_names.of_kernels(kernels, operators) == ["", "a", "c", "d"]
    assert layer_names.of_kernels(["Softmax (NC, F32)"], operators) == [""]


def test_fused_nodes_of_an_onnx_file_belong_to_the_layer_that_computes_them(tmp_path: Path) -> None:
    nodes = [
        ("/stem/Conv", "Conv", ("x", "w"), ("/stem/Conv_output_0",)),
        ("", "Constant", (), ("c",)),
        ("/act/Clip", "Clip", ("/stem/Conv_output_0", "c"), ("/act/Clip_output_0",)),
        ("q", "QuantizeLinear", ("/act/Clip_output_0",), ("qo",)),
        ("/fc/Gemm", "Gemm", ("qo", "v"), ("/fc/Gemm_output_0",)),
        ("/relu/Relu", "Relu", ("/fc/Gemm_output_0",), ("y",)),
    ]
    names = ["ReorderInput", "/act/Clip_output_0", "fused /fc/Gemm"]
    assert onnx_nodes.parents(names, nodes) == [[], ["stem", "act"], ["fc", "relu"]]
    read = onnx_nodes.read(str(dominated.onnx_file(tmp_path / "a.onnx")))
    assert [one[:2] for one in read] == [(f"/net/net.{name}/MatMul", "MatMul") for name in dominated.SIZES]
    (tmp_path / "bad.onnx").write_bytes(b"\x3a\xff\xff\xff\xff\x0f\x0a\x07")
    assert onnx_nodes.with_parents([{"name": "x"}], str(tmp_path / "bad.onnx"))[0].get("parents", []) == []


def test_a_node_that_holds_a_graph_is_one_layer(tmp_path: Path) -> None:
    path = str(dominated.branching_onnx_file(tmp_path / "a.onnx"))
    module = runtimes.module("onnxruntime")
    session = module.profiled(path, OPTIONS, str(tmp_path))
    for _ in range(3):
        session.invoke()
    found = session.layers(3)
    assert [(one["kind"], len(one["ns"])) for one in found] == [("ReduceMean", 3), ("Greater", 3), ("If", 3)]


def test_a_runtime_that_breaks_in_this_pass_costs_no_other_numbers() -> None:
    class Lines(list[dict[str, object]]):
        def write(self, event: str, **fields: object) -> None:
            self.append({"event": event, **fields})

    class Artifact:
        index, worker, spec, path, folder = 0, True, {"options": OPTIONS}, "a.onnx", "."
        stop_asked = staticmethod(lambda: False)
        running = type("Running", (), {"pid": 1})

        def start_worker(self, purpose: str) -> object:
            raise layers.WorkerFailed("crashed", "SIGSEGV during 'layers'", "SIGSEGV")

    journal = Lines()
    layers.measure_layers([Artifact()], {"layers_s": 1.0, "worker_timeout_s": 1.0}, journal)  # type: ignore
    assert journal == [{"event": "layers", "artifact": 0, "layers": {"reason": "SIGSEGV during 'layers'"}}]
    Artifact.running.pid = None
    layers.measure_layers([Artifact()], {"layers_s": 1.0, "worker_timeout_s": 1.0}, journal)  # type: ignore
    assert "browser" in str(journal[1])


def test_mnn_calls_back_around_each_of_its_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = pytest.importorskip("_mnncengine")
    module = runtimes.module("mnn")
    path = tmp_path / "a.mnn"
    path.write_bytes(base64.b64decode(module.TINY_MODEL))
    plain = module.load(str(path), OPTIONS)
    fed = [bytes(one["bytes"]) for one in plain.inputs()]
    plain.feed(0, fed[0])
    found = layers.profile(module, plain, fed, (str(path), OPTIONS, str(tmp_path)), 0.01)
    (layer,) = (one for one in found["layers"] if one["kind"] == "ReLU")
    assert layer["precision"] == "f32" and layer["kernel"] == "MNN" and layer["ns"] > 0 and not found["cut"]
    # Half precision is asked for, and computed in where the processor can.
    monkeypatch.setattr(facts, "ROOT", tmp_path)
    (tmp_path / "proc").mkdir()
    for features, precision in (("asimd asimdhp", "f16"), ("asimd", "f32")):
        (tmp_path / "proc/cpuinfo").write_text(f"Features : {features}\n")
        session = module.profiled(str(path), {**OPTIONS, "precision": "fast"}, str(tmp_path))
        session.invoke()
        assert [one["precision"] for one in session.layers(1)] == [precision]
    with pytest.raises(ValueError, match="no inputs of int8"):
        _mnn_layers.CalledBack(engine, str(path), "low", 1, [{**plain.inputs()[0], "dtype": "int8"}])
