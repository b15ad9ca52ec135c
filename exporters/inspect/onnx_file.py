"""An .onnx file as it is stored: parsing, versions, other files that it names. Operators are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgebench.errors import BadFile
from edgebench.modelfile import is_beside
from edgebench.modelfile.versions import oldest_onnxruntime
from exporters.inspect.graph import refuse_too_many

_STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")


def parse(path: Path) -> Any:
    """The ModelProto, without data stored in other files. Raises BadFile."""
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf raises several kinds, which differ between its versions
        raise _no_onnx(path) from error
    # Names that are not UTF-8 come as bytes.
    if not model.ir_version or not model.graph.node or any(isinstance(name, bytes) for name in _names(model)):
        raise _no_onnx(path)
    refuse_too_many(path, sum(1 for _ in nodes(model.graph)))
    return model


def _no_onnx(path: Path) -> BadFile:
    return BadFile(str(path), "not an ONNX network, or only part of one", "Export or download it again")


def _names(model: Any) -> Iterator[Any]:
    yield from (model.producer_name, model.producer_version, *(entry.domain for entry in model.opset_import))
    for graph in graphs(model.graph):
        for node in graph.node:
            yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
            yield from (attribute.name for attribute in node.attribute)
        for value in (*graph.input, *graph.output, *graph.value_info):
            yield from (value.name, *(dim.dim_param for dim in value.type.tensor_type.shape.dim))
        for tensor in graph.initializer:
            yield from (tensor.name, *(entry.value for entry in tensor.external_data))


def nodes(graph: Any, inside: str = "") -> Iterator[tuple[Any, str]]:
    """Every node with the path of the subgraph it is in; nodes in a node's subgraphs come before the node."""
    for node in graph.node:
        for attribute, subgraph in held_by(node):
            yield from nodes(subgraph, f"{inside}{node.name or node.op_type}.{attribute}/")
        yield node, inside


def held_by(node: Any) -> Iterator[tuple[str, Any]]:
    """The subgraphs of a node, its branches or body: (attribute's name, graph)."""
    for attribute in node.attribute:
        for subgraph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            yield attribute.name, subgraph


def graphs(graph: Any) -> Iterator[Any]:
    """The graph itself and all subgraphs of its nodes."""
    yield graph
    for node in graph.node:
        for _, subgraph in held_by(node):
            yield from graphs(subgraph)


def facts(model: Any) -> dict[str, str]:
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx", 0))
    found = {"ONNX": f"opset {opset}, IR version {model.ir_version}"}
    others = [f"{domain} {version}" for domain, version in opsets.items() if domain not in ("", "ai.onnx")]
    if others:
        found["other opsets"] = ", ".join(others)
    found["loads from"] = oldest_onnxruntime(opset, model.ir_version, opsets.get("ai.onnx.ml", 0))
    producer = f"{model.producer_name} {model.producer_version}".strip()
    if producer:
        found["producer"] = producer
    return found


def remarks(model: Any, path: Path) -> Iterator[str]:
    for name in sorted(external_files(model)):
        if not is_beside(path, name):
            yield f"it refers to a data file outside its folder, {name}: not read, and the network is not loaded"
        elif not (path.parent / name).is_file():
            yield f"its data file {name} is missing in {path.parent.absolute()}"
        else:
            yield f"weights are in {name}, {(path.parent / name).stat().st_size:,} bytes"
    holders = dict.fromkeys(node.op_type for node, _ in nodes(model.graph) if any(held_by(node)))
    if holders:
        yield f"subgraphs of {', '.join(holders)} are counted once, and not included in the memory"
    known = {*_STANDARD_DOMAINS, *(function.domain for function in model.functions)}
    for domain in sorted({node.domain for node, _ in nodes(model.graph)} - known):
        yield f"its operators of '{domain}' need an additional library"
    if any(graph.sparse_initializer for graph in graphs(model.graph)):
        yield "weights stored as sparse tensors are not counted"


def external_files(model: Any) -> set[str]:
    """The other files that contain its weights, as it names them."""
    found = set()
    for graph in graphs(model.graph):
        tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))]
        found |= {entry.value for one in tensors for entry in one.external_data if entry.key == "location"}
    return found
