"""Right before fast, output by output: floats by their error, whole numbers by how many are equal."""

from __future__ import annotations

import array
import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_agents.python import golden
from device_agents.python.process import WorkerFailed
from edgebench import deploy
from edgebench.errors import UserError
from edgebench.modelfile import feeding
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact, Bundle, FileRef, Golden
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

HERE = Target(name="here", transport="local")


def answered(code: str, *values: float) -> list[str]:
    return [code, base64.b64encode(array.array(code, values).tobytes()).decode()]  # type: ignore[arg-type]


def wanted(folder: Path, code: str, *values: float, allowed: float = 0.01) -> dict[str, Any]:
    path = folder / f"{code}-{len(list(folder.iterdir()))}.bin"
    path.write_bytes(array.array(code, values).tobytes())  # type: ignore[arg-type]
    return {"expected": path, "reference": None, "max_relative_error": allowed}


def test_each_output_has_its_own_error_and_its_own_tolerance(tmp_path: Path) -> None:
    expected = [wanted(tmp_path, "f", 1, 2, 3, 4), wanted(tmp_path, "f", 100, 200, allowed=0.2)]
    found = golden.compare([answered("f", 1, 2, 3, 4), answered("f", 110, 220)], expected, 2)
    first, second = found["outputs"]
    assert found["passed"] and first["relative_error"] == 0
    assert second["relative_error"] == pytest.approx(0.1) and second["max_abs_diff"] == 20
    expected[1]["max_relative_error"] = 0.05
    found = golden.compare([answered("f", 1, 2, 3, 4), answered("f", 110, 220)], expected, 2)
    assert not found["passed"] and [one["passed"] for one in found["outputs"]] == [True, False]


def test_whole_numbers_are_compared_by_how_many_are_equal(tmp_path: Path) -> None:
    large = 2**60 + 1  # not a float
    expected = [wanted(tmp_path, "q", large, 7, 7, 7, allowed=0)]
    assert golden.compare([answered("q", large, 7, 7, 7)], expected, 2)["passed"]
    (one,) = golden.compare([answered("q", large - 1, 7, 7, 7)], expected, 2)["outputs"]
    assert not one["passed"] and one["relative_error"] == 0.25 and one["max_abs_diff"] == 1 and one["whole"]


@pytest.mark.parametrize("answers", [[["f", 1, 2]], [["f", 1, 2], ["f", 1]], [["f", 1, 2], ["f", 1, 2], ["f", 1, 2]]])
def test_outputs_that_are_missing_or_of_another_size_are_wrong(answers: list[list[Any]], tmp_path: Path) -> None:
    expected = [wanted(tmp_path, "f", 1, 2), wanted(tmp_path, "f", 1, 2)]
    with pytest.raises(WorkerFailed) as raised:
        golden.compare([answered(code, *values) for code, *values in answers], expected, 1)
    assert raised.value.kind == "wrong"


# ------------------------------------------------------------------ by the real agent


def two_outputs(path: Path) -> Path:
    """sum = a + b, which fails unless `gate` is 1 (it indexes a row of one table with it), and the place of the
    largest number.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    nodes = [
        helper.make_node("Gather", ["table", "gate"], ["row"]),
        helper.make_node("Reshape", ["a", "row"], ["shaped"]),
        helper.make_node("Add", ["shaped", "b"], ["sum"]),
        helper.make_node("ArgMax", ["sum"], ["best"], axis=1, keepdims=0),
    ]
    ports = [
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("a", TensorProto.FLOAT, ["batch", 4]), ("b", TensorProto.FLOAT, ["batch", 4]),
            ("gate", TensorProto.INT64, []),
            ("sum", TensorProto.FLOAT, ["batch", 4]), ("best", TensorProto.INT64, ["batch"]),
        )
    ]  # fmt: skip
    table = numpy_helper.from_array(np.array([[3, 3], [1, 4]]), "table")
    graph = helper.make_graph(nodes, "two", ports[:3], ports[3:], [table])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def measured(local: list[deploy.LocalArtifact], plan: Plan, results: Path) -> Record:
    (one,) = deploy.deploy(HERE, local, plan, results)
    return one


def test_inputs_of_the_users_own_are_fed_and_both_outputs_compared(tiny_plan: Plan, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = two_outputs(tmp_path / "two.onnx")
    numbers = np.random.default_rng(0).standard_normal((2, 6, 4)).astype("f4")
    np.savez(tmp_path / "given.npz", a=numbers[0], b=numbers[1], gate=np.array(1))
    local = deploy.artifacts_at([path], feeding.parse_request((), dims=["batch=1"]))
    with pytest.raises(UserError, match="no open size is called 'height'. Open sizes: batch"):
        deploy.artifacts_at([path], feeding.parse_request((), dims=["height=1"]))
    one = measured(deploy.with_inputs(local, tmp_path / "given.npz"), tiny_plan, tmp_path / "results")
    assert one.outcome.status in ("complete", "budget"), "the first inference is of a golden input: zeros fail"
    assert one.golden is not None and one.golden.passed and one.golden.count == 6
    sums, best = one.golden.outputs
    assert (sums.whole, best.whole, sums.agreement_with_host, sums.agreement_with_parent) == (False, True, 1.0, None)
    assert list(array.array("q", base64.b64decode(best.values_base64))) == list(numbers.sum(0).argmax(1))
    with pytest.raises(UserError, match="golden inputs of their own"):
        deploy.with_inputs(deploy.with_inputs(local, tmp_path / "given.npz"), tmp_path / "given.npz")


def test_a_wrong_second_output_is_never_timed(tiny_plan: Plan, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    content = two_outputs(folder / "two.onnx")

    def kept(name: str, values: Any) -> FileRef:
        (folder / name).write_bytes(values.tobytes())
        return bundle.file_ref(folder, folder / name)

    a, b = np.eye(4, dtype="f4")[:2], np.zeros((2, 4), "f4")
    inputs = (kept("a", a), kept("b", b), kept("gate", np.array([1, 1])))
    expected = (kept("sum", a), kept("best", np.array([0, 2])))  # the second is 1
    golden_ = Golden(2, inputs, expected, expected, (1e-3, 0.1))
    artifact = Artifact("two", "onnx", "fp32", bundle.file_ref(folder, content), golden=golden_)
    bundle.save(Bundle("two", "two", {}, (artifact,), "2026-11-30T00:00:00Z"), folder)
    one = measured(deploy.artifacts_at([folder]), tiny_plan, tmp_path / "results")
    assert one.outcome.status == "failed" and one.outcome.kind == "wrong" and "(output 2)" in one.outcome.reason
    assert not one.rounds and one.golden is not None
    assert [output.passed for output in one.golden.outputs] == [True, False] and one.golden.wrong == 1
