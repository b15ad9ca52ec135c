"""ncnn: a .param file and the .bin file with its weights, made of an .onnx file by pnnx.

pnnx's program is run by itself: it needs no torch, and what it dies of does not reach anything else. INT8 is not made:
ncnn's own quantiser is in no package.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from device_agents.python.runtimes import _ncnn_param
from device_agents.python.runtimes import ncnn as runtime
from edgebench.errors import UserError
from edgebench.schema.bundle import Precision, TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConversionJob, ConvertedFile, OpenedArtifact, onnx
from exporters.sources import device_session
from exporters.sources.programs import REMEDY, run_converter

FORMAT = "ncnn"
SUFFIX = ".param"
COMPANIONS = (".bin",)
SOURCES = ("checkpoint", "module", "onnx")
PRECISIONS = ("fp32", "fp16")
PACKAGES = ("onnx", "onnxruntime", "pnnx", "ncnn")
EXTRA = "ncnn"
BY_DEFAULT = False

_HALF = "weights in half precision; ncnn computes in it where the processor can, in fp32 elsewhere"
# What pnnx calls the dtypes of inputs.
_KINDS = {"float32": "f32", "float16": "f16", "int64": "i64", "int32": "i32", "uint8": "u8", "bool": "bool"}
_PLAIN = re.compile(r"[\w./:-]{1,200}")
# What it says of operators that it copies without a meaning.
_LEFT = re.compile(r"^todo (\S+)", re.MULTILINE)
_BATCH = re.compile(r'input\("in(\d+)".*batch_index=(\d+)')


def warm() -> None:
    onnx.warm()


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    float32 = onnx.float32_of(job)
    for precision in job.precisions:
        out = Path(job.folder) / f"ncnn-{precision}{SUFFIX}"
        _pnnx(float32, out, job, precision)
        yield ConvertedFile(precision, str(out), notes={"arithmetic": _HALF} if precision == "fp16" else {})


def _pnnx(source: Path, out: Path, job: ConversionJob, precision: Precision) -> None:
    """In a folder of its own, for the seven other files that pnnx writes beside these two."""
    from importlib import metadata

    program = metadata.distribution("pnnx").locate_file("pnnx/pnnx")
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        shutil.copyfile(source, Path(folder) / "net.onnx")
        sizes = ",".join(f"[{','.join(map(str, one.shape))}]{_KINDS.get(one.dtype, 'f32')}" for one in job.inputs)
        half = "fp16=1" if precision == "fp16" else "fp16=0"
        said = run_converter("pnnx", [str(program), "net.onnx", half, f"inputshape={sizes}"], Path(folder))
        if left := sorted(set(_LEFT.findall(said))):
            raise UserError("pnnx", f"it does not know how to convert {', '.join(left)}", REMEDY)
        param, weights = Path(folder) / "net.ncnn.param", Path(folder) / "net.ncnn.bin"
        if not param.is_file() or not weights.is_file():
            raise UserError("pnnx", "it ended without writing an ncnn network", REMEDY)
        text = param.read_text()
        script = Path(folder) / "net_ncnn.py"
        _refuse_unknown(text)
        out.write_text(_described(text, job, script.read_text() if script.is_file() else ""))
        shutil.move(weights, out.with_suffix(".bin"))


def _refuse_unknown(text: str) -> None:
    """What ncnn has nothing of, pnnx writes down as layers of their own names. Raises UserError."""
    import ncnn

    try:
        kinds = {one.kind for one in _ncnn_param.layers(text)}
    except ValueError as error:
        raise UserError("pnnx", f"what it wrote is not a network of ncnn ({error})", REMEDY) from error
    unknown = sorted(kind for kind in kinds if ncnn.create_layer(kind) is None)
    if unknown:
        raise UserError("ncnn", f"it has no layers for {', '.join(unknown)}", REMEDY)


def _described(text: str, job: ConversionJob, script: str) -> str:
    """With the network's own names of inputs and outputs, and the sizes of its inputs, which pnnx leaves out.

    script: pnnx's example, which says which axis of an input is the batch.
    """
    batch = {int(place): int(axis) for place, axis in _BATCH.findall(script)}
    names = _names(text, [f"in{place}" for place in range(len(job.inputs))], job.inputs)
    names |= _names(text, [f"out{place}" for place in range(len(job.outputs))], job.outputs)
    sizes = {
        names.get(f"in{place}", f"in{place}"): [
            size for axis, size in enumerate(spec.shape) if axis != batch.get(place, -1)
        ]
        for place, spec in enumerate(job.inputs)
    }
    lines = text.split("\n")
    for number, line in enumerate(lines[2:], 2):
        words = line.split()
        if not words:
            continue
        blobs = int(words[2]) + int(words[3])
        words[4 : 4 + blobs] = [names.get(name, name) for name in words[4 : 4 + blobs]]
        if words[0] == "Input" and words[4] in sizes:
            words[5:] = _settings(sizes[words[4]])
        lines[number] = " ".join(words)
    return "\n".join(lines)


def _names(text: str, given: Sequence[str], specs: Sequence[TensorSpec]) -> dict[str, str]:
    """{pnnx's name: the network's}, of those that may be in such a file and are not in it yet."""
    taken = set(text.split())
    return {
        name: spec.name
        for name, spec in zip(given, specs, strict=True)
        if _PLAIN.fullmatch(spec.name) and spec.name not in taken
    }


def _settings(sizes: Sequence[int]) -> list[str]:
    """Of a layer Input: width, height, depth and channels are numbers 0, 1, 11 and 2."""
    keys = {1: ("0",), 2: ("1", "0"), 3: ("2", "1", "0"), 4: ("2", "11", "1", "0")}.get(len(sizes), ())
    return [f"{key}={size}" for key, size in zip(keys, sizes, strict=False)]


def open_artifact(path: Path) -> OpenedArtifact:
    import ncnn

    return device_session.opened(runtime, path, f"ncnn {ncnn.__version__} CPU")


def open_for_batches(path: Path, out: Path) -> None:
    """None: ncnn has no batch."""


def fold(path: Path, out: Path, preprocessing: Preprocessing) -> str:
    raise UserError("--fold-preprocessing", "an ncnn network takes no images of bytes", "Leave ncnn out of --formats")
