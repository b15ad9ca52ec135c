"""inspect: what is in an .onnx, .tflite or .pte file, whatever made it.

    main process                       hash, bundle beside it ─────────────┬─ put together
    one process: read the file         versions, layers, MACs, memory ─────┤
    one process: load and run it       does it run; what runs as integers ─┤
    one process: run it beside fp32    error of each layer ────────────────┘  (files of a bundle that has both)

An untrusted file can crash native code, but then only a worker process dies. If that is the first one, the file cannot
be inspected.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
from msgspec.structs import replace

from edgebench import modelfile
from edgebench.analysis.verdict import failures
from edgebench.device import local_artifacts
from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.files.plain_text import plain_excerpt
from edgebench.modelfile import ModelFile, feeding
from edgebench.modelfile.feeding import Feeding, InputRequest
from edgebench.progress import Progress, Silent
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact
from edgebench.schema.inspection import Errors, Format, Inspection, LoadedBy, Looked, NetworkInFile, RunsAs, as_run
from exporters.inspect import GoldenInputs, LookTask, Sibling
from exporters.workers.process import Failed, WorkerPool, at_once

LARGEST_FILE_BYTES = 2**31 - 1  # both formats end there; what is larger keeps its weights beside it
_PACKAGES = {
    "onnx": (("onnx", "export"), ("onnxruntime", "runtimes")),
    "tflite": (("ai_edge_litert", "runtimes"),),
    "executorch": (),
}


@dataclass(frozen=True)
class Known:
    """What the bundle in the file's folder says about it. sibling: the file to compare its layers with."""

    artifact: Artifact | None = None
    source: dict[str, str] = field(default_factory=dict)
    sibling: Sibling | None = None
    remarks: tuple[str, ...] = ()


