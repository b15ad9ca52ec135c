"""An .onnx file with operators in training mode is refused by their names, in whatever opset they say so."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.errors import UserError
from edgebench.export import ExportOptions, export
from exporters.sources.onnx_training import refuse_training

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

EVAL_MODE = "model.eval()"


def save(network: Any, path: Path, **more: Any) -> Path:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.randn(1, 3, 8, 8),), str(path), dynamo=False, opset_version=17, **more)
    return path


def network(*layers: Any) -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 4, 3), *layers, nn.Flatten(), nn.Linear(144, 10))


@pytest.mark.parametrize("kind", ["BatchNormalization", "Dropout"])
def test_what_torch_exports_in_training_mode_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    from torch import nn, onnx

    layer = nn.BatchNorm2d(4) if kind == "BatchNormalization" else nn.Dropout(0.5)
    path = save(network(layer).train(), tmp_path / "train.onnx", training=onnx.TrainingMode.TRAINING)
    with pytest.raises(UserError, match=f"{kind} '.*{kind}' is in training mode") as raised:
        export(path, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out")
    assert raised.value.where == str(path)
    assert EVAL_MODE in raised.value.remedy
    assert not (tmp_path / "out").exists()


def test_the_same_in_evaluation_mode_is_exported(tmp_path: Path) -> None:
    from torch import nn, onnx

    layers = (nn.BatchNorm2d(4), nn.Dropout(0.5))
    path = save(network(*layers).eval(), tmp_path / "eval.onnx", training=onnx.TrainingMode.PRESERVE)
    assert export(path, ExportOptions(formats=["onnx-fp32"]), out=tmp_path / "out").bundle.artifacts


def model(nodes: list[Any], opset: int, constants: dict[str, Any] | None = None) -> Any:
    from onnx import helper, numpy_helper

    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", [], [], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def batch_norm(outputs: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node("BatchNormalization", list("xsbmv"), outputs.split(), name="norm", **attributes)


def dropout(inputs: str) -> Any:
    from onnx import helper

    return helper.make_node("Dropout", inputs.split(" "), ["y"])


def branch(node: Any) -> Any:
    from onnx import helper

    return helper.make_node("If", ["c"], ["z"], then_branch=helper.make_graph([node], "then", [], []))


TRAINS = {"ratio": np.float32(0.5), "mode": np.bool_(True)}


@pytest.mark.parametrize(
    ("found", "node", "opset", "constants"),
    [
        ("'norm'", lambda: batch_norm("y mean var", training_mode=1), 15, {}),
        ("'norm'", lambda: batch_norm("y mean var sm sv"), 9, {}),
        ("'norm'", lambda: branch(batch_norm("y m v", training_mode=1)), 17, {}),
        ("Dropout 'y'", lambda: dropout("x ratio mode"), 13, TRAINS),
        ("Dropout 'y'", lambda: dropout("x  mode"), 13, TRAINS),
        ("", lambda: batch_norm("y", training_mode=0), 15, {}),
        ("", lambda: batch_norm("y"), 9, {}),
        ("", lambda: dropout("x ratio mode"), 13, TRAINS | {"mode": np.bool_(False)}),
        ("", lambda: dropout("x ratio mode"), 13, TRAINS | {"ratio": np.float32(0)}),
        ("", lambda: dropout("x"), 9, {}),
    ],
)
def test_every_opset_says_it_in_its_own_way(found: str, node: Any, opset: int, constants: dict[str, Any]) -> None:
    made = model([node()], opset, constants)
    if not found:
        refuse_training("net.onnx", made)
        return
    with pytest.raises(UserError, match=found):
        refuse_training("net.onnx", made)


def test_the_others_are_counted() -> None:
    nodes = [batch_norm(f"y{number} m v", training_mode=1) for number in range(3)]
    with pytest.raises(UserError, match=r"and 2 more"):
        refuse_training("net.onnx", model(nodes, 17))
