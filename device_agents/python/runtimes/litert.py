"""LiteRT (ai-edge-litert), the current name of TensorFlow Lite's runtime, on the CPU with XNNPACK."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

from . import fed_shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from ._litert_profiler import CompiledNetwork

    class _Graph(Protocol):
        """One graph of a file; index is a tensor's number."""

        def inputs(self) -> list[dict[str, Any]]: ...
        def outputs(self) -> list[dict[str, Any]]: ...
        def resize(self, index: int, sizes: list[int]) -> None: ...
        def allocate(self) -> None: ...
        def set(self, index: int, value: Any) -> None: ...
        def get(self, index: int) -> Any: ...
        @property
        def invoke(self) -> Callable[[], object]: ...


SUFFIXES = (".tflite",)
WHEELS = {"ai-edge-litert": "", "numpy": ""}
# y = relu(x), one float.
TINY_MODEL = (
    "HAAAAFRGTDMUACAAHAAYABQAEAAMAAAACAAEABQAAAAcAAAAHAAAAHQAAAAkAQAANAEAADwCAAADAAAAAAAAAAIAAAA0AAAABAAAANz///8EAA"
    "AABAAAABMAAABDT05WRVJTSU9OX01FVEFEQVRBAAgADAAIAAQACAAAAAMAAAAEAAAAEwAAAG1pbl9ydW50aW1lX3ZlcnNpb24ABQAAAKwAAACk"
    "AAAAnAAAAHwAAAAEAAAAkv///wQAAABgAAAAEAAAAAAAAAAIAA4ACAAEAAgAAAAQAAAAJAAAAAAABgAIAAQABgAAAAQAAAAAAAAADAAYABQAEA"
    "AMAAQADAAAAKGJchAZJCDfAwAAAAIAAAAEAAAABgAAADIuMjEuMAAAAAAGAAgABAAGAAAABAAAABAAAAAxLjUuMAAAAAAAAAAAAAAA8P7///T+"
    "///4/v//DwAAAE1MSVIgQ29udmVydGVkLgABAAAAFAAAAAAADgAYABQAEAAMAAgABAAOAAAAFAAAABwAAABIAAAATAAAAFAAAAAEAAAAbWFpbg"
    "AAAAABAAAAEAAAAAAACgAMAAAACAAEAAoAAAAIAAAADAAAAAEAAAABAAAAAQAAAAAAAAABAAAAAQAAAAEAAAAAAAAAAgAAAFgAAAAEAAAAxv//"
    "/wAAAAEQAAAAEAAAAAIAAAAYAAAAsP///wgAAABJZGVudGl0eQAAAAACAAAAAQAAAAEAAAAAABYAGAAUAAAAEAAMAAgAAAAAAAAABwAWAAAAAA"
    "AAARQAAAAUAAAAAQAAABQAAAAEAAQABAAAAAEAAAB4AAAAAgAAAAEAAAABAAAAAQAAABAAAAAMAAwACwAAAAAABAAMAAAAEwAAAAAAABM="
)


def facts(options: dict[str, Any]) -> dict[str, str]:
    import ai_edge_litert

    check_device(options)
    importlib.import_module("ai_edge_litert.interpreter")
    return {"version": getattr(ai_edge_litert, "__version__", None) or installed_version("ai-edge-litert")}


def load(path: str, options: dict[str, Any]) -> InterpreterSession:
    from ai_edge_litert.interpreter import Interpreter

    return InterpreterSession(Interpreter, path, options)


def profiled(path: str, options: dict[str, Any], scratch: str) -> CompiledNetwork:
    import ai_edge_litert

    from ._litert_profiler import CompiledNetwork

    library = Path(ai_edge_litert.__file__).with_name("libLiteRt.so")
    return CompiledNetwork(str(library), path, options, load(path, options))


