"""A .pte file as it is stored: XNNPACK's layers, and calls of ExecuTorch's own kernels. Its weights are not read."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path
from typing import Literal

from device_agents.python.runtimes import _pte_file, _xnnpack_graph
from edgebench.files.plain_text import plain_excerpt
from edgebench.schema.inspection import InspectedTensor, Layer, LoadedBy, NetworkInFile
from exporters.inspect.graph import guess_layout

_CONVERSIONS = ("Convert",)
_MOVES = ("Transpose", "Reshape", "Slice", "ConstantPad", "Copy", "Concatenate")
_BYTES = {"f32": 4, "i32": 4, "f16": 2, "bf16": 2, "i8": 1, "u8": 1, "i4": 0.5}
_COUNTED = ("Conv2d", "DepthwiseConv2d", "FullyConnected")


def read(path: Path) -> NetworkInFile:
    """Raises ValueError for anything but a program of ExecuTorch."""
    program = _pte_file.PteFile(path.read_bytes())
    taken = [layer for layer in program.xnnpack if layer.kind not in _CONVERSIONS]
    layers = [_layer(number, layer) for number, layer in enumerate(taken, start=1)]
    layers += [_kernel(number, name) for number, name in enumerate(_calls(program), start=len(layers) + 1)]
    macs = [layer.macs for layer in layers]
    parts = [f"{count} part{'s' * (count != 1)} by {name}" for name, count in program.backends.items()]
    own = sum(program.kernels.values())
    parts += [f"{own} call{'s' * (own != 1)} of its own kernels"] if own else []
    remarks = [] if program.xnnpack or not program.backends else ["what its backends take cannot be looked into"]
    return NetworkInFile(
        facts={"ExecuTorch": plain_excerpt(", ".join([f"method {program.method}", *parts]))},
        inputs=tuple(_port("input", place, port) for place, port in enumerate(program.inputs)),
        outputs=tuple(_port("output", place, port) for place, port in enumerate(program.outputs)),
        signatures=(),
        layers=tuple(layers),
        conversions=dict(Counter(layer.kind for layer in program.xnnpack if layer.kind in _CONVERSIONS)),
        parameters=sum(layer.parameters for layer in layers),
        weights_bytes=sum(layer.weights_bytes for layer in layers),
        macs=None if None in macs else sum(one or 0 for one in macs),
        memory=None,
        hints=(),
        remarks=tuple(remarks),
    )


def load(path: Path) -> LoadedBy:
    """Load it, and run it once on zeros."""
    from device_agents.python.runtimes import executorch as runtime

    name = "ExecuTorch"
    try:
        name = f"ExecuTorch {runtime.facts({'device': 'cpu'})['version']} CPU"
        runtime.load(str(path), {"threads": 1, "device": "cpu"}).invoke()
    except (ImportError, RuntimeError, ValueError) as error:
        return LoadedBy(name, plain_excerpt(str(error)))
    return LoadedBy(name)


def _calls(program: _pte_file.PteFile) -> list[str]:
    return [name for name, count in program.kernels.items() for _ in range(count)]


def _layer(number: int, layer: _xnnpack_graph.XnnpackLayer) -> Layer:
    shape, weights = tuple(layer.output.shape), layer.weights
    count = prod(weights.shape) if weights else 0
    size = _BYTES.get(layer.output.dtype)
    macs: int | None = 0
    if weights:
        macs = prod(shape) * count // shape[-1] if layer.kind in _COUNTED and shape and shape[-1] else None
    return Layer(
        number=number,
        name="",
        operator=layer.kind,
        output_shape=shape,
        activation_dtype=layer.output.dtype,
        activation_bytes=None if size is None or not shape else int(prod(shape) * size),
        macs=macs,
        parameters=count,
        weights_bytes=int(count * _BYTES.get(weights.dtype, 0)) if weights else 0,
        weights=count,
        weights_dtype=weights.dtype if weights else "",
        scales=weights.scales if weights else 0,
        arithmetic=_arithmetic(layer),
    )


def _arithmetic(layer: _xnnpack_graph.XnnpackLayer) -> Literal["integer", "float", "none"]:
    if layer.kind.startswith(_MOVES):
        return "none"
    return "integer" if (layer.precision or layer.output.dtype).startswith(("i", "u")) else "float"


def _kernel(number: int, name: str) -> Layer:
    return Layer(number, "", plain_excerpt(name), (), "", None, 0, runs_as="ExecuTorch's own kernel")


def _port(kind: str, place: int, port: _pte_file.ProgramPort) -> InspectedTensor:
    shape = tuple(port.shape)
    return InspectedTensor(f"{kind} {place}", shape, port.dtype, guess_layout(shape, "NCHW"))