def inspect(
    path: Path,
    *,
    shape: tuple[int, ...] = (),
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Inspection:
    """Inspect one file. If its runtime rejects it, that is a remark.

    Args:
        path: An .onnx, .tflite or .pte file.
        shape: The shape of its first input, if the file leaves sizes open (.onnx only).
        shapes: Shapes by input name.
        progress: Where to report progress.

    Raises:
        UserError: If the content of the file is not what its name says.
    """
    sizes = {**({"": shape} if shape else {}), **(shapes or {})}
    loose, model = _checked(path, sizes)
    declared = _declared(path, model, sizes)
    sizes = {**declared.shapes, **sizes}
    format_ = cast(Format, loose.format)
    known = known_of(path, loose.content.sha256)
    with (
        tempfile.TemporaryDirectory(prefix="edgebench-inspect-") as scratch,
        progress.step(f"Inspecting {path.name}"),
    ):
        workers = WorkerPool(Path(scratch))
        task = LookTask(str(path.absolute()), format_, "read", scratch, sizes, known.sibling)
        network = _read(path, workers, task)
        loaded = _load(workers, task)
        errors, broken = _compare(workers, task) if known.sibling else (Errors({}, 0), ())
    remarks = [*known.remarks, *declared.remarks, *network.remarks, *_quietly_quantised(network, loaded), *broken]
    if loaded.problem:
        why = failures.of_words(loaded.problem)
        problem = f"{why.seen}. {why.remedy}" if why.kind != "unknown" else loaded.problem
        remarks.append(f"{loaded.runtime} does not run it: {problem}")
    return Inspection(
        file=plain_excerpt(path.name),
        format=format_,
        size_bytes=loose.content.size_bytes,
        sha256=loose.content.sha256,
        companions=loose.companions,
        runtime=loaded.runtime,
        network=replace(_joined(network, loaded, errors), remarks=tuple(remarks)),
        artifact=known.artifact,
        source=known.source,
        compared_images=errors.images,
    )


def contents(paths: Sequence[Path], progress: Progress) -> list[NetworkInFile | None]:
    """What is in each file, read but neither loaded nor run; None for one that cannot be read."""

    def read(path: Path) -> NetworkInFile | None:
        try:
            loose, _ = _checked(path, {})
            task = LookTask(str(path.absolute()), cast(Format, loose.format), "read", scratch, {}, None)
            return _read(path, workers, task)
        except UserError:
            return None

    with (
        tempfile.TemporaryDirectory(prefix="edgebench-inspect-") as scratch,
        progress.step(f"Reading {len(paths)} file{'s' * (len(paths) != 1)}"),
        ThreadPoolExecutor(at_once()) as readers,
    ):
        workers = WorkerPool(Path(scratch))
        return list(readers.map(read, paths))


def as_json(found: Inspection) -> bytes:
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def known_of(path: Path, sha256: str) -> Known:
    """Empty unless the bundle.json beside the file lists its content; a damaged bundle becomes a remark."""
    if not (path.parent / "bundle.json").is_file():
        return Known()
    try:
        made = bundle.load(path.parent)
    except BadFile as error:
        return Known(remarks=(plain_excerpt(f"the bundle in its folder is not used: {error}"),))
    artifact = next((one for one in made.artifacts if one.content.sha256 == sha256), None)
    if artifact is None:
        return Known(remarks=("the bundle in its folder does not list it",))
    siblings = [one for one in made.artifacts if one.format == artifact.format and one.precision == "fp32"]
    sibling = None
    if siblings and siblings[0] != artifact:
        inputs, own = _golden(path.parent, siblings[0]), _golden(path.parent, artifact)
        if inputs and own:
            sibling = Sibling(str((path.parent / siblings[0].content.file).absolute()), inputs, own)
    return Known(artifact, made.source, sibling)


def _checked(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Artifact, ModelFile | None]:
    """Refuses what can be refused before a process is started; returns the file with the other files of its weights."""
    loose = bundle.loose_artifact(path)
    if loose.format not in _PACKAGES:
        raise BadFile(str(path), f"inspect does not read '{path.suffix}' files", "Give an .onnx, .tflite or .pte file")
    if shapes and loose.format != "onnx":
        raise UserError(
            "--shape", f"has no effect on {path.suffix} files, which are stored with all sizes", "Leave it out"
        )
    if not 0 < loose.content.size_bytes <= LARGEST_FILE_BYTES:
        raise BadFile(
            str(path),
            f"its size is {loose.content.size_bytes:,} bytes; such a file has from 1 to {LARGEST_FILE_BYTES:,}",
            "Export it again; ONNX stores larger weights in a separate file",
        )
    for package, extra in _PACKAGES[loose.format]:
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(f"inspecting {path.suffix} files", package, extra)
    model = modelfile.read(path)
    try:
        return local_artifacts.whole(path, loose, model) if model else loose, model
    except BadFile:
        return loose, model  # the rest of it can be inspected; what is missing becomes a remark


def _declared(path: Path, model: ModelFile | None, given: Mapping[str, tuple[int, ...]]) -> Feeding:
    """The sizes that an .onnx file leaves open, if its metadata determine all of them."""
    if model is None or given or path.suffix != ".onnx":
        return Feeding()
    try:
        settled = feeding.settle(path, model, InputRequest())
    except UserError:
        return Feeding()
    return settled if settled.remarks else Feeding()


def _golden(folder: Path, artifact: Artifact) -> GoldenInputs | None:
    golden = artifact.golden
    if golden is None or len(artifact.inputs) != 1:
        return None
    (spec,) = artifact.inputs
    (file,) = golden.inputs
    return GoldenInputs(str((folder / file.file).absolute()), golden.count, spec.shape, spec.dtype)


def _read(path: Path, workers: WorkerPool, task: LookTask) -> NetworkInFile:
    try:
        return cast(NetworkInFile, workers.look(task))
    except Failed as failure:
        raise BadFile(
            str(path), f"cannot be read ({plain_excerpt(failure.seen)})", "Do not load it anywhere else either"
        ) from failure


def _load(workers: WorkerPool, task: LookTask) -> LoadedBy:
    try:
        return cast(LoadedBy, workers.look(replace(task, step="load")))
    except Failed as failure:
        runtime = {"onnx": "onnxruntime", "tflite": "LiteRT", "executorch": "ExecuTorch"}[task.format]
        return LoadedBy(runtime, f"{plain_excerpt(failure.seen)}: the file crashes whatever loads it")


def _compare(workers: WorkerPool, task: LookTask) -> tuple[Errors, tuple[str, ...]]:
    """The errors of its layers; and if there are none, why."""
    try:
        found: Looked = workers.look(replace(task, step="compare"))
        return cast(Errors, found), ()
    except Failed as failure:
        return Errors({}, 0), (f"its layers cannot be compared with the float32 file's: {plain_excerpt(failure.seen)}",)


def _joined(network: NetworkInFile, loaded: LoadedBy, errors: Errors) -> NetworkInFile:
    """The layers as stored in the file, with how the runtime runs them and their errors."""
    memory = network.memory
    if memory and loaded.arena_bytes:
        memory = replace(memory, arena_bytes=loaded.arena_bytes)
    layers = tuple(replace(as_run(layer, loaded), sqnr_db=errors.sqnr_db.get(layer.number)) for layer in network.layers)
    return replace(network, layers=layers, memory=memory)


def _quietly_quantised(network: NetworkInFile, loaded: LoadedBy) -> list[str]:
    """Weights that are float in the file, but that the runtime rounds to integers because everything around them is."""
    found = [
        layer.name
        for layer in network.layers
        if layer.macs and not layer.scales and loaded.runs_as.get(layer.number, RunsAs("", False)).integer
    ]
    return [f"{loaded.runtime} runs as integers what is float in the file: {', '.join(found)}"] if found else []
