"""One file in several runtimes of one job, and what is particular to a runtime."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import numpy as np
import pytest

from device_agents.python import runtimes
from device_agents.python.runtimes import onnxruntime
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
    assert records[1].runtime.notes["precision_hint"] == "f32"
    layers = [one.layers for one in records if one.layers is not None]
    assert [bool(one.reason) for one in layers] == [False, False, True, False]
    assert [[layer.kind for layer in one.layers] for one in layers[:2]] == [["Relu"], ["Subgraph"]]
    assert all(one.plain_ns > 0 and one.profiled_ns > 0 and one.inferences >= 5 for one in layers if not one.reason)
    assert not list(Path(tmp_path).rglob("profile*.json"))
    for one in records:
        (peak,) = one.peaks  # one thread, and the job has one
        assert peak.threads == 1 and peak.float_flops and peak.int8_ops and peak.bytes_per_s
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
    ("make", "kind", "seen"),
    [
        (odd_models.custom, "operator", "OpenVINO does not have its operators: com.acme.Foo"),
        (odd_models.detector, "open sizes", "'image' open"),
        (lambda path: path.write_bytes(b"no network") and path, "no model", "not a network"),
    ],
)
def test_what_openvino_refuses_has_its_remedy(
    make: object, kind: str, seen: str, openvino: object, tmp_path: Path
) -> None:
    path = make(tmp_path / "a.onnx")  # type: ignore[operator]
    with pytest.raises((RuntimeError, ValueError)) as raised:
        openvino.load(str(path), OPTIONS)  # type: ignore[attr-defined]
    reason = f"{type(raised.value).__name__}: {str(raised.value).strip()[:2000]}"
    found = failures.explain(Outcome("failed", "check", "error", reason))
    assert found.kind == kind and seen in found.seen
