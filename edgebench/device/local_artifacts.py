"""What is sent to a device: artifacts of bundles and loose files, all of their parts, and how they are fed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec

from edgebench import modelfile
from edgebench.errors import BadFile, UserError
from edgebench.files.plain_text import plain_excerpt
from edgebench.modelfile import ModelFile, feeding
from edgebench.modelfile.feeding import Feeding, Wish
from edgebench.schema import bundle
from edgebench.schema.bundle import Artifact


@dataclass(frozen=True)
class LocalArtifact:
    """An artifact and the folder its files are in. custom: operators that its runtime may not have."""

    artifact: Artifact
    folder: Path
    feeding: Feeding = Feeding()
    custom: tuple[str, ...] = ()


# Custom operators that every build of LiteRT has, and those of MediaPipe that XNNPACK has.
_EVERYWHERE = (
    *("TFLite_Detection_PostProcess", "Mfcc", "AudioSpectrogram"),
    *("Convolution2DTransposeBias", "MaxPoolingWithArgmax2D", "MaxUnpooling2D"),
)


def artifacts_at(paths: Iterable[Path], wanted: Wish = Wish()) -> list[LocalArtifact]:  # noqa: B008  (it has no state)
    """The artifacts of bundles (folders) and of loose model files, every file checked, each name once.

    Raises UserError before anything is sent: for what is no model, lacks a part, or is not known how to be fed.
    """
    found: list[tuple[LocalArtifact, ModelFile | None]] = []
    for path in paths:
        if path.is_dir():
            for artifact in bundle.load(path).artifacts:
                model = modelfile.read(path / artifact.content.file)
                _check_parts(path, artifact, model)
                found.append((LocalArtifact(artifact, path, custom=model.custom if model else ()), model))
        else:
            found.append(_loose(path))
    looked_into = [model for _, model in found if model]
    if len(looked_into) == len(found):
        feeding.refuse_unused(wanted, looked_into)
    return _with_unique_names([_fed(source, model, wanted) for source, model in found])


def _check_parts(folder: Path, artifact: Artifact, model: ModelFile | None) -> None:
    """Raises BadFile for a file of a bundle whose weights are in files that the bundle does not name."""
    named = {PurePosixPath(bundle.location(artifact, ref)) for ref in artifact.companions}
    for location in model.external if model else ():
        if PurePosixPath(location) not in named:
            raise BadFile(
                str(folder), f"the weights of {artifact.name} are in {location}, which bundle.json does not name",
                "Export it again with `edgebench export`",
            )  # fmt: skip


def whole(path: Path, artifact: Artifact, model: ModelFile) -> Artifact:
    """A loose file with the files that its weights are in. Raises BadFile if one is missing."""
    others = modelfile.companions(path, model)
    refs = [msgspec.structs.replace(bundle.file_ref(one.path.parent, one.path), file=one.location) for one in others]
    return msgspec.structs.replace(artifact, companions=tuple(refs))


def refuse_for(runtime: str, source: LocalArtifact) -> None:
    """Raises UserError for what a runtime cannot be given."""
    if source.artifact.companions and runtime.endswith("-web"):
        raise UserError(
            source.artifact.name,
            f"its weights are in {source.artifact.companions[0].file}, and a page in a browser loads one file only",
            "Put them into the .onnx file: onnx.save(onnx.load(FILE), OTHER_FILE)",
        )
    custom = [name for name in source.custom if name not in _EVERYWHERE]
    if custom and runtime == "litert-web":
        # Seen with @litertjs/core 2.5.3: it loads them, and times what it does not run.
        raise UserError(
            source.artifact.name,
            f"its operator {plain_excerpt(custom[0])} is a custom one, which LiteRT in a browser times without running",
            "Export the network without it, or measure it on the phone over adb with `agent: native`",
        )


def refuse_test_set(source: LocalArtifact) -> None:
    """Raises UserError where images of a test set are not what is fed."""
    if not _fits(source.artifact, source.feeding):
        raise UserError(
            "--accuracy", f"{source.artifact.name} is fed other sizes than those of its images", "Leave --shape out"
        )


def _fits(artifact: Artifact, fed: Feeding) -> bool:
    """Whether an exported file is fed what it was exported for."""
    return all(fed.shapes.get(one.name, one.shape) == one.shape for one in artifact.inputs)


def _loose(path: Path) -> tuple[LocalArtifact, ModelFile | None]:
    artifact = bundle.loose_artifact(path)
    model = modelfile.read(path)
    if model is None:
        return LocalArtifact(artifact, path.parent), None
    return LocalArtifact(whole(path, artifact, model), path.parent, custom=model.custom), model


def _fed(source: LocalArtifact, model: ModelFile | None, wanted: Wish) -> LocalArtifact:
    path = source.folder / source.artifact.content.file
    if model is None:
        # Only its runtime knows what it takes.
        return replace(source, feeding=Feeding(dict(wanted.shapes)))
    settled = feeding.settle(path, model, wanted)
    artifact = source.artifact
    if artifact.golden is None or _fits(artifact, settled):
        return replace(source, feeding=settled)
    # Its golden inputs are of the size that it was exported for.
    said = f"{artifact.name}: its golden inputs have other sizes than --shape; its answers are not checked"
    unchecked = msgspec.structs.replace(artifact, golden=None)
    return replace(source, artifact=unchecked, feeding=replace(settled, said=(*settled.said, said)))


def _with_unique_names(found: Sequence[LocalArtifact]) -> list[LocalArtifact]:
    """Records are named after artifacts: a second one of the same name gets a number."""
    seen: dict[str, int] = {}
    unique = []
    for source in found:
        name = source.artifact.name
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            renamed = msgspec.structs.replace(source.artifact, name=f"{name}-{seen[name]}")
            source = replace(source, artifact=renamed)
        unique.append(source)
    return unique
