"""ONNX Runtime, on the CPU, through CUDA, or by another of its execution providers (the target's `provider`).

All but the CPU's own fail closed: a node that would fall back to it is an error, not a slower result. Nodes are counted
per provider, as ONNX Runtime assigned them.
Inputs and outputs are bound (I/O binding) to host memory, so that a GPU is charged for its transfers. Outputs whose
size may depend on the input are bound anew for each inference, and ONNX Runtime allocates them, as in any application.
"""

from __future__ import annotations

import collections
import functools
import json
import math
import os
import re
from pathlib import Path

from .. import onnx_nodes
from . import Fallback, _onnx_providers, fed_shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

SUFFIXES = (".onnx",)
WHEELS = {"onnxruntime": "", "numpy": ""}
# y = relu(x), one float; IR 8, opset 13.
TINY_MODEL = "CAgSADo7CgwKAXgSAXkiBFJlbHUSAWdaEwoBeBIOCgwIARIICgIIAQoCCAFiEwoBeRIOCgwIARIICgIIAQoCCAFCBAoAEA0="

_KERNEL_TIME = "_kernel_time"
_WITH_GRAPHS = ("If", "Loop", "Scan")
_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64", "tensor(int8)": "int8",
    "tensor(uint8)": "uint8", "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(bool)": "bool",
    "tensor(int16)": "int16", "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64",
}  # fmt: skip


def facts(options: dict[str, Any]) -> dict[str, str]:
    import onnxruntime

    _onnx_providers.require(options, onnxruntime.get_available_providers())
    return {"version": onnxruntime.__version__, "build": onnxruntime.get_build_info()[:200]}


def needs_own_build(options: dict[str, Any]) -> bool:
    """Whether the wheel that is brought cannot do."""
    return _onnx_providers.chosen(options) != "cpu"


def load(path: str, options: dict[str, Any]) -> _OnnxSession:
    return _OnnxSession(path, options)


def profiled(path: str, options: dict[str, Any], scratch: str) -> _ProfiledOnnxSession:
    return _ProfiledOnnxSession(path, options, scratch)


class _OnnxSession:
    def __init__(self, path: str, options: dict[str, Any], profile: str = "") -> None:
        import numpy
        import onnxruntime

        self._numpy = numpy
        provider = _onnx_providers.NAMES[_onnx_providers.chosen(options)]
        settings = _settings(options)
        if profile:
            settings.enable_profiling = True
            settings.profile_file_prefix = profile
        if needs_own_build(options):
            settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self._options = _onnx_providers.settings(options)
        providers = [(provider, self._options)]
        try:
            self._session = onnxruntime.InferenceSession(path, settings, providers=providers)
        except Exception as error:  # its errors have no base class of their own
            if "fallback to CPU" in str(error):
                raise Fallback(_what_fell_back(path, options, providers)) from error
            raise
        if self._session.get_providers()[0] != provider:
            raise RuntimeError("asked for %s, got %s" % (provider, self._session.get_providers()))
        self._on_gpu = options["device"] == "cuda"
        self._bind(options.get("shapes", {}), options.get("golden", ()))

    def _bind(self, shapes: dict[str, Sequence[int]], golden: Sequence[str]) -> None:
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        nodes = self._session.get_inputs()
        self._specs = [_spec(node, self._numpy, shapes) for node in nodes]
        self._inputs = []
        for spec in self._specs:
            value = OrtValue.ortvalue_from_numpy(self._numpy.zeros(spec["shape"], spec["dtype"]))
            binding.bind_ortvalue_input(spec["name"], value)
            self._inputs.append(value)
        feeds = {spec["name"]: self._numpy.zeros(spec["shape"], spec["dtype"]) for spec in self._specs}
        for spec, path in zip(self._specs, golden):
            count = feeds[spec["name"]].size
            feeds[spec["name"]] = self._numpy.fromfile(path, spec["dtype"], count).reshape(spec["shape"])
        # One plain run shows the sizes of outputs that the file leaves open.
        symbols = _symbols(nodes, self._specs)
        self._outputs, self._open = [], []
        for node, result in zip(self._session.get_outputs(), self._session.run(None, feeds)):
            value = None
            if _is_settled(node, result, symbols):
                value = OrtValue.ortvalue_from_numpy(result)
                binding.bind_ortvalue_output(node.name, value)
            else:
                binding.bind_output(node.name)
                self._open.append(node.name)
            self._outputs.append(value)
        self._binding = binding
        self.invoke: Callable[[], object] = functools.partial(self._session.run_with_iobinding, binding)
        if self._on_gpu:
            self.invoke = self._invoke_on_gpu
        elif self._open:
            self.invoke = self._invoke_open

    def _invoke_open(self) -> None:
        """Until bound anew, the last inference's output stays bound, and the next one would have to have its size."""
        for name in self._open:
            self._binding.bind_output(name)
        self._session.run_with_iobinding(self._binding)

    def _invoke_on_gpu(self) -> None:
        """Binding copies an input to the GPU, so it is repeated for each inference."""
        for spec, value in zip(self._specs, self._inputs):
            self._binding.bind_ortvalue_input(spec["name"], value)
        for name in self._open:
            self._binding.bind_output(name)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def inputs(self) -> list[dict[str, Any]]:
        return self._specs

    def feed(self, index: int, data: bytes) -> None:
        spec = self._specs[index]
        self._inputs[index].update_inplace(self._numpy.frombuffer(data, spec["dtype"]).reshape(spec["shape"]))

    def arrays(self) -> list[Any]:
        found = [value or bound for bound, value in zip(self._binding.get_outputs(), self._outputs)]
        for number, value in enumerate(found):
            if not value.is_tensor():
                raise ValueError("output %d is a %s, which has no numbers to compare" % (number, value.data_type()))
        return [value.numpy() for value in found]

    def notes(self) -> dict[str, Any]:
        asked = {"precision": {"asked": {**self._options}}} if self._options else {}
        return {"providers": self._session.get_providers(), "nodes": _nodes(self._session)[0], **asked}


