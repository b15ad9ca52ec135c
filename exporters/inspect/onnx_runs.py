"""An .onnx file in onnxruntime: what becomes of its operators, and how far each is from the float32 file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebench.files.plain_text import plain_excerpt
from edgebench.modelfile import is_beside
from edgebench.schema.inspection import Errors, LoadedBy, RunsAs
from exporters.inspect import GoldenInputs, Sibling, onnx_file
from exporters.inspect.graph import Graph
from exporters.inspect.noise import Noise, images
from exporters.inspect.onnx_constants import BETWEEN, constants, first_names
from exporters.inspect.onnx_reader import on_integers, read


def load(path: Path, scratch: Path, shapes: Mapping[str, tuple[int, ...]]) -> LoadedBy:
    """Load it, run it once on zeros, and find out what onnxruntime has made of each layer.

    shapes: of inputs that it leaves open; "" is the first input.
    """
    import onnxruntime

    runtime = f"onnxruntime {onnxruntime.__version__} CPU"
    model = onnx_file.parse(path)
    if not all(is_beside(path, name) for name in onnx_file.external_files(model)):
        return LoadedBy(runtime, "not tried: it refers to a data file outside its folder")
    graph = read(path)
    optimised = scratch / "optimised.onnx"
    options = onnxruntime.SessionOptions()
    if graph.quantised:
        # This level fuses quantise and dequantise nodes; higher ones change layouts for this particular processor.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(optimised)
    try:
        _run_once(_session(str(path), options), shapes)
    except Exception as error:  # onnxruntime raises several kinds, and its binding others
        return LoadedBy(runtime, _reason(error, path))
    return LoadedBy(runtime, runs_as=_runs_as(graph, model, onnx_file.parse(optimised)) if graph.quantised else {})


def compare(path: Path, sibling: Sibling) -> Errors:
    """SQNR of every layer whose output the sibling has under the same name, over the golden inputs."""
    model, reference = onnx_file.parse(path), onnx_file.parse(Path(sibling.artifact))
    theirs = {name for node in reference.graph.node for name in node.output}
    names = _float_names(model)
    pairs = {}
    for number, step in enumerate(read(path).steps, start=1):
        called = names.get(step.outputs[0], [step.outputs[0]]) if step.outputs and not step.inside else []
        shared = [name for name in called if name in theirs]
        if shared:
            # The last name is the one after a dequantise node: the value as the next layer gets it.
            pairs[number] = (called[-1], shared[0])
    noise = Noise()
    mine = _values(model, [own for own, _ in pairs.values()], sibling.own)
    other = _values(reference, [name for _, name in pairs.values()], sibling.inputs)
    for own_values, other_values in zip(mine, other, strict=True):
        for number, (own, name) in pairs.items():
            noise.add(number, own_values[own], other_values[name])
    return Errors(noise.sqnr_db(), sibling.own.count)


def _reason(error: Exception, path: Path) -> str:
    """The runtime's message, without the source locations at its beginning."""
    text = " ".join(str(error).replace(str(path), path.name).split())
    return plain_excerpt(re.sub(r"\S+\.(?:cc|h):\d+ .*\) (?=\S)", "", text))


def _session(model: str | bytes, options: Any) -> Any:
    import onnxruntime

    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _run_once(session: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Some files load and then crash their runtime. Does nothing if sizes other than the batch are open."""
    import numpy as np

    fed = {}
    for number, port in enumerate(session.get_inputs()):
        kind = {"float": "float32", "double": "float64"}.get(name := port.type[len("tensor(") : -1], name)
        given = shapes.get(port.name) or (shapes.get("") if number == 0 else None)
        sizes = [1 if place == 0 and not isinstance(size, int) else size for place, size in enumerate(port.shape)]
        sizes = list(given or sizes)
        if kind not in np.sctypeDict or not all(isinstance(size, int) for size in sizes):
            return
        fed[port.name] = np.zeros(sizes, kind)
    session.run(None, fed)


def _runs_as(graph: Graph, model: Any, optimised: Any) -> dict[int, RunsAs]:
    """A layer runs as the node that now makes its output; without one, it was fused into the layer that reads it."""
    makers = {name: node for node, _ in onnx_file.nodes(optimised.graph) for name in node.output}
    integers: dict[str, list[str]] = {}
    first = first_names(model, constants(model))
    for node, _ in onnx_file.nodes(model.graph):
        if node.op_type == "QuantizeLinear" and node.output:
            integers.setdefault(first.get(node.input[0], node.input[0]), []).append(node.output[0])
    readers: dict[str, list[int]] = {}
    for number, step in enumerate(graph.steps, start=1):
        for name in step.inputs:
            readers.setdefault(name, []).append(number)
    found: dict[int, RunsAs] = {}
    # From the end, so that the readers of a layer's output are known before the layer itself.
    for number, step in reversed(list(enumerate(graph.steps, start=1))):
        output = step.outputs[0] if step.outputs else ""
        kept = [makers[name] for name in integers.get(output, []) if name in makers]
        whole = [node for node in kept if node.op_type not in BETWEEN]
        if whole:
            found[number] = RunsAs(plain_excerpt(whole[0].op_type), integer=True)
        elif output in makers:
            operator = makers[output].op_type
            found[number] = RunsAs(plain_excerpt(operator), integer=on_integers(operator))
        else:
            by = [found[reader] for reader in readers.get(output, []) if reader in found]
            can = step.quantised or step.multiplies is not None
            found[number] = RunsAs(by[0].operator, by[0].integer and can) if by else RunsAs("", step.quantised)
    return found


def _float_names(model: Any) -> dict[str, list[str]]:
    """A value's first name -> that name, and its names after dequantise nodes."""
    first = first_names(model, constants(model))
    found: dict[str, list[str]] = {}
    for node, _ in onnx_file.nodes(model.graph):
        if node.op_type == "DequantizeLinear" and node.output:
            root = first.get(node.output[0], node.output[0])
            found.setdefault(root, [root]).append(node.output[0])
    return found


def _values(model: Any, names: Sequence[str], inputs: GoldenInputs) -> Iterator[dict[str, Any]]:
    """Values by name, for one image after another."""
    import onnx
    import onnxruntime

    wanted = list(dict.fromkeys(names))
    already = {port.name for port in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in already)
    session = _session(model.SerializeToString(), onnxruntime.SessionOptions())
    (source,) = session.get_inputs()
    for image in images(inputs):
        yield dict(zip(wanted, session.run(wanted, {source.name: image}), strict=True))
