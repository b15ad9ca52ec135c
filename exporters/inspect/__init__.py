"""Inspecting any .onnx, .tflite or .pte file. Runs in worker processes: an untrusted file may crash its reader.

onnx_*.py and tflite_*.py handle one format each: *_reader.py turns a file into a Graph (graph.py), and *_runs.py loads
and runs it; counting.py and hints.py describe what is in a Graph. pte_file.py does all for its own. Data files that the
inspected file names outside its own folder are not read.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Literal

import msgspec

from edgebench.schema.inspection import Errors, Format, Looked

MOST_SECONDS = 300


class GoldenInputs(msgspec.Struct, frozen=True):
    """`count` images of `shape` [1, ...], raw, in the dtype and layout of the file they are for."""

    file: str
    count: int
    shape: tuple[int, ...]
    dtype: str


class Sibling(msgspec.Struct, frozen=True):
    """The float32 file of the same network with its golden inputs; own: the same images for the inspected file."""

    artifact: str
    inputs: GoldenInputs
    own: GoldenInputs


class LookTask(msgspec.Struct, frozen=True):
    """step: read the file, load it in its runtime, or compare its layers with those of its sibling.

    shapes: of inputs whose sizes the file leaves open; "" is the first input. scratch: a folder for temporary files.
    """

    artifact: str
    format: Format
    step: Literal["read", "load", "compare"]
    scratch: str
    shapes: dict[str, tuple[int, ...]] = {}
    sibling: Sibling | None = None


def look(task: LookTask) -> Looked:
    """Raises UserError for a file that is not what its name says."""
    limit_this_process()
    path = Path(task.artifact)
    if task.format == "executorch":
        from exporters.inspect import pte_file

        if task.step == "compare":
            return Errors({}, 0)  # its layers have no names
        return pte_file.read(path) if task.step == "read" else pte_file.load(path)
    if task.step == "read":
        from exporters.inspect import counting, onnx_reader, tflite_reader

        if task.format == "onnx":
            return counting.network(onnx_reader.read(path, task.shapes), onnx_reader.quantisable())
        return counting.network(tflite_reader.read(path), tflite_reader.quantisable())
    from exporters.inspect import onnx_runs, tflite_runs

    if task.step == "load":
        if task.format == "onnx":
            return onnx_runs.load(path, Path(task.scratch), task.shapes)
        return tflite_runs.load(path)
    assert task.sibling is not None
    if task.format == "onnx":
        return onnx_runs.compare(path, task.sibling)
    return tflite_runs.compare(path, task.sibling)


def limit_this_process() -> None:
    """Limit processor time, and memory to three quarters: a few bytes may ask for terabytes."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    for limited, most in ((resource.RLIMIT_CPU, MOST_SECONDS), (resource.RLIMIT_DATA, memory_bytes)):
        _, allowed = resource.getrlimit(limited)
        resource.setrlimit(limited, (most if allowed == resource.RLIM_INFINITY else min(most, allowed), allowed))
