"""The exporters' parts by themselves: names, contracts, layouts, numbers. Nothing is converted here."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import msgspec
import numpy as np
import psutil
import pytest

import exporters
from edgebench.schema import bundle, tensors
from edgebench.schema.bundle import TensorSpec
from exporters.pipeline import conversion, golden, wanted
from exporters.workers import process

ALL = [
    "onnx-fp32", "onnx-fp16", "onnx-int8", "tflite-fp32", "tflite-fp16", "tflite-int8", "torch-fp32", "torch-fp16",
]  # fmt: skip


def test_what_is_made_without_being_named() -> None:
    @dataclasses.dataclass
    class Source:
        kind: str
        calibration: str | None

    mine, theirs, bare = Source("checkpoint", "d"), Source("onnx", "d"), Source("onnx", None)
    four = ["onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8"]
    assert wanted.names(mine, (), int8=False) == ALL
    assert wanted.names(mine, (), int8=True) == four
    assert wanted.names(mine, ["tflite-fp32", " torch-fp32"], int8=True) == ["tflite-fp32", "torch-fp32", "tflite-int8"]
    assert wanted.names(theirs, (), int8=False) == ALL[:6]
    assert wanted.names(bare, (), int8=False) == ["onnx-fp32", "onnx-fp16", "tflite-fp32", "tflite-fp16"]


@pytest.mark.parametrize("plugin", exporters.plugins.names("exporters"))
def test_every_exporter_keeps_the_contract(plugin: str) -> None:
    exporter = exporters.load(plugin)
    assert exporter.FORMAT in get_args(bundle.Format)
    assert bundle.FORMAT_OF_SUFFIX[exporter.SUFFIX] == exporter.FORMAT
    assert set(exporter.SOURCES) <= set(get_args(exporters.SourceKind))
    assert exporter.PACKAGES
    assert all(callable(getattr(exporter, name)) for name in ("warm", "convert", "open_artifact"))


def test_naming_formats_imports_no_heavy_library() -> None:
    code = (
        "import sys, edgebench.export, exporters; "
        "exporters.choose(exporters.formats('checkpoint'), 'checkpoint'); "
        "print([name for name in ('torch', 'onnx', 'tensorflow', 'litert_torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_max_pooling_with_pads_is_turned_only_where_zeros_are_the_lowest() -> None:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    from exporters.onnx_edit.simplified import pad_before_pooling

    def network(first: str) -> onnx.ModelProto:
        nodes = [
            helper.make_node(first, ["x"], ["a"]),
            helper.make_node("MaxPool", ["a"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        ]
        image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 7, 5])
        answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, "g", [image], [answer])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def answer(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
        return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": image})[0]

    image = np.random.default_rng(0).standard_normal((1, 2, 7, 5)).astype(np.float32) - 1
    for first, turned in (("Relu", 1), ("Sigmoid", 1), ("Tanh", 0)):
        model = network(first)
        before = answer(model, image)
        assert pad_before_pooling(model) == turned
        assert np.array_equal(answer(model, image), before)
        assert [node.op_type for node in model.graph.node].count("Pad") == turned


def test_numbers_are_quantised_as_the_runtime_reads_them() -> None:
    spec = TensorSpec("x", (1, 2, 2, 1), "int8", "NHWC", scale=0.5, zero_point=-3)
    images = np.array([[[[0.0, 0.24], [100.0, -100.0]]]], np.float32)
    stored = tensors.to_stored(images, spec)
    assert stored.reshape(-1).tolist() == [-3, -3, 127, -128]
    assert tensors.from_stored(stored, spec).reshape(-1).tolist() == [0.0, 0.0, 65.0, -62.5]
    assert tensors.to_stored(images, as_float(spec, "float16")).dtype == np.float16


def as_float(spec: TensorSpec, dtype: str) -> TensorSpec:
    return msgspec.structs.replace(spec, dtype=dtype, scale=None, zero_point=None)


def test_comparing_answers() -> None:
    reference = np.array([[1, 0], [0, 1], [3, 0], [0, 4]], np.float32)
    answers = reference.copy()
    answers[0] = [0, 1]
    assert tensors.agreement(answers, reference) == 0.75
    assert tensors.accuracy(answers, np.array([1, 1, 0, 0])) == 0.75
    assert tensors.sqnr_db(reference, reference) == tensors.SQNR_CEILING_DB
    assert tensors.sqnr_db(reference * 1.1, reference) == pytest.approx(20, abs=1e-3)


def test_golden_files_of_large_inputs_stay_small() -> None:
    def count(*shape: int) -> int:
        return golden.count([TensorSpec("image", (1, *shape), "float32", "NCHW")])

    assert count(1, 28, 28) == 32
    assert count(3, 224, 224) == 13
    assert count(3, 4096, 4096) == 1


def test_pooling_of_a_module_is_turned_only_where_zeros_are_the_lowest() -> None:
    torch = pytest.importorskip("torch")
    from torch import nn

    from exporters import tflite

    def network(activation: nn.Module) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), activation, nn.MaxPool2d(3, 2, 1)).eval()

    torch.manual_seed(0)
    whole = network(nn.ReLU())
    turned = tflite._pooled_over_zeros(whole)
    assert isinstance(whole[2], nn.MaxPool2d), "the network itself stays as it is"
    assert [type(layer).__name__ for layer in turned[2]] == ["ZeroPad2d", "MaxPool2d"]
    image = torch.randn(1, 1, 12, 12)
    assert torch.equal(turned(image), whole(image))
    below_zero = network(nn.Tanh())
    assert tflite._pooled_over_zeros(below_zero) is below_zero


@pytest.mark.parametrize(
    ("free_gb", "parameters", "at_once"),
    [(16, 11_000_000, 2), (2, 11_000_000, 1), (0.1, 11_000_000, 1), (4, 138_000_000, 1), (16, 138_000_000, 2)],
)
def test_converters_run_side_by_side_where_memory_allows(
    free_gb: float, parameters: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=int(free_gb * 1e9)))
    assert conversion.side_by_side(2, parameters) == at_once


class Pretended:
    """A worker without a process."""

    started: list[str]
    ended: list[str]

    def __init__(self, action: str, plugin: str, log: Path) -> None:
        self.name = f"{action} {plugin}"
        self.started.append(self.name)

    def close(self) -> None:
        self.ended.append(self.name)


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> process.WorkerPool:
    monkeypatch.setattr(process, "WorkerProcess", Pretended)
    monkeypatch.setattr(Pretended, "started", [], raising=False)
    monkeypatch.setattr(Pretended, "ended", [], raising=False)
    return process.WorkerPool(tmp_path)


def test_a_converter_that_is_warm_gets_the_task_and_those_not_needed_end(workers: process.WorkerPool) -> None:
    workers.warm(["onnx", "tflite", "torch"])
    workers.dismiss(but={"onnx", "torch"})
    assert Pretended.ended == ["convert tflite"]
    for action, plugin in (("run", "onnx"), ("convert", "onnx"), ("convert", "tflite"), ("convert", "onnx")):
        with workers.start(action, plugin):
            pass
    assert Pretended.started[3:] == ["run onnx", "convert tflite", "convert onnx"], "of each there was one warm"
    workers.close()
    assert Pretended.ended[-1] == "convert torch"
    assert sorted(Pretended.ended) == sorted(Pretended.started)


def test_a_process_that_did_its_task_is_kept_and_one_that_failed_is_not(
    workers: process.WorkerPool, tmp_path: Path
) -> None:
    with workers.start("run", "onnx", keep=True) as first:
        pass
    with pytest.raises(process.Failed), workers.start("run", "onnx", keep=True) as second:
        raise process.Failed("it crashed", tmp_path)
    assert second is first
    assert len(Pretended.ended) == 1
    with workers.start("run", "onnx", keep=True) as third:
        assert third is not first
    workers.close()
    assert len(Pretended.ended) == 2
