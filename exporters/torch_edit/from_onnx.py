"""An .onnx graph of fixed sizes as a torch module, so that it reaches TFLite by the route that torch networks take.

Shapes, axes and other numbers that an operator needs to know must be constants: simplify the graph first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporters.torch_edit.onnx_call import Call, UnknownOperator
from exporters.torch_edit.onnx_operators import OPERATORS

if TYPE_CHECKING:
    from torch import nn


def module_of(path: Path) -> nn.Module:
    """Its inputs and outputs are those of the graph, in their order. Raises UnknownOperator."""
    import onnx
    import torch
    from onnx import numpy_helper

    model = onnx.load(str(path))
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    calls = []
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(node)
        elif node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            raise UnknownOperator(node.op_type)
        else:
            calls.append(Call(node, opset, constants))
    sources = [port.name for port in model.graph.input if port.name not in constants]
    sinks = [port.name for port in model.graph.output]

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places = {name: f"held_{number}" for number, name in enumerate(constants)}
            for name, place in self.places.items():
                self.register_buffer(place, torch.from_numpy(constants[name].copy()))

        def forward(self, *inputs: Any) -> Any:
            values = {name: getattr(self, place) for name, place in self.places.items()}
            values |= dict(zip(sources, inputs, strict=True))
            for call in calls:
                given = [values[name] if name else None for name in call.node.input]
                found = OPERATORS[call.node.op_type](call, *given)
                outputs = found if isinstance(found, tuple | list) else (found,)
                values |= {name: one for name, one in zip(call.node.output, outputs, strict=False) if name}
            found = tuple(values[name] for name in sinks)
            return found[0] if len(found) == 1 else found

    return Graph().eval()


def _constant(node: Any) -> Any:
    import numpy as np
    from onnx import numpy_helper

    held = node.attribute[0]
    if held.name == "value":
        return numpy_helper.to_array(held.t)
    if held.name in ("value_float", "value_floats"):
        return np.array(held.f if held.name == "value_float" else list(held.floats), np.float32)
    if held.name in ("value_int", "value_ints"):
        return np.array(held.i if held.name == "value_int" else list(held.ints), np.int64)
    raise UnknownOperator(f"Constant ({held.name})")
