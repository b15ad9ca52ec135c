"""Inputs and outputs of a .tflite file: what they are called, and what it answers by these names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from exporters.tflite_edit import flatbuffer

NUMBER = re.compile(r"(\d+)(?!.*\d)")


def name(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Call args_0, output_1 and so on by these names, in place: tensors and signature. They come in that order."""
    model = flatbuffer.read(path)
    (signature,) = model.signatureDefs
    graph = model.subgraphs[signature.subgraphIndex]
    for ports, names, places in (
        (signature.inputs, inputs, graph.inputs),
        (signature.outputs, outputs, graph.outputs),
    ):
        ports.sort(key=lambda port: _number(port.name))
        if len({int(port.tensorIndex) for port in ports}) == len(places):
            places[:] = [int(port.tensorIndex) for port in ports]
        for port in ports:
            given = names[_number(port.name)].encode()
            port.name = graph.tensors[port.tensorIndex].name = given
    flatbuffer.write(model, path)


def _number(name: Any) -> int:
    found = NUMBER.search(name.decode() if isinstance(name, bytes) else name)
    return int(found[1]) if found else 0


def answers(path: Path, samples: Iterable[Sequence[Any]], inputs: Sequence[str]) -> list[dict[str, Any]]:
    """For each sample, by the names of its signature, what the file says. inputs: what a sample is in order."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    run = interpreter.get_signature_runner()
    details = run.get_input_details()
    found = []
    for sample in samples:
        given = {name: one for name, one in zip(inputs, sample, strict=True) if name in details}
        found.append(run(**{name: one.astype(details[name]["dtype"]) for name, one in given.items()}))
    return found
