"""OpenVINO on the CPU or on Intel's GPU, which reads .onnx and .tflite files as they are.

Left alone it computes float32 files in bfloat16 or float16 where the processor can, which is what a target with
`precision: fast` gets. Otherwise a file is computed in the precision that it was made in: the hint is f32. The notes
say what each kind of layer really runs in.
"""

from __future__ import annotations

import collections
import functools
import sys

from .. import onnx_nodes
from . import fed_shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

SUFFIXES = (".onnx", ".tflite")
WHEELS = {"openvino": "", "numpy": ""}
# y = relu(x), one float; IR 8, opset 13.
TINY_MODEL = "CAgSADo7CgwKAXgSAXkiBFJlbHUSAWdaEwoBeBIOCgwIARIICgIIAQoCCAFiEwoBeRIOCgwIARIICgIIAQoCCAFCBAoAEA0="

_DEVICES = {"cpu": "CPU", "gpu": "GPU"}
_NOT_LAYERS = ("Input", "Output", "Const")
_NO_KERNEL = ("undef", "unknown")


def facts(options: dict[str, Any]) -> dict[str, str]:
    if options["device"] not in _DEVICES:
        raise RuntimeError("this runtime has no device '%s'" % options["device"])
    # Where it is installed, OpenVINO reports to a server from a thread of its own, and writes to the user's home.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    version, _, build = openvino.get_version().partition("-")
    if options["device"] == "cpu":
        return {"version": version, "build": build}
    core, name = openvino.Core(), _DEVICES[options["device"]]
    there = core.available_devices
    if name not in [one.partition(".")[0] for one in there]:
        raise RuntimeError(
            "OpenVINO finds no Intel GPU here, only %s; with one, install Intel's driver (intel-opencl-icd)"
            % (", ".join(there) or "nothing")
        )
    return {"version": version, "build": build, "gpu": str(core.get_property(name, "FULL_DEVICE_NAME"))}


def load(path: str, options: dict[str, Any]) -> _CompiledNetwork:
    return _CompiledNetwork(path, options)


def profiled(path: str, options: dict[str, Any], scratch: str) -> _ProfiledNetwork:
    return _ProfiledNetwork(path, options)


class _CompiledNetwork:
    # Of its executor, for callbacks: they used no processor time in two seconds of inferences (2026.4).
    helpers = 2

    def __init__(self, path: str, options: dict[str, Any], *, counters: bool = False) -> None:
        import numpy
        import openvino
        from openvino._pyopenvino import InferRequest

        self._numpy = numpy
        core = openvino.Core()
        network = core.read_model(path)
        self._shape(network, options.get("shapes", {}))
        self._scales = [_scale(result) for result in network.get_results()]
        self._asked = {} if options.get("precision") == "fast" else {"INFERENCE_PRECISION_HINT": "f32"}
        how = {**self._asked, "NUM_STREAMS": 1, "PERF_COUNT": counters}  # streams: of parallel inferences
        if options["device"] == "cpu":
            how["INFERENCE_NUM_THREADS"] = options["threads"]
            how["ENABLE_CPU_PINNING"] = False  # the worker is pinned already where the target asks for it
        # A device by its own name has no fallback; AUTO and HETERO would have.
        self._compiled = core.compile_model(network, _DEVICES[options["device"]], how)
        self._request = self._compiled.create_infer_request()
        self._inputs = []
        self._tensors = []
        for number, port in enumerate(self._compiled.inputs):
            zeros = numpy.zeros(tuple(port.shape), port.element_type.to_dtype())
            tensor = openvino.Tensor(zeros)
            self._request.set_input_tensor(number, tensor)
            self._tensors.append(tensor)
            shown = {"name": port.any_name, "shape": list(port.shape), "dtype": zeros.dtype.name}
            self._inputs.append({**shown, "bytes": zeros.nbytes})
        # The method below the Python wrapper, which would copy the outputs; they stay in the request's own memory.
        self.invoke: Callable[[], object] = functools.partial(InferRequest.infer, self._request, {}, True, False)

    def _shape(self, network: Any, shapes: dict[str, Sequence[int]]) -> None:
        """Set the sizes that are fed where the file leaves some open."""
        fed = {}
        for port in network.inputs:
            if port.element_type.get_type_name() == "string":
                raise ValueError("input '%s' is a string, which cannot be fed" % port.any_name)
            sizes = [size.get_length() if size.is_static else None for size in port.partial_shape]
            fed[port] = fed_shape(port.any_name, sizes, shapes)
        if any(port.partial_shape.is_dynamic for port in network.inputs):
            network.reshape(fed)

    def inputs(self) -> list[dict[str, Any]]:
        return self._inputs

    def feed(self, index: int, data: bytes) -> None:
        stored = self._tensors[index].data
        stored[...] = self._numpy.frombuffer(data, stored.dtype).reshape(stored.shape)

    def arrays(self) -> list[Any]:
        found = []
        for number, (scale, zero_point) in enumerate(self._scales):
            stored = self._request.get_output_tensor(number).data
            found.append((stored.astype("float32") - zero_point) * self._numpy.float32(scale) if scale else stored)
        return found

    def notes(self) -> dict[str, Any]:
        """{precision: {kind of layer: how many}}, as compiled: layers of an INT8 file may well be float."""
        kinds: dict[str, collections.Counter[str]] = {}
        for layer in self._compiled.get_runtime_model().get_ordered_ops():
            known = layer.get_rt_info()
            kind = known["layerType"].astype(str)
            if kind not in _NOT_LAYERS:
                kinds.setdefault(known["runtimePrecision"].astype(str), collections.Counter())[kind] += 1
        hint = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        reported = {name: sum(counted.values()) for name, counted in kinds.items()}
        return {
            "precision": {"asked": {**self._asked}, "hint": hint, "reported": reported},
            "layers": {name: dict(counted) for name, counted in kinds.items()},
        }