class InterpreterSession:
    """A session on anything with TensorFlow Lite's Interpreter interface."""

    def __init__(self, interpreter_class: Any, path: str, options: dict[str, Any]) -> None:
        import numpy

        self._numpy = numpy
        self._interpreter = interpreter_class(model_path=path, num_threads=options["threads"])
        self._graph, self.signature = _chosen(self._interpreter, options.get("signature", ""))
        self._allocate(options.get("shapes", {}))
        self._inputs = self._graph.inputs()
        self._outputs = self._graph.outputs()
        self.invoke = self._graph.invoke

    def _allocate(self, shapes: dict[str, Sequence[int]]) -> None:
        """Set the sizes that are fed where the file leaves some open, and allocate."""
        for detail in self._graph.inputs():
            if self._numpy.dtype(detail["dtype"]).kind in "SUO":
                raise ValueError("input '%s' is a string, which cannot be fed" % detail["name"])
            stored = [int(size) for size in detail["shape"]]
            declared = [int(size) for size in detail.get("shape_signature", stored)] or stored
            fed = fed_shape(detail["name"], declared, shapes)
            if fed != stored:
                self._graph.resize(detail["index"], fed)
        self._graph.allocate()

    def inputs(self) -> list[dict[str, Any]]:
        return [
            {
                "name": detail["name"],
                "shape": [int(size) for size in detail["shape"]],
                "dtype": self._numpy.dtype(detail["dtype"]).name,
                "bytes": int(self._numpy.prod(detail["shape"])) * self._numpy.dtype(detail["dtype"]).itemsize,
            }
            for detail in self._inputs
        ]

    def feed(self, index: int, data: bytes) -> None:
        detail = self._inputs[index]
        sample = self._numpy.frombuffer(data, detail["dtype"]).reshape(detail["shape"])
        self._graph.set(detail["index"], sample)

    def arrays(self) -> list[Any]:
        found = []
        for detail in self._outputs:
            scale, zero_point = detail["quantization"]
            stored = self._graph.get(detail["index"])
            found.append((stored.astype("float32") - zero_point) * self._numpy.float32(scale) if scale else stored)
        return found

    def output_names(self) -> list[str]:
        return [detail["name"] for detail in self._outputs]

    def operators(self) -> list[tuple[str, str]]:
        """(kind, name of the first output) of each operator of the file, in their order, delegates left out."""
        tensors = {one["index"]: one["name"] for one in self._interpreter.get_tensor_details()}
        return [
            (one["op_name"], tensors.get(next(iter(one["outputs"]), -1), ""))
            for one in self._interpreter._get_ops_details()
            if "DELEGATE" not in one["op_name"].upper()
        ]

    def notes(self) -> dict[str, Any]:
        """Which delegates took operators; the rest run in the reference or built-in kernels."""
        try:
            operators = [operator["op_name"] for operator in self._interpreter._get_ops_details()]
        except (AttributeError, KeyError):
            return {}
        delegates = sorted({name for name in operators if "Delegate" in name or name == "DELEGATE"})
        return {"delegates": delegates, "operators_in_file_and_delegates": len(operators)}


class _MainGraph:
    """What an interpreter runs by default."""

    def __init__(self, interpreter: Any) -> None:
        self.inputs = interpreter.get_input_details
        self.outputs = interpreter.get_output_details
        self.resize = functools.partial(interpreter.resize_tensor_input, strict=True)
        self.allocate = interpreter.allocate_tensors
        self.set = interpreter.set_tensor
        self.get = interpreter.get_tensor
        self.invoke = interpreter.invoke


class _OtherGraph:
    """Another graph of the file, by its signature: what SignatureRunner does, without its work at each run."""

    def __init__(self, interpreter: Any, runner: Any, number: int) -> None:
        self._wrapped = interpreter._interpreter
        self._runner = runner
        self._number = number
        self.invoke = functools.partial(self._wrapped.Invoke, number)

    def inputs(self) -> list[dict[str, Any]]:
        return list(self._runner.get_input_details().values())

    def outputs(self) -> list[dict[str, Any]]:
        return list(self._runner.get_output_details().values())

    def resize(self, index: int, sizes: list[int]) -> None:
        import numpy

        self._wrapped.ResizeInputTensor(index, numpy.array(sizes, "int32"), True, self._number)

    def allocate(self) -> None:
        self._wrapped.AllocateTensors(self._number)

    def set(self, index: int, value: Any) -> None:
        self._wrapped.SetTensor(index, value, self._number)

    def get(self, index: int) -> Any:
        return self._wrapped.GetTensor(index, self._number)


def _chosen(interpreter: Any, wanted: str) -> tuple[_Graph, str]:
    """(the graph that is run, its signature), "" for a file with one graph."""
    names = list(getattr(interpreter, "get_signature_list", dict)())
    if wanted and wanted not in names:
        raise ValueError("it has no signature '%s', only %s" % (wanted, ", ".join(names) or "none"))
    if len(names) < 2:
        graphs = getattr(interpreter._interpreter, "NumSubgraphs", int)()
        return _MainGraph(interpreter), "main graph of %d" % graphs if graphs > 1 else ""
    number_of = interpreter._interpreter.GetSubgraphIndexFromSignature
    numbers = {name: number_of(name) for name in names}
    main = [name for name in names if not numbers[name]]
    chosen = wanted or (main[0] if main else "")
    if not numbers.get(chosen):
        return _MainGraph(interpreter), chosen or "main graph of %d" % interpreter._interpreter.NumSubgraphs()
    return _OtherGraph(interpreter, interpreter.get_signature_runner(chosen), numbers[chosen]), chosen


def check_device(options: dict[str, Any]) -> None:
    if options["device"] != "cpu":
        raise RuntimeError("this runtime has no device '%s'" % options["device"])


def installed_version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
