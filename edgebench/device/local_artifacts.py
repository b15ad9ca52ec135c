"""Artifacts on this machine that are sent to a device: of bundles or loose files, with all parts and their inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec

from edgebench import modelfile
from edgebench.errors import BadFile, UserError
from edgebench.files.plain_text import plain_excerpt
from edgebench.modelfile import ModelFile, feeding
from edgebench.modelfile.feeding import Feeding, InputRequest
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact, FileRef


@dataclass(frozen=True)
class LocalArtifact:
    """An artifact and the folder of its files. model: what its file says of itself; None for formats not parsed.

    golden_folder: where its golden files are, if they are not beside it.
    """

    artifact: Artifact
    folder: Path
    feeding: Feeding = Feeding()
    model: ModelFile | None = None
    golden_folder: Path | None = None

    def path(self, ref: FileRef) -> Path:
        """Where one of its files is."""
        is_model = ref in bundle.model_files(self.artifact)
        return (self.folder if is_model or self.golden_folder is None else self.golden_folder) / ref.file


# Custom operators in every build of LiteRT, and those of MediaPipe in XNNPACK.
_ALWAYS_AVAILABLE = (
    *("TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram"),
    *("Convolution2DTransposeBias", "MaxPoolingWithArgmax2D", "MaxUnpooling2D"),
)


def artifacts_at(paths: Iterable[Path], wanted: InputRequest = InputRequest()) -> list[LocalArtifact]:  # noqa: B008  (it has no state)
    """The artifacts of bundles (folders) and of loose model files: every file checked, every name unique.

    Raises UserError for a file that is not a model, lacks a part, or leaves open what its inputs are.
    """
    found: list[tuple[LocalArtifact, ModelFile | None]] = []
    for path in paths:
        if path.is_dir():
            for artifact in bundle.load(path).artifacts:
                model = modelfile.read(path / artifact.content.file)
                _check_parts(path, artifact, model)
                found.append((LocalArtifact(artifact, path, model=model), model))
        else:
            found.append(_loose(path))
    looked_into = [model for _, model in found if model]
    if len(looked_into) == len(found):
        feeding.refuse_unused(wanted, looked_into)
    return _with_unique_names([_fed(one, model, wanted) for one, model in found])


def _check_parts(folder: Path, artifact: Artifact, model: ModelFile | None) -> None:
    """Raises BadFile for an artifact with external weights that the bundle does not list."""
    named = {PurePosixPath(bundle.location(artifact, ref)) for ref in artifact.companions}
    for location in model.external if model else ():
        if PurePosixPath(location) not in named:
            raise BadFile(
                str(folder), f"the weights of {artifact.name} are in {location}, which bundle.json does not name",
                "Export it again with `edgebench export`",
            )  # fmt: skip


def whole(path: Path, artifact: Artifact, model: ModelFile) -> Artifact:
    """The artifact of a loose file with the files of its external weights. Raises BadFile if one is missing."""
    others = modelfile.companions(path, model)
    refs = [msgspec.structs.replace(bundle.file_ref(one.path.parent, one.path), file=one.location) for one in others]
    return msgspec.structs.replace(artifact, companions=tuple(refs))


def check_runtime(local: LocalArtifact, runtime: str) -> None:
    """Raises UserError if the runtime cannot run the artifact."""
    artifact = local.artifact
    if artifact.companions and runtime.endswith("-web"):
        raise UserError(
            artifact.name,
            f"its weights are in {artifact.companions[0].file}, and a page in a browser loads only one file",
            "Put them into the .onnx file: onnx.save(onnx.load(FILE), OTHER_FILE)",
        )
    operators = local.model.custom if local.model else ()
    custom = [name for name in operators if name not in _ALWAYS_AVAILABLE]
    if custom and runtime == "litert-web":
        # Seen with @litertjs/core 2.5.3: it loads such models, and times them without running these operators.
        raise UserError(
            artifact.name,
            f"{plain_excerpt(custom[0])} is a custom operator, which LiteRT in a browser times without running it",
            "Export the network without it, or measure it on the phone over adb with `agent: native`",
        )


def check_test_set(local: LocalArtifact) -> None:
    """Raises UserError if --shape asks for other inputs than the images of the test set."""
    if not _fits(local.artifact, local.feeding):
        raise UserError(
            "--accuracy", f"--shape gives {local.artifact.name} other sizes than those of its test images",
            "Leave --shape out",
        )  # fmt: skip


def _fits(artifact: Artifact, fed: Feeding) -> bool:
    """Whether the inputs have the sizes that the file was exported for."""
    return all(fed.shapes.get(one.name, one.shape) == one.shape for one in artifact.inputs)


def _loose(path: Path) -> tuple[LocalArtifact, ModelFile | None]:
    artifact = bundle.loose_artifact(path)
    model = modelfile.read(path)
    if model is None:
        return LocalArtifact(artifact, path.parent), None
    return LocalArtifact(whole(path, artifact, model), path.parent, model=model), model


def _fed(local: LocalArtifact, model: ModelFile | None, wanted: InputRequest) -> LocalArtifact:
    path = local.folder / local.artifact.content.file
    if model is None:
        # Only its runtime knows its inputs.
        return replace(local, feeding=Feeding(dict(wanted.shapes)))
    settled = feeding.settle(path, model, wanted)
    artifact = local.artifact
    if artifact.golden is None or _fits(artifact, settled):
        return replace(local, feeding=settled)
    # Golden inputs have the size that the file was exported for.
    remark = f"{artifact.name}: its golden inputs have other sizes than --shape; its outputs are not checked"
    unchecked = msgspec.structs.replace(artifact, golden=None)
    return replace(local, artifact=unchecked, feeding=replace(settled, remarks=(*settled.remarks, remark)))


def _with_unique_names(found: Sequence[LocalArtifact]) -> list[LocalArtifact]:
    """Records are named after artifacts: a second artifact of the same name gets a number."""
    seen: dict[str, int] = {}
    unique = []
    for local in found:
        name = local.artifact.name
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            renamed = msgspec.structs.replace(local.artifact, name=f"{name}-{seen[name]}")
            local = replace(local, artifact=renamed)
        unique.append(local)
    return unique
