"""What an export leaves on the user's machine: its bundle, and edgebench's own cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

import exporters
from tests.conftest import run_cli
from tests.support.odd_models import FLOAT, Port, onnx_file

pytestmark = pytest.mark.export

NETWORK = """
import torch

def network():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
"""


def classifier(path: Path) -> Path:
    fed: list[Port] = [("x", FLOAT, [1, 3, 8, 8])]
    told: list[Port] = [("y", FLOAT, [1, 4])]
    weight = numpy_helper.from_array(np.full((4, 3, 8, 8), 0.1, "f4"), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["map"]), helper.make_node("Flatten", ["map"], ["y"])]
    return onnx_file(path, nodes, fed, told, weights=[weight])


@pytest.mark.parametrize(
    ("source", "libraries"),
    [
        (("network:network", "--input", "3x8x8"), ("onnxruntime", "litert_torch")),
        (("network.onnx",), ("onnxruntime", "onnx2tf", "tensorflow")),
    ],
    ids=["module", "onnx"],
)
def test_nothing_else_is_left_in_home_or_tmpdir(
    source: tuple[str, ...], libraries: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in libraries:
        if not exporters.importlib.util.find_spec(library):
            pytest.skip(f"needs {library}")
    home, tmp, work = (tmp_path / name for name in ("home", "tmp", "work"))
    for folder in (home, tmp, work):
        folder.mkdir()
    (work / "network.py").write_text(NETWORK)
    classifier(work / "network.onnx")
    for name in ("EDGEBENCH_CACHE", "ORT_DISABLE_TELEMETRY", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    done = run_cli("export", *source, cwd=work, HOME=str(home), TMPDIR=str(tmp))
    assert done.returncode == 0, done.stderr
    assert list(work.glob("bundles/*/*.tflite")) and list(work.glob("bundles/*/*.onnx"))
    left = {path.relative_to(home).as_posix() for path in home.rglob("*")} - {".cache", ".cache/edgebench"}
    assert not [path for path in left if not path.startswith(".cache/edgebench/")]
    assert not list(tmp.rglob("*"))
