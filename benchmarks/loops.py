"""The two loops that are compared, behind one interface: edgebench's worker process, and a native C program."""

from __future__ import annotations

import array
import base64
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from benchmarks import binding_loop, models
from benchmarks.models import Model
from device_agents.python.process import ModelWorkerProcess
from edgebench.errors import MissingPackage, UserError

THREADS = 1
TIMEOUT_S = 120.0
_NATIVE = Path(__file__).parent / "native"
_LIBRARIES = {
    "onnxruntime": ("onnxruntime", "capi/libonnxruntime.so*", "ort_loop.c"),
    "litert": ("ai_edge_litert", "libLiteRt.so", "litert_loop.c"),
    "openvino": ("openvino", "libs/libopenvino_c.so*", "openvino_loop.c"),
}


class Loop(Protocol):
    outputs: list[float]
    """What the model answers to its input file, real values."""

    def time(self, count: int) -> list[int]:
        """`count` latencies of one inference, in ns."""

    def close(self) -> None: ...


class WorkerLoop:
    """edgebench's own: the worker process of the agent, started and asked as a job does it."""

    def __init__(self, model: Model, folder: Path) -> None:
        options = {"threads": THREADS, "device": "cpu"}
        self._worker = ModelWorkerProcess(folder / "worker.stderr", {"OMP_NUM_THREADS": str(THREADS)})
        try:
            self._worker.ask("runtime", TIMEOUT_S, name=model.runtime, folder="", options=options)
            self._worker.ask("load", TIMEOUT_S, path=str(model.path), options=options)
            answer = self._worker.ask("golden", TIMEOUT_S, inputs=[str(model.input_path)], count=1)
        except BaseException:
            self._worker.close()
            raise
        self.outputs = array.array("f", base64.b64decode(answer["outputs"][0][1])).tolist()

    def time(self, count: int) -> list[int]:
        _, line = self._worker.time(TIMEOUT_S, count=count, block=1)
        values: list[int] = json.loads(line)["values_ns"]
        return values

    def close(self) -> None:
        self._worker.close()


class NativeLoop:
    """A C program around the library of the same wheel; native/timed_loop.h says how it is spoken to. For a wheel that
    holds none (ncnn links it into its module), a bare loop over its binding in Python.
    """

    def __init__(self, model: Model, folder: Path) -> None:
        self._stderr_path = folder / "native.stderr"
        with self._stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                [*_command(model.runtime), str(model.path), str(THREADS), str(model.input_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        ready, _version, *outputs = self._line().split()
        assert ready == "ready"
        self.outputs = [float(word) for word in outputs]

    def time(self, count: int) -> list[int]:
        assert self._process.stdin
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return [int(word) for word in self._line().split()]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            self.close()
            raise RuntimeError(f"the native loop ended: {self._stderr_path.read_text(errors='replace')[-500:]}")
        return line


def _command(runtime: str) -> list[str]:
    if runtime in binding_loop.LOOPS:
        return [sys.executable, "-m", "benchmarks.binding_loop", runtime]
    return [str(compile_loop(runtime)), str(library(runtime))]


def compile_loop(runtime: str) -> Path:
    """The program for a runtime, compiled if it has not been from these sources."""
    gcc = shutil.which("gcc")
    if gcc is None:
        raise UserError("native loop", "there is no gcc on this machine", "Install it (apt: gcc libc6-dev)")
    source = _NATIVE / _LIBRARIES[runtime][2]
    digest = hashlib.sha256(source.read_bytes() + (_NATIVE / "timed_loop.h").read_bytes()).hexdigest()
    program = models.folder() / f"{source.stem}-{digest[:12]}"
    if not program.exists():
        partial = program.with_name(f"part-{program.name}")
        command = [gcc, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(partial), str(source), "-ldl"]
        compiled = subprocess.run(command, capture_output=True, text=True)
        if compiled.returncode:
            raise UserError("native loop", f"gcc failed: {compiled.stderr.strip()}", f"Try: {' '.join(command)}")
        partial.replace(program)
    return program


def library(runtime: str) -> Path:
    """The shared library inside the installed wheel, found without importing it."""
    package, pattern, _source = _LIBRARIES[runtime]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage("native loop", package, "runtimes")
    found = sorted(Path(spec.submodule_search_locations[0]).glob(pattern))
    if not found:
        raise UserError("native loop", f"this build of {package} has no {pattern}", f"pip install -U {package}")
    return found[0]
