"""What export starts from: a network that is trained once per file, a user's project, and small .onnx files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgebench.networks import data
from edgebench.networks.data import Dataset
from edgebench.schema import checkpoint
from edgebench.train import train

CODE = """
import torch
from torch import nn
from edgebench.networks import models

def dense():
    return models.build("ultralight", (1, 28, 28), 10)

class Small(nn.Module):
    def __init__(self, change=lambda x: x):
        super().__init__()
        self.conv, self.linear, self.change = nn.Conv2d(1, 4, 3), nn.Linear(4, 10), change
    def forward(self, x):
        return self.linear(self.change(self.conv(x)).mean((2, 3)))

def dropping(): return Small(lambda x: nn.functional.dropout(x, 0.5, training=True))
def bessel(): return Small(torch.special.bessel_j0)
def words():
    small = Small()
    small.forward = lambda x: "no tensor"
    return small
class Always(nn.Dropout):
    def train(self, mode=True):
        return super().train(True)
class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("rows", torch.linspace(0, 1, 26).view(1, 1, 26, 1).expand(1, 4, 26, 26))
        self.weight = nn.Parameter(torch.ones(1, 4, 1, 1).expand(1, 4, 26, 26))
    def forward(self, x): return x * self.rows * self.weight

def no_statistics(): return Small(nn.BatchNorm2d(4, track_running_stats=False))
def stays_training(): return Small(Always())
def expanded(): return Small(Rows())
def raising(): raise KeyError("no config")
def number(): return 3
def empty(): return nn.Flatten()
"""


@pytest.fixture(scope="module")
def small() -> Dataset:
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 2000), test=data.balanced(full.test, 300))


@pytest.fixture(autouse=True)
def quick(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    real = data.load
    monkeypatch.setattr(data, "load", lambda name: small if name == "fashion-mnist-mini" else real(name))
    return small


@pytest.fixture(scope="module")
def dense(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> checkpoint.Checkpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: small)
        return train(
            "ultralight", "fashion-mnist-mini", epochs=3, out=tmp_path_factory.mktemp("s") / "dense.safetensors"
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's, and the current one, with code of theirs in it."""
    made = tmp_path / "project"
    (made / "my").mkdir(parents=True)
    (made / "my" / "__init__.py").touch()
    (made / "my" / "models.py").write_text(CODE)
    monkeypatch.chdir(made)
    return made


def classifier(path: Path, nodes: list[tuple[str, list[str], list[str]]]) -> Path:
    """An .onnx file of four classes: x -> y, with the weights w."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    weights = [numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], "g", ports[:1], ports[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return classifier(tmp_path / "tiny.onnx", [("Gemm", ["x", "w"], ["y"])])
