"""One file in several runtimes of one job, and what is particular to a runtime."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from device_agents.python import runtimes
from device_agents.python.runtimes import _onnx_providers, onnxruntime
from edgebench import compare, deploy
from edgebench.analysis.report import markdown
from edgebench.analysis.verdict import failures
from edgebench.schema import record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Outcome
from edgebench.schema.targets import Target
from tests.conftest import run_cli
from tests.support import odd_models

OPTIONS = {"threads": 1, "device": "cpu"}


@pytest.fixture
def openvino() -> object:
    pytest.importorskip("openvino")
    return runtimes.module("openvino")


def test_a_file_is_measured_in_every_runtime_that_reads_it_and_its_layers_are_timed(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, openvino: object
) -> None:
    target = Target(name="here", transport="local", runtimes=("onnxruntime", "litert", "openvino"))
    wanted, plan = deploy.artifacts_at([relu_bundle]), msgspec.structs.replace(tiny_plan, layers_s=0.05)
    records = deploy.deploy(target, wanted, plan, tmp_path / "results", deploy.DeployOptions(every_runtime=True))
    assert [(one.artifact.name, one.runtime.name) for one in records] == [
        ("relu-onnx-fp32", "onnxruntime"),
        ("relu-onnx-fp32", "openvino"),
        ("relu-tflite-fp32", "litert"),
        ("relu-tflite-fp32", "openvino"),
    ]
    for one in records:
        assert one.rounds and one.golden is not None and one.golden.passed
    assert len({one.path for one in records}) == 4 and len({one.job for one in records}) == 1
    assert records[1].runtime.notes["precision"]["hint"] == "f32"
    layers = [one.layers for one in records if one.layers is not None]
    assert [one.reason for one in layers] == [""] * 4
    assert [[layer.kind for layer in one.layers] for one in layers[:2]] == [["Relu"], ["Subgraph"]]
    assert all(one.plain_ns > 0 and one.profiled_ns > 0 and one.inferences >= 5 for one in layers if not one.reason)
    assert not list(Path(tmp_path).rglob("profile*.json"))
    for one in records:
        peak = one.peaks[0]
        assert {most.threads for most in one.peaks} == {1, len(os.sched_getaffinity(0))}
        assert peak.float_flops and peak.int8_ops and peak.bytes_per_s
        assert peak.float_flops.best > 1e8 and peak.bytes_per_s.best > 1e7 and peak.float_flops.repeats >= 1
        assert one.runtime.name in peak.float_flops.how and record_files.load(one.path) == one
    assert not list(Path(tmp_path).rglob("peak*"))
    text = markdown.render(compare.compare(records))
    assert "relu-onnx-fp32 (openvino)" in text and "relu-onnx-fp32 (onnxruntime)" in text


def test_without_the_option_a_file_has_one_runtime_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "relu.onnx").write_bytes(base64.b64decode(onnxruntime.TINY_MODEL))
    one = ["deploy", "--target", "desktop-cpu", "relu.onnx", "--plan", "quick"]
    assert run_cli(*one, cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / "results/desktop-cpu").glob("*.json"))) == 1
    wrong = run_cli(*one, "--runtimes", "onnxruntim", cwd=tmp_path)
    assert wrong.returncode == 1 and "onnxruntime" in wrong.stderr and "Traceback" not in wrong.stderr
    empty = run_cli(*one, "--runtimes", ",", cwd=tmp_path)
    assert empty.returncode == 1 and "names no runtime" in empty.stderr


# ------------------------------------------------------------------ OpenVINO


def test_openvino_computes_in_the_precision_of_the_file(openvino: object, tmp_path: Path) -> None:
    (tmp_path / "relu.onnx").write_bytes(base64.b64decode(onnxruntime.TINY_MODEL))
    session = openvino.load(str(tmp_path / "relu.onnx"), OPTIONS)  # type: ignore[attr-defined]
    for given in (-2.5, 3.0000001):
        session.feed(0, np.array([given], "<f4").tobytes())
        session.invoke()
        assert session.arrays()[0].ravel().tolist() == [max(0.0, np.float32(given))]


def test_openvino_dequantises_the_outputs_of_a_tflite_file(openvino: object) -> None:
    """As its front end for .tflite files ends a network: real range -> FakeQuantize -> range of int8 -> Convert."""
    import openvino as ov
    from openvino import opset13 as ops

    source = ops.parameter([1, 4], ov.Type.f32)
    ends = [ops.constant(np.float32(end)) for end in (-1.0, 1.55, -128.0, 127.0)]
    result = ops.result(ops.convert(ops.fake_quantize(source, *ends, 256), "i8"))
    scale, zero_point = openvino._scale(result)  # type: ignore[attr-defined]
    assert scale == pytest.approx(0.01) and zero_point == -28
    assert openvino._scale(ops.result(ops.convert(source, "i32"))) == (0.0, 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "make", "kind", "seen"),
    [
        ("a.onnx", odd_models.custom, "operator", "OpenVINO does not have its operators: com.acme.Foo"),
        ("a.onnx", odd_models.either, "operator", "OpenVINO cannot convert its operator Conv"),
        (
            "a.tflite",
            lambda path: odd_models.with_operator(path, custom="My"),
            "operator",
            "not have its operators: My",
        ),
        ("a.onnx", odd_models.detector, "open sizes", "'image' open"),
        ("a.onnx", lambda path: path.write_bytes(b"no network") and path, "no model", "not a network"),
    ],
)
def test_what_openvino_refuses_has_its_remedy(
    name: str, make: object, kind: str, seen: str, openvino: object, tmp_path: Path
) -> None:
    path = make(tmp_path / name)  # type: ignore[operator]
    with pytest.raises((RuntimeError, ValueError)) as raised:
        openvino.load(str(path), OPTIONS)  # type: ignore[attr-defined]
    reason = f"{type(raised.value).__name__}: {str(raised.value).strip()[:2000]}"
    found = failures.explain(Outcome("failed", "check", "error", reason))
    assert found.kind == kind and seen in found.seen


# ------------------------------------------------------------------ ncnn


@pytest.fixture
def ncnn() -> object:
    pytest.importorskip("ncnn")
    return runtimes.module("ncnn")


INNER_PRODUCT = """7767517
4 4
Input image 0 1 image 0=3 1=2
Input shift 0 1 shift 0=2
InnerProduct rows 1 1 image rows 0=2 1=0 2=6
BinaryOp sum 2 1 rows shift sum 0=0
"""
# A window of 3 x 3 on an image of 2 x 2.
TOO_SMALL = """7767517
2 2
Input image 0 1 image 0=2 1=2 2=1
Convolution edges 1 1 image edges 0=1 1=3 6=9
"""
WEIGHTS = np.array([1.0, 2.0, 3.0, -1.0, 0.5, 1.00001], "<f4")


def written(folder: Path, param: str, weights: bytes) -> Path:
    (folder / "net.ncnn.param").write_text(param)
    (folder / "net.ncnn.bin").write_bytes(weights)
    return folder / "net.ncnn.param"


def as_float32(values: object) -> bytes:
    return bytes(4) + values.astype("<f4").tobytes()  # type: ignore[attr-defined]


def as_float16(values: object) -> bytes:
    return b"\x47\x6b\x30\x01" + values.astype("<f2").tobytes()  # type: ignore[attr-defined]


def test_ncnn_computes_in_the_precision_of_the_file(ncnn: object, tmp_path: Path) -> None:
    image, shift = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "<f4"), np.array([10.0, 20.0], "<f4")
    expected = image @ WEIGHTS.reshape(2, 3).T + shift[:, None]  # its rule: a value a row
    halves = WEIGHTS.astype("<f2").astype("<f4")
    for weights, option, is_half in (
        (as_float32(WEIGHTS), "file", False), (as_float16(halves), "file", True), (as_float32(WEIGHTS), "fast", True),
    ):  # fmt: skip
        path = written(tmp_path, INNER_PRODUCT, weights)
        session = ncnn.load(str(path), {**OPTIONS, "precision": option})  # type: ignore[attr-defined]
        assert [(one["name"], one["shape"], one["dtype"]) for one in session.inputs()] == [
            ("image", [1, 2, 3], "float32"), ("shift", [1, 2], "float32"),
        ]  # fmt: skip
        session.feed(0, image.tobytes())
        session.feed(1, shift.tobytes())
        session.invoke()
        (answer,) = session.arrays()
        assert answer.shape == (1, 2, 2)
        np.testing.assert_allclose(answer[0], expected, rtol=1e-2 if is_half else 1e-6)
        notes = session.notes()
        assert notes["precision"]["asked"]["use_fp16_arithmetic"] is is_half and notes["threads"] == 1


@pytest.mark.parametrize(
    ("param", "weights", "kind", "seen"),
    [
        (INNER_PRODUCT, b"", "unknown", "net.ncnn.bin does not fit its .param file"),
        (INNER_PRODUCT.replace("InnerProduct", "aten::foo"), b"", "operator", "its layers: aten::foo"),
        (TOO_SMALL, as_float32(np.ones(9)), "sizes that do not fit", "status -100"),
        (INNER_PRODUCT.replace(" 0=3 1=2", ""), as_float32(WEIGHTS), "unknown", "what sizes input 'image' has"),
    ],
)
def test_what_ncnn_refuses_has_its_remedy(
    param: str, weights: bytes, kind: str, seen: str, ncnn: object, tmp_path: Path
) -> None:
    path = written(tmp_path, param, weights)
    with pytest.raises((RuntimeError, ValueError)) as raised:
        session = ncnn.load(str(path), OPTIONS)  # type: ignore[attr-defined]
        for number, one in enumerate(session.inputs()):
            session.feed(number, bytes(one["bytes"]))
        session.invoke()
    found = failures.explain(Outcome("failed", "check", "error", f"ValueError: {raised.value}"))
    assert found.kind == kind and seen in found.seen


def test_a_loose_param_file_is_measured_with_its_weights(ncnn: object, tmp_path: Path) -> None:
    path = written(tmp_path, INNER_PRODUCT, as_float32(WEIGHTS))
    one = ["deploy", "--target", "desktop-cpu", path.name, "--plan", "quick"]
    assert run_cli(*one, cwd=tmp_path).returncode == 0
    (record,) = (tmp_path / "results/desktop-cpu").glob("*-net-ncnn.json")
    assert '"name":"ncnn"' in record.read_text().replace(" ", "")
    path.with_suffix(".bin").unlink()
    missing = run_cli(*one, cwd=tmp_path)
    assert missing.returncode == 1 and "net.ncnn.bin, which is not in" in missing.stderr
    path.write_text("7767517\n2 2\nInput in0 0 1 in0\nReLU a b\n")
    damaged = run_cli(*one, cwd=tmp_path)
    assert damaged.returncode == 1 and "line 4 is not one of a layer" in damaged.stderr
    assert "Traceback" not in missing.stderr + damaged.stderr


# ------------------------------------------------------------------ MNN


def test_mnn_says_in_what_it_computes_and_talks_to_nobody(tmp_path: Path) -> None:
    pytest.importorskip("_mnncengine")
    before = set(sys.modules)
    mnn = runtimes.module("mnn")
    path = tmp_path / "tiny.mnn"
    path.write_bytes(base64.b64decode(mnn.TINY_MODEL))
    for option, precision in (("file", "high"), ("fast", "low")):
        session = mnn.load(str(path), {**OPTIONS, "precision": option})
        assert [(one["name"], one["shape"], one["dtype"]) for one in session.inputs()] == [("x", [1], "float32")]
        for given in (-2.5, 3.0000001):
            session.feed(0, np.array([given], "<f4").tobytes())
            session.invoke()
            assert session.arrays()[0].ravel().tolist() == [max(0.0, np.float32(given))]
        assert (
            session.notes()["precision"] == {"asked": {"precision": precision}}
            and session.notes()["weights"] == "float32"
        )
    assert not {"MNN", "MNN.tools", "aliyun"} & (set(sys.modules) - before)
    for damage in (path.read_bytes()[:200], b"\xff" * 400, bytes(400)):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match="not a network of MNN"):
            mnn.load(str(path), OPTIONS)


# ------------------------------------------------------------------ providers and devices


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"provider": "xnnpack"}, "no XnnpackExecutionProvider, only .*CPU; no package has it: build onnxruntime with"),
        ({"provider": "openvino"}, "no OpenVINOExecutionProvider, .*; pip install onnxruntime-openvino"),
        ({"provider": "qnn"}, "no QNNExecutionProvider, .*; pip install onnxruntime-qnn"),
        ({"device": "cuda"}, "no CUDAExecutionProvider, .*; pip install onnxruntime-gpu"),
        ({"device": "gpu"}, "does not compute on device 'gpu'"),
        ({"provider": "tensorrt"}, "does not compute on device 'cpu' with provider 'tensorrt'"),
    ],
)
def test_a_provider_that_this_build_lacks_is_named_with_its_package(options: dict[str, object], said: str) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(RuntimeError, match=said) as caught:
        onnxruntime.facts({**OPTIONS, **options})
    assert "\n" not in str(caught.value)


def test_what_providers_are_told() -> None:
    for name in set(_onnx_providers.NAMES) - {"cpu"}:
        device = "cuda" if name in ("cuda", "tensorrt") else "cpu"
        asked = {"threads": 3, "device": device, "provider": name}
        own, fast = (_onnx_providers.settings({**asked, "precision": one}) for one in ("file", "fast"))
        assert own == fast if name == "xnnpack" else own != fast
        assert all(isinstance(value, str) for value in own.values())
        assert onnxruntime.needs_own_build(asked)
    assert _onnx_providers.settings(OPTIONS) == {} and not onnxruntime.needs_own_build(OPTIONS)


def test_a_provider_goes_with_a_device(tmp_path: Path) -> None:
    (tmp_path / "relu.onnx").write_bytes(base64.b64decode(onnxruntime.TINY_MODEL))
    (tmp_path / "targets.yaml").write_text("a:\n  transport: local\n  provider: tensorrt\n")
    wrong = run_cli("targets", cwd=tmp_path)
    assert wrong.returncode == 1 and "goes with `device: cuda`, not cpu" in " ".join(wrong.stderr.split())
    (tmp_path / "targets.yaml").write_text("a:\n  transport: local\n  provider: acl\n  runtimes: [onnxruntime]\n")
    lacking = run_cli("deploy", "--target", "a", "relu.onnx", "--plan", "quick", cwd=tmp_path)
    assert lacking.returncode == 1 and "no ACLExecutionProvider" in " ".join(lacking.stderr.split())
    assert "Installing" not in lacking.stderr and "Traceback" not in lacking.stderr


def test_openvino_on_a_gpu_fails_closed(openvino: object) -> None:
    import openvino as library

    if "GPU" in library.Core().available_devices:
        pytest.skip("this machine has Intel's GPU")
    with pytest.raises(RuntimeError, match="finds no Intel GPU here, only CPU; with one, install Intel's driver"):
        openvino.facts({**OPTIONS, "device": "gpu"})  # type: ignore[attr-defined]