class _ProfiledOnnxSession(_OnnxSession):
    """Writes what it does to a file in `scratch`."""

    def __init__(self, path: str, options: dict[str, Any], scratch: str) -> None:
        super().__init__(path, options, os.path.join(scratch, "profile"))  # noqa: PTH118
        self._path = path

    def begin_layers(self) -> None:
        """The file has all inferences."""

    def layers(self, count: int) -> list[dict[str, Any]]:
        written = Path(self._session.end_profiling())
        events = json.loads(written.read_text())
        written.unlink()
        kernels = [one for one in events if one.get("cat") == "Node" and one["name"].endswith(_KERNEL_TIME)]
        timed: dict[str, list[dict[str, Any]]] = {}
        for event in _of_main_graph(kernels):
            timed.setdefault(event["args"]["node_index"], []).append(event)
        found = []
        for times in timed.values():
            about = times[-1]["args"]
            found.append({
                "name": _parents_name(times[-1]["name"]), "kind": about["op_name"], "kernel": about["provider"],
                "precision": _computed_in(about), "shape": _first_shape(about),
                "ns": [1000 * one["dur"] for one in times[-count:]],
            })  # fmt: skip
        return onnx_nodes.with_parents(found, self._path)


def _of_main_graph(kernels: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what ran inside another node: its time is in that node's, and inner graphs number their nodes anew.

    kernels: in the order in which they ended. ts: when one started, in microseconds.
    """
    found: list[dict[str, Any]] = []
    inside_since = math.inf
    for one in reversed(kernels):
        if one["ts"] >= inside_since:
            continue
        inside_since = one["ts"] if one["args"]["op_name"] in _WITH_GRAPHS else math.inf
        found.append(one)
    return found[::-1]


def _first_shape(about: dict[str, Any]) -> list[int]:
    shapes = [shape for port in about.get("output_type_shape", ()) for shape in port.values()]
    return shapes[0] if shapes and all(size >= 0 for size in shapes[0]) else []


def _parents_name(event: str) -> str:
    """Without what onnxruntime adds to a node's name when it changes or fuses it."""
    return re.sub(r"(?:_token_\d+|_nchwc|_quant)+$", "", event[: -len(_KERNEL_TIME)])


def _computed_in(about: dict[str, Any]) -> str:
    """The type of what goes in first: onnxruntime computes in that, except where it only converts."""
    kinds = [kind for port in about["input_type_shape"] for kind in port]
    return {"float": "f32", "float16": "f16", "uint8": "u8", "int8": "i8"}.get(kinds[0], kinds[0]) if kinds else ""


def _settings(options: dict[str, Any]) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1 if _onnx_providers.has_own_threads(options) else options["threads"]
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    # Recorded while the session is created; inferences are not affected.
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return settings


def _nodes(session: Any) -> tuple[dict[str, int], collections.Counter[str]]:
    """{provider: nodes} after fusion, and {operator: nodes} of those on the CPU; empty before ONNX Runtime 1.24."""
    by_provider: collections.Counter[str] = collections.Counter()
    on_cpu: collections.Counter[str] = collections.Counter()
    for part in getattr(session, "get_provider_graph_assignment_info", list)():
        operators = [node.op_type for node in part.get_nodes()]
        by_provider[part.ep_name] += len(operators)
        if part.ep_name == _onnx_providers.NAMES["cpu"]:
            on_cpu.update(operators)
    return dict(by_provider), on_cpu


def _what_fell_back(path: str, options: dict[str, Any], providers: list[tuple[str, dict[str, str]]]) -> str:
    """Found by loading it again with the fallback allowed; it is never timed that way."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, _settings(options), providers=providers)
    by_provider, on_cpu = _nodes(session)
    if not by_provider:
        return "some of its nodes have no kernel on this device and would run on the CPU"
    named = ", ".join("%s %d" % pair for pair in on_cpu.most_common(5))
    return "%d of %d nodes have no kernel on this device and would run on the CPU: %s" % (
        sum(on_cpu.values()),
        sum(by_provider.values()),
        named,
    )


def _spec(node: Any, numpy: Any, shapes: dict[str, Sequence[int]]) -> dict[str, Any]:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        raise ValueError("input '%s' is a %s, which cannot be fed" % (node.name, node.type))
    # onnxruntime reports [] for a single number, and also for an input to which the file gives no sizes.
    shape = fed_shape(node.name, node.shape or [None] * len(shapes.get(node.name, ())), shapes)
    count = int(numpy.prod(shape)) if shape else 1
    return {"name": node.name, "shape": shape, "dtype": dtype, "bytes": count * numpy.dtype(dtype).itemsize}


def _symbols(nodes: Sequence[Any], specs: Sequence[dict[str, Any]]) -> dict[str, int]:
    """{name: size} of the inputs' named sizes. Exporters without a name write "?" for all of them."""
    pairs = [pair for node, spec in zip(nodes, specs) for pair in zip(node.shape, spec["shape"])]
    return {name: size for name, size in pairs if isinstance(name, str) and any(map(str.isalnum, name))}


def _is_settled(node: Any, result: Any, symbols: dict[str, int]) -> bool:
    """Whether an output's size does not depend on the input: by the file, if one inference agrees with it."""
    dtype = getattr(result, "dtype", None)
    if dtype is None or dtype.kind not in "fiub":
        return False
    return [symbols.get(size, size) for size in node.shape] == list(result.shape)
