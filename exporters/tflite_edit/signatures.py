"""A signature of a .tflite file names tensors of its graph: the same ones before and after INT8."""

from __future__ import annotations

from pathlib import Path

from exporters.tflite_edit import flatbuffer


def repair(float32: Path, quantised: Path) -> None:
    """Let the signature name the graph's own outputs, in place.

    Where another operator reads an output too, the quantiser gives the graph a new one, in float, and the signature
    keeps the old one, which is an integer inside the network: runtimes that go by signatures would answer with that.
    """
    source = flatbuffer.read(float32)
    if len(source.subgraphs[0].outputs) == 1:
        return
    places = {int(tensor): place for place, tensor in enumerate(source.subgraphs[0].outputs)}
    model = flatbuffer.read(quantised)
    after = model.subgraphs[0].outputs
    names = {
        bytes(entry.name): places[int(entry.tensorIndex)]
        for signature in source.signatureDefs or []
        for entry in signature.outputs
        if int(entry.tensorIndex) in places
    }
    is_changed = False
    for entry in (entry for signature in model.signatureDefs or [] for entry in signature.outputs):
        place = names.get(bytes(entry.name))
        if place is not None and int(entry.tensorIndex) != int(after[place]):
            entry.tensorIndex = int(after[place])
            is_changed = True
    if is_changed:
        flatbuffer.write(model, quantised)
