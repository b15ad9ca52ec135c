"""What an export leaves on the user's machine: its bundle, and edgebench's own cache."""

from __future__ import annotations

from pathlib import Path

import pytest

import exporters
from tests.support.traces import exported_leaving_nothing

pytestmark = pytest.mark.export

NETWORK = """
import torch

def network():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
"""


def test_nothing_else_is_left_in_home_or_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("onnxruntime", "litert_torch"):
        if not exporters.importlib.util.find_spec(library):
            pytest.skip(f"needs {library}")
    (tmp_path / "network.py").write_text(NETWORK)
    bundle = exported_leaving_nothing(tmp_path, monkeypatch, "network:network", "--input", "3x8x8")
    assert list(bundle.glob("*.tflite")) and list(bundle.glob("*.onnx"))
