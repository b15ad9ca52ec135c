"""A small data set, and a network that is trained on it once per file, for the tests of INT8."""

from __future__ import annotations

import dataclasses

import pytest

import exporters
from edgebench.networks import data
from edgebench.networks.data import Dataset
from edgebench.schema import checkpoint
from edgebench.train import train


@pytest.fixture(scope="module")
def small() -> Dataset:
    for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
        if not exporters.importlib.util.find_spec(library):
            pytest.skip(f"needs {library}")
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 640), test=data.balanced(full.test, 300))


@pytest.fixture(scope="module")
def dense(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> checkpoint.Checkpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: small)
        return train("ultralight", epochs=6, out=tmp_path_factory.mktemp("quantisation"))
