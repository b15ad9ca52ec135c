"""Whether a file answers as the network that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.strange_networks.kinds import Network, Sample

FLOAT_DB, FLOAT_RELATIVE = 100.0, 1e-4
INT8_DB, INT8_AGREEMENT = 20.0, 0.95


class Wrong(Exception):
    """The file runs, and its answers are not those of the network."""


def judged(file: Path, network: Network, samples: Sequence[Sample], wanted: Sequence[Sample], precision: str) -> str:
    """In words, how near it is. Raises Wrong, or what the runtime raises."""
    run = _onnx(file) if file.suffix == ".onnx" else _tflite(file)
    found = [run(network, sample) for sample in samples]
    if len(found[0]) != len(wanted[0]):
        raise Wrong(f"{len(found[0])} outputs instead of {len(wanted[0])}")
    groups = [_joined(outputs) for outputs in (found, wanted)]
    words, least = "", 0.0
    for have, want in zip(_in_order(*groups), groups[1], strict=True):
        good, said, distance = _near(_like(have, want), want, precision)
        if not good:
            raise Wrong(said)
        if not words or distance < least:
            words, least = said, distance
    return words


def _joined(outputs: Sequence[Sample]) -> list[Any]:
    return [np.stack(one) for one in zip(*outputs, strict=True)]


def _in_order(found: list[Any], wanted: list[Any]) -> list[Any]:
    """Converters may reorder outputs: the order in which sizes fit, the given one if it does."""
    for order in (range(len(found)), *permutations(range(len(found)))):
        if all(found[place].size == want.size for place, want in zip(order, wanted, strict=True)):
            return [found[place] for place in order]
    raise Wrong(f"outputs of {[list(one.shape[1:]) for one in found]} instead of {[list(w.shape[1:]) for w in wanted]}")


def _like(found: Any, wanted: Any) -> Any:
    """In the layout of `wanted`: a converter may have moved the channels last."""
    axes = range(1, wanted.ndim)
    if found.shape == wanted.shape and (wanted.ndim < 4 or _error(found, wanted) < 0.5):
        return found
    moved = [(0, *order) for order in permutations(axes)] if found.ndim == wanted.ndim else []
    fits = [found.transpose(order) for order in moved if found.transpose(order).shape == wanted.shape]
    return min(fits, key=lambda one: _error(one, wanted)) if fits else found.reshape(wanted.shape)


def _error(found: Any, wanted: Any) -> float:
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    size = float(np.square(wanted).mean())
    return float(np.sqrt(np.square(found - wanted).mean() / (size or 1.0)))


def _near(found: Any, wanted: Any, precision: str) -> tuple[bool, str, float]:
    """(whether, in words, how far above the limit)."""
    if wanted.dtype.kind in "biu":
        share = float((found == wanted).mean())
        return share >= INT8_AGREEMENT, f"{share:.1%} equal", 100 * share
    error = _error(found, wanted)
    if not np.isfinite(error):
        return False, "not numbers", 0.0
    decibels = -20 * float(np.log10(max(error, 1e-15)))
    said = f"{decibels:.0f} dB"
    if precision == "fp32":
        return decibels >= FLOAT_DB or error <= FLOAT_RELATIVE, said, decibels
    if decibels >= INT8_DB:
        return True, said, decibels
    last = wanted.shape[-1]
    if wanted.ndim in (3, 4) and last > 1:  # classes, of the whole or of each step
        agreement = float((found.argmax(-1) == wanted.argmax(-1)).mean())
        return agreement >= INT8_AGREEMENT, f"{said}, agreement {agreement:.0%}", decibels
    return False, said, decibels


def _onnx(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    ports = session.get_inputs()

    def run(network: Network, sample: Sample) -> Sample:
        return tuple(session.run(None, {port.name: one for port, one in zip(ports, sample, strict=True)}))

    return run


def _tflite(file: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    sources, sinks = interpreter.get_input_details(), interpreter.get_output_details()

    def run(network: Network, sample: Sample) -> Sample:
        for number, one in _fed(sources, network, sample):
            interpreter.set_tensor(sources[number]["index"], _stored(one, sources[number]))
        interpreter.invoke()
        return tuple(_plain(interpreter.get_tensor(sink["index"]), sink) for sink in sinks)

    return run


def _fed(sources: list[Any], network: Network, sample: Sample) -> list[tuple[int, Any]]:
    """Which input takes what: by name, else by number; channels moved last where only that fits."""
    left, found = list(range(len(sources))), []
    if len(sources) != len(sample):
        raise Wrong(f"{len(sources)} inputs instead of {len(sample)}")
    for port, one in zip(network.inputs, sample, strict=True):
        named = [number for number in left if port.name in sources[number]["name"]]
        numbered = [number for number in left if f"args_{network.inputs.index(port)}" in sources[number]["name"]]
        number = (named or numbered or left)[0]
        left.remove(number)
        shape = tuple(sources[number]["shape"])
        if one.shape != shape and one.ndim > 2:
            one = np.moveaxis(one, 1, -1)
        found.append((number, one))
    return found


def _stored(one: Any, source: Any) -> Any:
    scale, zero_point = source["quantization"]
    dtype = source["dtype"]
    if scale and one.dtype.kind == "f":
        limits = np.iinfo(dtype)
        one = np.clip(np.round(one / np.float32(scale)) + zero_point, limits.min, limits.max)
    return np.ascontiguousarray(one).astype(dtype)


def _plain(stored: Any, sink: Any) -> Any:
    scale, zero_point = sink["quantization"]
    return (stored.astype(np.float32) - zero_point) * np.float32(scale) if scale else stored
