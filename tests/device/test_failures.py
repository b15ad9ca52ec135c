"""Why a runtime did not run a file: causes recognised in the real messages of the installed runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx import helper as h

from device_agents.python import runtimes
from device_agents.python.worker import _made_up
from edgebench import deploy
from edgebench.analysis import verdict
from edgebench.analysis.verdict import failures
from edgebench.analysis.verdict.failures import Explained
from edgebench.errors import UserError
from edgebench.schema.plan import Plan
from edgebench.schema.record import Outcome
from edgebench.schema.targets import Target
from tests.support import odd_models
from tests.support.odd_models import FLOAT, identity, onnx_file, with_dtype, with_operator
from tests.support.records import failed, make_artifact, make_record

DATA = Path(__file__).parents[1] / "data"


def node(operator: str, *inputs: str) -> Any:
    return h.make_node(operator, list(inputs or ("x",)), ["y"])


def convolution(dtype: int) -> Callable[[Path], Path]:
    ports = [("x", dtype, [1, 1, 4, 4]), ("w", dtype, [1, 1, 3, 3])]
    return lambda path: onnx_file(path, [node("Conv", "x", "w")], ports, [("y", dtype, [1, 1, 2, 2])])


def odd_input(port: Any, operator: str) -> Callable[[Path], Path]:
    def made(path: Path) -> Path:
        dtype = TensorProto.INT64 if operator == "SequenceLength" else TensorProto.BOOL
        graph = h.make_graph([node(operator)], "g", [port], [h.make_tensor_value_info("y", dtype, [])])
        onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=8), str(path))
        return path

    return made


def constant(name: str, values: list[int]) -> Any:
    return numpy_helper.from_array(np.array(values, "i8"), name)


def huge(path: Path) -> Path:
    weights = [constant("s", [1 << 24, 1 << 24])]
    return onnx_file(path, [node("Expand", "x", "s")], [("x", FLOAT, [1, 1])], [("y", FLOAT, None)], weights=weights)


def reshaped(path: Path) -> Path:
    """Only runs with 7 numbers, although it declares any number."""
    ports: list[odd_models.Port] = [("x", FLOAT, ["batch", "n"])]
    return onnx_file(path, [node("Reshape", "x", "s")], ports, [("y", FLOAT, None)], weights=[constant("s", [1, 7])])


def old(path: Path) -> Path:
    """Of opset 6: onnxruntime begins at 7."""
    ports: list[odd_models.Port] = [("x", FLOAT, [1, 4]), ("z", FLOAT, [1, 4])]
    return onnx_file(path, [node("Add", "x", "z")], ports, [("y", FLOAT, [1, 4])], opset=6, ir=3)


def split(path: Path) -> Path:
    """The made-up input of zeros does not contain valid sizes for a split."""
    ports: list[odd_models.Port] = [("x", FLOAT, [1, 4]), ("parts", TensorProto.INT64, [2])]
    nodes = [h.make_node("SplitToSequence", ["x", "parts"], ["s"], axis=1), h.make_node("SequenceLength", ["s"], ["y"])]
    return onnx_file(path, nodes, ports, [("y", TensorProto.INT64, [])])


def alone(path: Path) -> Path:
    """Its weights are missing."""
    odd_models.outside(path)
    path.with_name(path.name + ".data").unlink()
    return path


def explained(path: Path, shapes: dict[str, list[int]] | None = None) -> Explained:
    """Load, feed and infer as job.py and worker.py do; returns the text of the error."""
    runtime = runtimes.module("onnxruntime" if path.suffix == ".onnx" else "litert")
    try:
        session = runtime.load(str(path), {"threads": 1, "device": "cpu", "shapes": shapes or {}})
        for index, spec in enumerate(session.inputs()):
            session.feed(index, _made_up(spec))
        session.invoke()
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip()[:2000]}"
        return failures.explain(Outcome("failed", "check", "error", reason))
    raise AssertionError("it runs")


SEQUENCE = h.make_tensor_sequence_value_info("x", FLOAT, [1, 4])
OPTIONAL = h.make_value_info("x", h.make_optional_type_proto(h.make_tensor_type_proto(FLOAT, [1, 4])))
CASES: list[tuple[str, Callable[[Path], Path], str, str, str]] = [
    ("a.onnx", odd_models.detector, "open sizes", "'image' open: [batch, 3, height, width]", "--shape image="),
    ("a.onnx", alone, "external data", "its weights file is missing beside it", "Put both into one folder"),
    ("a.onnx", odd_models.custom, "operator", "Foo is a custom one, of 'com.acme'", "a library"),
    ("a.onnx", lambda p: odd_models.custom(p, "Foo", "com.microsoft"), "operator", "not know its operator Foo", "own:"),
    ("a.onnx", lambda p: odd_models.custom(p, "Frob", ""), "operator", "Frob in opset 17", "Update the runtime"),
    ("a.onnx", convolution(TensorProto.DOUBLE), "operator", "no code for its operator Conv", "float32"),
    ("a.onnx", old, "operator", "no code for its operator Add, version 6", "newer opset"),
    ("a.onnx", split, "fed numbers", "SplitToSequence: split_size_sum (0) != ", "made-up numbers"),
    ("a.onnx", convolution(TensorProto.INT8), "invalid", "tensor(int8)", "onnx.checker"),
    ("a.onnx", lambda p: identity(p, [1, 4], TensorProto.BFLOAT16), "type", "tensor(bfloat16)", "numeric inputs"),
    ("a.onnx", lambda p: identity(p, [1, 4], TensorProto.STRING), "type", "tensor(string)", "numeric inputs"),
    ("a.onnx", odd_input(SEQUENCE, "SequenceLength"), "type", "seq(tensor(float))", "numeric inputs"),
    ("a.onnx", odd_input(OPTIONAL, "OptionalHasElement"), "type", "optional(tensor(float))", "numeric inputs"),
    ("a.onnx", lambda p: identity(p, [1, 4], ir=99), "too new", "IR version 99, and this runtime reads", "Update"),
    ("a.onnx", lambda p: identity(p, [1, 4], opset=99), "too new", "opset 99 of ai.onnx", "export it with opset"),
    ("a.onnx", huge, "memory", "it requested 1125899906842624 bytes at once", "smaller sizes"),
    ("a.onnx", lambda p: p.write_bytes(b"no network") and p, "no model", "not a network", "download"),
    ("a.tflite", lambda p: p.write_bytes(b"no network") and p, "no model", "not a network", "download"),
    ("a.tflite", lambda p: with_operator(p, custom="MyOp"), "operator", "MyOp is a custom one", "provides this"),
    ("a.tflite", lambda p: with_operator(p, custom="FlexErf"), "operator", "FlexErf is one of", "SELECT_TF"),
    ("a.tflite", lambda p: with_operator(p, custom="edgetpu-custom-op"), "operator", "an Edge TPU", "edgetpu_compiler"),
    ("a.tflite", lambda p: with_operator(p, custom="ethos-u"), "operator", "an Arm Ethos-U", "Vela"),
    ("a.tflite", lambda p: with_operator(p, version=99), "operator", "RELU is of version 99", "Update LiteRT"),
    ("a.tflite", lambda p: with_dtype(p, 5), "type", "'x' is of type string", "numeric inputs"),
    ("a.tflite", lambda p: with_dtype(p, 18), "operator", "RELU does not take BFLOAT16", "INT8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "kind", "seen", "remedy"), CASES)
def test_each_cause_has_its_remedy(
    name: str, make: Callable[[Path], Path], kind: str, seen: str, remedy: str, tmp_path: Path
) -> None:
    found = explained(make(tmp_path / name))
    assert found.kind == kind
    assert seen in found.seen and remedy in found.remedy
    for text in (found.seen, found.remedy):
        assert "\n" not in text and "{" not in text and ".cc:" not in text and text.strip() == text


def test_sizes_that_the_network_does_not_take(tmp_path: Path) -> None:
    path = reshaped(tmp_path / "a.onnx")
    found = explained(path, {"x": [1, 8]})
    assert found.kind == "sizes that do not fit" and "operator Reshape" in found.seen and "--shape" in found.remedy
    assert explained(path, {"x": [1, 8, 1]}).kind == "other sizes"


def test_a_newer_opset_than_the_runtime_is_told_with_the_runtime_that_reads_it() -> None:
    """The message of onnxruntime 1.16 for a file that 1.31 reads."""
    words = (
        "ONNX Runtime only *guarantees* support for models stamped with official released onnx opset versions. Opset "
        "21 is under development and support for this is limited. Current official support for domain ai.onnx is till "
        "opset 18."
    )
    found = failures.of_words(words)
    assert found.seen == "it has opset 21 of ai.onnx, and this runtime reads up to 18"
    assert "onnxruntime 1.18 or newer reads opset 21" in found.remedy and "export it with opset 18" in found.remedy


@pytest.mark.parametrize(
    ("outcome", "kind", "seen", "remedy"),
    [
        (Outcome("failed", "check", "crashed", "SIGKILL during 'load' (out of memory?)", "SIGKILL"), "memory",
         "memory runs out (SIGKILL)", "smaller"),
        (Outcome("failed", "check", "crashed", "SIGKILL during 'load': the kernel ended it for want of memory, it held "
                 "93.1 MB, this device has 450.2 MB; last words: x", "SIGKILL"),
         "memory", "it held 93.1 MB, of 450.2 MB that the device has", "Close other programs there. Give it smaller"),
        (Outcome("failed", "check", "crashed", "SIGILL during 'load'", "SIGILL"), "crash", "(SIGILL)", "build"),
        (Outcome("failed", "check", "crashed", "SIGABRT during 'load'; last words: what():  std::bad_alloc", "SIGABRT"),
         "memory", "not enough memory", "smaller"),
        (Outcome("failed", "measure", "crashed", "SIGSEGV during 'time'", "SIGSEGV"), "crash", "SIGSEGV", "crashes"),
        (Outcome("failed", "check", "wrong", "relative error 0.3"), "wrong answers", "0.3", "answers differently"),
        (Outcome("failed", "check", "fallback", "3 of 9 nodes"), "fallback", "3 of 9", "on the CPU"),
        (Outcome("failed", "check", "timeout", "no answer"), "hang", "no answer", "hangs"),
        (Outcome("failed", "check", "error", "Odd: nobody knows"), "unknown", "Odd: nobody knows", "inspect"),
    ],
)  # fmt: skip
def test_what_is_told_by_how_it_ended(outcome: Outcome, kind: str, seen: str, remedy: str) -> None:
    found = failures.explain(outcome)
    assert found.kind == kind and seen in found.seen and remedy in found.remedy


def test_the_verdict_says_it(tiny_plan: Plan, tmp_path: Path) -> None:
    """Through the real agent: one job, and every file that fails has its own reason and remedy."""
    files = [
        with_operator(tmp_path / "flex.tflite", custom="FlexErf"),
        identity(tmp_path / "ir.onnx", [1, 4], ir=99),
        with_dtype(tmp_path / "bfloat16.tflite", 18),
        tmp_path / "crash.onnx",
    ]
    files[3].write_bytes((DATA / "crash-sigfpe.onnx").read_bytes())
    here = Target(name="here", transport="local")
    records = deploy.deploy(here, deploy.artifacts_at(files), tiny_plan, tmp_path / "results")
    said = []
    for one in records:
        reason = verdict.judge(one).reasons[0]
        assert reason.level == "invalid" and reason.seen.startswith("failed in check: ")
        said.append((reason.seen, reason.remedy))
    assert "FlexErf" in said[0][0] and "IR version 99" in said[1][0] and len({remedy for _, remedy in said}) == 4
    assert "bfloat16" in said[2][0].lower()


def test_what_was_not_measured_is_counted_by_file_and_runtime() -> None:
    """One file in two runtimes; the text of a crash ends at a word."""
    crash = msgspec.structs.replace(failed("net-onnx-int8"), outcome=Outcome("failed", "load", "raised", "word " * 60))
    other = msgspec.structs.replace(crash, runtime=msgspec.structs.replace(crash.runtime, name="openvino"))
    wanted = [deploy.LocalArtifact(one, Path()) for one in (crash.artifact, make_artifact("left-onnx-fp32"))]
    with pytest.raises(UserError) as caught:
        deploy.check_measured(wanted, [crash, other, make_record("good-onnx-fp32")])
    said = str(caught.value)
    assert "3 of 4 not fully measured: left-onnx-fp32 (left out); net-onnx-int8 (onnxruntime: failed: word " in said
    assert "net-onnx-int8 (openvino: failed: word" in said and "word ...)" in said


def test_what_openvino_said_on_a_cortex_a72_of_an_int8_file_is_explained() -> None:
    words = (
        "RuntimeError: Exception from src/inference/src/cpp/core.cpp:117:\n"
        "Exception from src/inference/src/dev/plugin.cpp:54:\nobject is not initialized"
    )
    found = failures.of_words(words)
    assert found.kind == "operator" and "no code for it on this processor" in found.seen