class _ProfiledNetwork(_CompiledNetwork):
    """Its counters are means over all inferences so far, in whole microseconds: what a span took is the difference of
    two sums, to a microsecond.
    """

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        super().__init__(path, options, counters=True)
        self._path = path
        self._plain, self.invoke = self.invoke, self._counted
        self._inferences = 0

    def _counted(self) -> None:
        self._plain()
        self._inferences += 1

    def begin_layers(self) -> None:
        self._before = self._inferences
        self._spent = {one.node_name: self._sum_ns(one) for one in self._ran()}

    def layers(self, count: int) -> list[dict[str, Any]]:
        found = []
        for one in self._ran():
            kernel, _, precision = one.exec_type.rpartition("_")
            spent = self._sum_ns(one) - self._spent.get(one.node_name, 0.0)
            found.append({
                "name": one.node_name, "kind": one.node_type, "kernel": kernel, "precision": precision.lower(),
                "ns": max(0.0, spent / (self._inferences - self._before)),
            })  # fmt: skip
        return onnx_nodes.with_parents(found, self._path) if self._path.endswith(".onnx") else found

    def _ran(self) -> list[Any]:
        """Those with code; not by their status, which is NOT_RUN below a microsecond too."""
        return [one for one in self._request.get_profiling_info() if not one.exec_type.startswith(_NO_KERNEL)]

    def _sum_ns(self, one: Any) -> float:
        whole: float = one.real_time.total_seconds() * 1e9 * self._inferences
        return whole


def _scale(result: Any) -> tuple[float, int]:
    """(scale, zero point) of an output of a .tflite file that is quantised; (0, 0) of any other.

    OpenVINO ends such a network with FakeQuantize, whose ranges say both, and Convert.
    """
    convert = result.input_value(0).get_node()
    if convert.get_type_name() != "Convert":
        return 0.0, 0
    quantise = convert.input_value(0).get_node()
    if quantise.get_type_name() != "FakeQuantize":
        return 0.0, 0
    ends = [quantise.input_value(number).get_node() for number in (1, 2, 3, 4)]
    if any(end.get_type_name() != "Constant" or end.data.size != 1 for end in ends):
        return 0.0, 0
    low, high, first, last = (float(end.data.ravel()[0]) for end in ends)
    if last == first or high == low:
        return 0.0, 0
    scale = (high - low) / (last - first)
    return scale, round(first - low / scale)
