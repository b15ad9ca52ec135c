"""A .tflite file in LiteRT: whether it loads, the memory it needs, and each operator's error against float32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgebench.files.plain_text import plain_excerpt
from edgebench.schema.inspection import Errors, LoadedBy
from exporters.inspect import GoldenInputs, Sibling
from exporters.inspect.graph import Graph
from exporters.inspect.noise import Noise, images
from exporters.inspect.tflite_reader import key, read


def load(path: Path) -> LoadedBy:
    """Load it, and run it once on whatever its input memory contains."""
    from ai_edge_litert import __version__
    from ai_edge_litert.interpreter import Interpreter

    runtime = f"LiteRT {__version__} CPU"
    try:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        return LoadedBy(runtime, plain_excerpt(str(error).strip()))
    try:
        return LoadedBy(runtime, arena_bytes=_arena_bytes(path, read(path)))
    except (RuntimeError, ValueError):
        return LoadedBy(runtime)  # an operator that only a delegate supports


def compare(path: Path, sibling: Sibling) -> Errors:
    """SQNR of every operator whose output the sibling has under the same name, over the golden inputs."""
    layers = {number: step.name for number, step in enumerate(read(path).steps, start=1) if not step.inside}
    noise = Noise()
    for own, other in zip(_values(path, sibling.own), _values(Path(sibling.artifact), sibling.inputs), strict=True):
        for number, name in layers.items():
            if name in own and name in other:
                noise.add(number, own[name](), other[name]())
    return Errors(noise.sqnr_db(), sibling.own.count)


def _plain_interpreter(path: Path, **options: Any) -> Any:
    """Without a delegate: operators it takes over have no memory of their own, and leave no values behind."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=resolver, **options)
    interpreter.allocate_tensors()
    return interpreter


def _arena_bytes(path: Path, graph: Graph) -> int | None:
    """From the first to the last byte of all activations, which share one block of memory, the arena."""
    interpreter = _plain_interpreter(path)
    begins, ends = [], []
    for detail in interpreter.get_tensor_details():
        value = graph.values.get(key(0, detail["index"]))
        if value is not None and value.size_bytes:
            view = interpreter.tensor(detail["index"])()
            begins.append(view.__array_interface__["data"][0])
            ends.append(begins[-1] + view.nbytes)
    return max(ends) - min(begins) if begins else None


def _values(path: Path, inputs: GoldenInputs) -> Iterator[dict[str, Callable[[], Any]]]:
    """For one image after another: functions by tensor name that read it, as real values."""
    interpreter = _plain_interpreter(path, experimental_preserve_all_tensors=True)
    details = interpreter.get_tensor_details()
    names = Counter(detail["name"] for detail in details)
    readers = {detail["name"]: _reader(interpreter, detail) for detail in details if names[detail["name"]] == 1}
    (source,) = interpreter.get_input_details()
    for image in images(inputs):
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        yield readers


def _reader(interpreter: Any, detail: dict[str, Any]) -> Callable[[], Any]:
    def read_values() -> Any:
        import numpy as np

        values = interpreter.get_tensor(detail["index"])
        scales, points = (detail["quantization_parameters"][name] for name in ("scales", "zero_points"))
        if len(scales) != 1:
            return values
        return (values.astype(np.float32) - points[0]) * scales[0]

    return read_values
