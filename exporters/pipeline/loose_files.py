"""Golden inputs for a model file that was not exported here: the user's own, with the answers of the same runtime here.

The file is its own reference: what is checked is that a device answers as this machine does.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.device.local_artifacts import LocalArtifact
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.files.plain_text import plain_excerpt
from edgebench.modelfile import Input, given_inputs
from edgebench.progress import Progress, Silent
from edgebench.schema import tensors
from edgebench.schema.bundle import Golden, TensorSpec
from exporters.arithmetic import feeds
from exporters.pipeline import golden
from exporters.workers.messages import RunTask
from exporters.workers.process import Failed, WorkerPool

if TYPE_CHECKING:
    from exporters.workers.messages import RunResult

# What runs a format on this machine.
LIBRARIES = {"onnx": "onnxruntime", "tflite": "ai_edge_litert", "torch": "torch"}
# Allowed between this machine and a device: as for fp16 files, and for those with 8-bit arithmetic.
MAX_RELATIVE_ERROR = golden.MAX_RELATIVE_ERROR["fp16"]
MAX_RELATIVE_ERROR_INT8 = golden.MAX_RELATIVE_ERROR["int8"]
EIGHT_BITS = (b"QuantizeLinear", b"QLinear", b"ConvInteger", b"MatMulInteger")


def with_inputs(
    wanted: Sequence[LocalArtifact],
    path: Path,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> list[LocalArtifact]:
    """Every file that has no golden inputs, with those of the user's .npz file.

    Raises UserError for arrays that do not fit a file, and if all files have golden inputs of their own.
    """
    if all(one.artifact.golden is not None for one in wanted):
        raise UserError("--inputs", "the files come with golden inputs of their own", "Leave it out")
    with (
        tempfile.TemporaryDirectory(prefix="edgebench-inputs-") as folder,
        closing(WorkerPool(Path(folder))) as workers,
    ):
        return [
            one if one.artifact.golden is not None else _checked(one, path, Path(folder), workers, progress)
            for one in wanted
        ]


def _checked(local: LocalArtifact, path: Path, folder: Path, workers: WorkerPool, progress: Progress) -> LocalArtifact:
    artifact = local.artifact
    if local.model is None or local.feeding.signature:
        why = (
            "--signature is given" if local.model else "its inputs can only be read from .onnx, .tflite and .pt2 files"
        )
        raise UserError("--inputs", f"{artifact.name} cannot be given any: {why}", "Leave it out")
    inputs = tuple(_spec(one, local.feeding.shapes.get(one.name)) for one in local.model.inputs)
    given = given_inputs.read(path, inputs, artifact.name)
    count = min(given.count, golden.count(inputs))
    stored = [tensors.quantised(given.arrays[spec.name][:count], spec) for spec in inputs]
    found, why = _answers(local, inputs, stored, folder, workers)
    beside = cache.folder() / "golden-inputs" / artifact.sha256[:16]
    with cache.writing():
        beside.mkdir(parents=True, exist_ok=True)
        written = golden.write(beside, artifact.name, "fp16", stored=stored, expected=found, reference=())
    allowed = _allowed(local, inputs)
    kept = Golden(count, written.inputs, (), written.expected, (allowed,) * len(found))
    used = f"{count} of {given.count} samples" if count < given.count else f"{count} sample{'s' if count > 1 else ''}"
    said = f"{artifact.name}: {used} of {path.name}"
    if why:
        progress.say(f"{said} are fed; its answers are not checked: {why}")
    else:
        runtime = f"{LIBRARIES[artifact.format]} on this machine"
        progress.say(f"{said}; each of its {len(found)} outputs is compared with what {runtime} answers")
    return replace(local, artifact=msgspec.structs.replace(artifact, golden=kept), golden_folder=beside)


def _spec(one: Input, shape: tuple[int, ...] | None) -> TensorSpec:
    sizes = shape or tuple(size if isinstance(size, int) else 1 for size in one.shape or ())
    return TensorSpec(one.name, sizes, one.dtype, "any", one.scale, one.zero_point)


def _answers(
    local: LocalArtifact, inputs: tuple[TensorSpec, ...], stored: Sequence[Any], folder: Path, workers: WorkerPool
) -> tuple[list[Any], str]:
    """Of the file here, for each output [N, ...]; or why there are none."""
    import numpy as np

    artifact = local.artifact
    library = LIBRARIES.get(artifact.format, "")
    if not library or importlib.util.find_spec(library) is None:
        return [], f"{library or 'its runtime'} is not installed here"
    samples, out = folder / f"{artifact.name}{feeds.ARRAYS}", folder / f"{artifact.name}.answers{feeds.ARRAYS}"
    feeds.write(samples, stored)
    file = str((local.folder / artifact.content.file).absolute())
    plain = tuple(msgspec.structs.replace(spec, scale=None, zero_point=None) for spec in inputs)
    task = RunTask(file, str(samples), None, str(out), network=plain, fed=plain, one_by_one=True)
    try:
        ran: RunResult = workers.run(artifact.format, task)
    except (Failed, UserError) as failure:
        seen = failure.seen if isinstance(failure, Failed) else f"{failure.where}: {failure.seen}"
        return [], f"this machine cannot run it like this ({plain_excerpt(seen[:200])})"
    found = feeds.read(out)
    if not all(np.isfinite(one).all() for one in found):
        return [], "some of its answers here are not numbers"
    if ran.repeat_error > MAX_RELATIVE_ERROR:
        return [], "it answers differently each time here: it keeps a state, or draws at random"
    return found, ""


def _allowed(local: LocalArtifact, inputs: Sequence[TensorSpec]) -> float:
    content = (local.folder / local.artifact.content.file).read_bytes()
    outputs = local.model.outputs if local.model is not None else ()
    scales = [*(one.scale for one in inputs), *(one.scale for one in outputs)]
    is_int8 = any(scale is not None for scale in scales) or any(name in content for name in EIGHT_BITS)
    return MAX_RELATIVE_ERROR_INT8 if is_int8 else MAX_RELATIVE_ERROR
