"""Exports to ncnn and MNN: of several files, by programs that may die, and without a network."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import exporters
from device_agents.python.runtimes import _ncnn_param
from edgebench import deploy, export
from edgebench.errors import BadFile, UserError
from edgebench.schema import bundle, tensors
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target
from exporters import _mnn_converter, with_companions
from exporters.sources import programs

onnx = pytest.importorskip("onnx")
pytest.importorskip("ncnn")
pytest.importorskip("_mnncengine")

FORMATS = ("ncnn-fp32", "ncnn-fp16", "mnn-fp32", "mnn-fp16")
pytestmark = pytest.mark.export


def saved(folder: Path, nodes: list[object], outputs: list[tuple[str, list[int]]], name: str = "net.onnx") -> Path:
    """Two inputs, an image of 3 x 8 x 8 and four numbers."""
    rng = np.random.default_rng(0)
    kept = {"w": rng.standard_normal((5, 3, 3, 3)), "m": rng.standard_normal((4, 6))}
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("image", [1, 3, 8, 8]), ("extra", [1, 4]))],
        [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in outputs],
        [onnx.numpy_helper.from_array(values.astype("float32"), key) for key, values in kept.items()],
    )
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), folder / name
    )
    return folder / name


def network(folder: Path) -> Path:
    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["image", "w"], ["c"], pads=[1, 1, 1, 1]), node("Relu", ["c"], ["map"]),
        node("MatMul", ["extra", "m"], ["scores"]),
    ]  # fmt: skip
    return saved(folder, nodes, [("map", [1, 5, 8, 8]), ("scores", [1, 6])])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> export.Exported:
    folder = tmp_path_factory.mktemp("exported")
    options = export.ExportOptions(formats=FORMATS)
    return export.export(network(folder), options, out=folder / "bundle", cache=folder / "cache")


def test_each_format_answers_like_its_network(exported: export.Exported) -> None:
    assert [(one.format, one.precision) for one in exported.bundle.artifacts] == [
        ("ncnn", "fp32"), ("ncnn", "fp16"), ("mnn", "fp32"), ("mnn", "fp16"),
    ]  # fmt: skip
    for one in exported.bundle.artifacts:
        assert {spec.name: tensors.without_ones(spec.shape) for spec in one.inputs} == {
            "image": (3, 8, 8), "extra": (4,),
        }  # fmt: skip
        assert one.golden is not None and len(one.golden.expected) == 2
        assert sorted(spec.name for spec in one.outputs) == ["map", "scores"]


def test_an_artifact_of_two_files_is_published_hashed_and_sent_whole(exported: export.Exported) -> None:
    single, half = exported.bundle.artifacts[:2]
    assert [ref.file for ref in bundle.model_files(single)] == ["ncnn-fp32.param", "ncnn-fp32.bin"]
    assert single.size_bytes == sum((exported.path / ref.file).stat().st_size for ref in bundle.model_files(single))
    assert half.companions[0].size_bytes < 0.8 * single.companions[0].size_bytes
    assert single.sha256 not in (single.content.sha256, half.sha256)
    assert sorted(one.name for one in exported.path.iterdir()) == [
        "bundle.json", "golden", "mnn-fp16.mnn", "mnn-fp32.mnn",
        "ncnn-fp16.bin", "ncnn-fp16.param", "ncnn-fp32.bin", "ncnn-fp32.param",
    ]  # fmt: skip
    (local, *_) = deploy.artifacts_at([exported.path])
    assert local.model is not None and local.model.external == ("ncnn-fp32.bin",)
    names = [path.name for path in with_companions(exporters.load("ncnn"), Path("a/x.param"))]
    assert names == ["x.param", "x.bin"]


def test_they_answer_on_a_target_as_at_export(exported: export.Exported, tiny_plan: Plan, tmp_path: Path) -> None:
    target = Target(name="here", transport="local", runtimes=("ncnn", "mnn"))
    records = deploy.deploy(target, deploy.artifacts_at([exported.path]), tiny_plan, tmp_path / "results")
    assert [(one.runtime.name, one.artifact.precision) for one in records] == [
        ("ncnn", "fp32"), ("ncnn", "fp16"), ("mnn", "fp32"), ("mnn", "fp16"),
    ]  # fmt: skip
    for one in records:
        assert one.rounds and one.golden is not None and one.golden.passed and one.runtime.threads == 1


def test_the_weights_alone_are_refused_with_the_file_to_give(exported: export.Exported) -> None:
    with pytest.raises(BadFile, match=r"weights of an ncnn network.*ncnn-fp32\.param"):
        deploy.artifacts_at([exported.path / "ncnn-fp32.bin"])


def test_the_cache_keeps_both_files_and_a_missing_one_is_named(exported: export.Exported, tmp_path: Path) -> None:
    source, cache = exported.path.parent / "net.onnx", exported.path.parent / "cache"
    options = export.ExportOptions(formats=("ncnn-fp32",))
    again = export.export(source, options, out=tmp_path / "again", cache=cache)
    assert again.bundle.artifacts[0].sha256 == exported.bundle.artifacts[0].sha256
    (tmp_path / "again/ncnn-fp32.bin").unlink()
    with pytest.raises(BadFile, match=r"ncnn-fp32\.bin"):
        bundle.load(tmp_path / "again")


def test_what_a_converter_does_not_know_is_a_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    node = onnx.helper.make_node
    odd = saved(
        tmp_path, [node("MatMul", ["extra", "m"], ["s"]), node("ArgMax", ["s"], ["a"], axis=1, keepdims=1),
                   node("Cast", ["a"], ["best"], to=1), node("Relu", ["image"], ["same"])],
        [("best", [1, 1]), ("same", [1, 3, 8, 8])],
    )  # fmt: skip
    made = export.export(odd, export.ExportOptions(formats=("ncnn-fp32", "mnn-fp32")), out=tmp_path / "bundle")
    assert [one.format for one in made.bundle.artifacts] == ["mnn"]
    (failed,) = made.bundle.failed
    assert failed.format == "ncnn-fp32" and "ArgMax" in failed.reason


def test_sizes_and_names_are_written_into_the_param_file(exported: export.Exported) -> None:
    lines = _ncnn_param.layers((exported.path / "ncnn-fp32.param").read_text())
    assert {name: shape for name, shape, _ in _ncnn_param.inputs(lines)} == {
        "image": [1, 3, 8, 8], "extra": [1, 1, 4],
    }  # fmt: skip
    assert sorted(_ncnn_param.outputs(lines)) == ["map", "scores"]


# ------------------------------------------------------------------ programs


@pytest.mark.parametrize(
    ("program", "seen"),
    [
        ("import os; os.abort()", "died of SIGABRT"),
        ("import sys; print('no such operator'); sys.exit(3)", "status 3; its last line: no such operator"),
        ("import time; time.sleep(60)", "did not end within"),
    ],
)
def test_a_converter_that_dies_or_hangs_is_one_sentence(program: str, seen: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=seen):
        programs.run_converter("a converter", [sys.executable, "-c", program], tmp_path, timeout_s=1.5)


def test_mnns_converter_has_no_network_and_starts_nothing(tmp_path: Path) -> None:
    """In its place a module that tries what MNN's console script does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "_tools.py").write_text(
            "import os, socket, subprocess\n"
            "def mnnconvert(arguments):\n"
            f"    for attempt in (lambda: socket.create_connection(('127.0.0.1', {port}), 2),\n"
            "                    lambda: os.system('true'), lambda: subprocess.run(['true'])):\n"
            "        try:\n"
            "            attempt()\n"
            "            print('done')\n"
            "        except OSError as error:\n"
            "            print(type(error).__name__)\n"
        )
        start = (
            f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); "
            f"runpy.run_path({_mnn_converter.__file__!r}, run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["PermissionError"] * 3
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
