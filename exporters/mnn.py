"""MNN: float32, or weights in half precision, made of an .onnx file by MNN's converter without its console script.

INT8 is not made: MNN reads no quantised .onnx file, and its `weightQuantBits` changes only how weights are stored.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from device_agents.python.runtimes import mnn as runtime
from edgebench.errors import UserError
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConversionJob, ConvertedFile, OpenedArtifact, onnx
from exporters.sources import device_session
from exporters.sources.programs import REMEDY, run_converter

FORMAT = "mnn"
SUFFIX = ".mnn"
SOURCES = ("checkpoint", "module", "onnx")
PRECISIONS = ("fp32", "fp16")
PACKAGES = ("onnx", "onnxruntime", "_mnncengine")
EXTRA = "mnn"
BY_DEFAULT = False

_CONVERTER = Path(__file__).with_name("_mnn_converter.py")
_HALF = "weights in half precision; MNN computes in it where the processor can, in fp32 elsewhere"


def warm() -> None:
    onnx.warm()


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    float32 = onnx.float32_of(job)
    for precision in job.precisions:
        out = Path(job.folder) / f"mnn-{precision}{SUFFIX}"
        command = [sys.executable, "-I", str(_CONVERTER), "-f", "ONNX", "--modelFile", str(float32.absolute())]
        command += ["--MNNModel", str(out.absolute()), "--bizCode", "edgebench"]
        said = run_converter("MNN's converter", [*command, *(["--fp16"] if precision == "fp16" else [])], out.parent)
        if not out.is_file() or not out.stat().st_size:
            raise UserError("MNN's converter", _why(said), REMEDY)
        yield ConvertedFile(precision, str(out), notes={"arithmetic": _HALF} if precision == "fp16" else {})


def _why(said: str) -> str:
    for line in said.splitlines():
        if "not support" in line.lower() or "error" in line.lower():
            return f"it wrote no file ({line.strip()[:200]})"
    return "it wrote no file"


def open_artifact(path: Path) -> OpenedArtifact:
    import _mnncengine

    return device_session.opened(runtime, path, f"MNN {_mnncengine.version()} CPU")


def open_for_batches(path: Path, out: Path) -> None:
    """None: a converted network has the batch that it was converted with."""


def fold(path: Path, out: Path, preprocessing: Preprocessing) -> str:
    raise UserError("--fold-preprocessing", "an MNN network is not changed after its conversion", "Leave it out")
