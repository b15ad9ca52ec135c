"""Bundle and Artifact: what exporters produce and devices run.

A bundle is a folder:

    bundle.json            this file's structures
    onnx-fp32.onnx ...     the artifacts
    golden/                golden inputs, the fp32 reference outputs, each artifact's own outputs on the host

Golden files are raw little-endian numbers, already in the artifact's layout and dtype, so that a
device needs no array library to feed them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import msgspec

from edgebench.errors import BadFile
from edgebench.files import untrusted
from edgebench.files.replacing import write_whole
from edgebench.schema import names
from edgebench.schema.limits import Amount, Bytes, Count, Fraction, LongText, Real, Sha256, Text, Title
from edgebench.schema.preprocessing import Preprocessing

SCHEMA_VERSION = 4
# 1  2026-11  first
# 2  2026-11  failed: formats that could not be made, and why
# 3  2026-11  class_names; preprocessing.geometry
# 4  2026-12  golden: a file for each input and output, a tolerance for each output; parity: each output by itself

Format = Literal["onnx", "tflite", "torch", "ncnn", "mnn", "executorch", "hailo", "rknn", "imx500", "simulated"]
Precision = Literal["fp32", "fp16", "int8", "unknown"]

FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".pt2": "torch",
    ".param": "ncnn",
    ".mnn": "mnn",
    ".pte": "executorch",
    # Of users' own runtimes (docs/npu.md).
    ".hef": "hailo",
    ".rknn": "rknn",
    ".rpk": "imx500",
    ".sim": "simulated",
}

_EXPORT = "Export it first: edgebench export {path}"
_EXPORT_CODE = (
    "It contains weights but no network. Name what creates the network: "
    "edgebench export package.module:callable --weights {path}"
)
_EXPORTED_FROM = {
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".safetensors"), _EXPORT),
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), _EXPORT_CODE),
    ".pb": "Export the SavedModel folder that it is in: edgebench export {path.parent}",
}

_KIND = untrusted.Kind("a bundle", SCHEMA_VERSION, "Export it again with `edgebench export`", 64 * 2**20)
# -1: an axis whose size the file leaves open.
Shape = Annotated[tuple[Annotated[int, msgspec.Meta(ge=-1, le=2**40)], ...], msgspec.Meta(max_length=64)]


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input or output: real value = (stored - zero_point) * scale where a scale is given.

    layout: "any" for what is neither an image nor a row of features: its axes stay as they are.
    folded: it takes raw images, 0 to 255, because the file includes the preprocessing.
    """

    name: Text
    shape: Shape
    dtype: Text
    layout: Literal["NCHW", "NHWC", "NC", "any"]
    scale: Amount | None = None
    zero_point: Annotated[int, msgspec.Meta(ge=-(2**32), le=2**32)] | None = None
    folded: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole: compared by how many are equal, not by how far they are apart."""
        return self.scale is None and (self.dtype == "bool" or "int" in self.dtype)


def raw(spec: TensorSpec) -> TensorSpec:
    """The input of a file with folded preprocessing: plain image bytes, without scale and zero point."""
    return msgspec.structs.replace(spec, folded=True, scale=None, zero_point=None)


# A note of artifacts that were tested on a user's own data: sha256 of the test images and labels.
TEST_SET = "test set sha256"
# A note of artifacts whose parent does not compute in fp32: what it computes in.
PARENT_PRECISION = "parent's precision"


class FileRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the bundle, by its path inside it and its content."""

    file: Text
    sha256: Sha256
    size_bytes: Bytes


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answers that an artifact must give before it is timed.

    inputs: for each of the artifact's inputs `count` samples, in its own dtype and layout.
    reference: for each output the answers of the network it came from, laid out as the artifact's; () without one.
    expected: for each output the artifact's own answers on the host; () if there are none, and nothing is compared.
    Both float32, dequantised, or int64 for whole numbers.
    max_relative_error: for each output, allowed rms(device - expected) / rms(expected), or share of the whole numbers
    that differ.
    """

    count: Count
    inputs: tuple[FileRef, ...]
    reference: tuple[FileRef, ...]
    expected: tuple[FileRef, ...]
    max_relative_error: tuple[Amount, ...]


class OutputParity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One output against the network it came from. share_equal: of whole numbers, which have none of the others.

    cosine: None where it is not known. top1_agreement: None where the output has no axis of classes.
    """

    name: Text
    sqnr_db: Real | None = None
    cosine: Annotated[float, msgspec.Meta(ge=-1.001, le=1.001)] | None = None
    max_abs_diff: Amount | None = None
    top1_agreement: Fraction | None = None
    share_equal: Fraction | None = None


class Parity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Agreement of the artifact with the network it came from, on the host.

    dataset: over its whole test split, with accuracies; "" for inputs without labels: `samples` says which.
    images: how many samples. metric: of boxes, masks, several labels or numbers, its value, and the parent's.
    """

    dataset: Text
    images: Count
    runtime: Text
    outputs: tuple[OutputParity, ...]
    accuracy: Fraction | None = None
    parent_accuracy: Fraction | None = None
    metric: Text = ""
    score: Real | None = None
    parent_score: Real | None = None
    samples: Text = ""

    @property
    def top1_agreement(self) -> float | None:
        """Of the first output with an axis of classes."""
        return next((one.top1_agreement for one in self.outputs if one.top1_agreement is not None), None)

    @property
    def sqnr_db(self) -> float | None:
        """Of the worst output."""
        return min((one.sqnr_db for one in self.outputs if one.sqnr_db is not None), default=None)

    @property
    def max_abs_diff(self) -> float | None:
        return max((one.max_abs_diff for one in self.outputs if one.max_abs_diff is not None), default=None)


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exported file, with what is needed to feed and trust it.

    Everything after `inputs` is absent for a file that did not come from our exporters.
    companions: files with its weights, beside it or below, under the names that it refers to.
    """

    name: Title
    format: Format
    precision: Precision
    content: FileRef
    model: Text = ""
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    macs: Bytes | None = None
    parameters: Bytes | None = None
    golden: Golden | None = None
    parity: Parity | None = None
    # How images become its input, before the input's own scale and layout.
    preprocessing: Preprocessing | None = None
    notes: dict[Text, LongText] = {}
    companions: tuple[FileRef, ...] = ()

    @property
    def size_bytes(self) -> int:
        """With its companions."""
        return sum(ref.size_bytes for ref in model_files(self))

    @property
    def sha256(self) -> str:
        """Digest of all that a runtime loads: the same graph with other weights is a different network."""
        if not self.companions:
            return self.content.sha256
        parts = "\n".join(f"{ref.file} {ref.sha256}" for ref in self.companions)
        return hashlib.sha256(f"{self.content.sha256}\n{parts}".encode()).hexdigest()


class NotMade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A format that could not be exported, and the reason."""

    format: Text
    reason: LongText


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The artifacts of one model. source: identifies the network, by checkpoint digest or file."""

    name: Text
    model: Text
    source: dict[Text, LongText]
    artifacts: tuple[Artifact, ...]
    created: Text
    schema_version: Count = SCHEMA_VERSION
    failed: tuple[NotMade, ...] = ()
    class_names: tuple[Text, ...] = ()


def file_ref(folder: Path, path: Path) -> FileRef:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileRef(file=path.relative_to(folder).as_posix(), sha256=digest, size_bytes=path.stat().st_size)


def save(bundle: Bundle, folder: Path) -> Path:
    """Write bundle.json last and by renaming, so that a folder with one is a whole bundle."""
    path = folder / "bundle.json"
    write_whole(path, msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n")
    return path


def load(folder: Path) -> Bundle:
    """Read a bundle and check that every file in it is the one that was exported."""
    path = folder / "bundle.json"
    if not path.is_file():
        if (folder / "saved_model.pb").is_file():
            raise BadFile(str(folder), "it is a SavedModel, not a bundle", _EXPORT.format(path=folder))
        raise BadFile(str(folder), "it contains no bundle.json", "Make a bundle with `edgebench export`")
    bundle = _decode(path)
    for artifact in bundle.artifacts:
        for ref in files_of(artifact):
            check_file(folder, ref)
    return bundle


def _decode(path: Path) -> Bundle:
    return untrusted.decode(untrusted.read(path, _KIND), str(path), _KIND, Bundle, _upgrade)


def _upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Bring an older bundle's content to SCHEMA_VERSION."""
    if content["schema_version"] == 1:
        content = {**content, "schema_version": 2}  # then, a single format could not fail
    if content["schema_version"] == 2:
        content = {**content, "schema_version": 3}
    if content["schema_version"] == 3:
        artifacts = [upgrade_artifact_3(one) for one in content["artifacts"]]
        content = {**content, "schema_version": 4, "artifacts": artifacts}
    return content


def upgrade_artifact_3(content: dict[str, Any]) -> dict[str, Any]:
    """An artifact of a bundle of schema 3, or of a record of schema 4: it had one input and one output."""
    content = dict(content)
    if golden := content.get("golden"):
        several = ("inputs", "reference", "expected", "max_relative_error")
        content["golden"] = {name: [value] if name in several else value for name, value in golden.items()}
    if parity := content.get("parity"):
        of_output = ("top1_agreement", "max_abs_diff", "sqnr_db")
        output = {name: parity[name] for name in of_output if name in parity}
        output["name"] = next((one["name"] for one in content.get("outputs", ())), "")
        rest = {name: value for name, value in parity.items() if name not in of_output}
        content["parity"] = {**rest, "outputs": [output]}
    return content


def newest(folder: Path = Path("bundles")) -> Path:
    """The bundle that was exported last."""
    found = sorted(folder.glob("*/bundle.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise BadFile(str(folder), "it contains no bundle", "Make one with `edgebench export`, or name a file")
    return found[-1].parent


def files_of(artifact: Artifact) -> list[FileRef]:
    golden = artifact.golden
    return [*model_files(artifact), *((*golden.inputs, *golden.reference, *golden.expected) if golden else ())]


def model_files(artifact: Artifact) -> list[FileRef]:
    """What a runtime loads: the file, and those with its weights."""
    return [artifact.content, *artifact.companions]


def location(artifact: Artifact, companion: FileRef) -> str:
    """The name by which the file refers to a companion, relative to its own folder. Raises BadFile."""
    own, other = PurePosixPath(artifact.content.file).parent, PurePosixPath(companion.file)
    if not other.is_relative_to(own) or ".." in other.parts:
        raise BadFile(artifact.name, f"it names {companion.file!r}, outside its folder", "Do not use this bundle")
    return other.relative_to(own).as_posix()


def check_file(folder: Path, ref: FileRef) -> Path:
    """The path of one file of a bundle; refuses names that lead out of the folder and changed content."""
    path = folder / ref.file
    try:
        is_inside = "\0" not in ref.file and path.resolve().is_relative_to(folder.resolve())
        is_there = is_inside and path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long; a circle of links
        seen = f"bundle.json names {untrusted.shortened(repr(ref.file))}, which is not a file name ({error})"
        raise BadFile(str(folder), untrusted.shortened(seen), _KIND.remedy) from error
    if not is_inside:
        raise BadFile(str(folder), f"bundle.json names {ref.file!r}, outside the bundle", "Do not use this bundle")
    if not is_there:
        raise BadFile(str(path), "the bundle names it, but it is missing", "Export again with `edgebench export`")
    if file_ref(folder, path).sha256 != ref.sha256:
        raise BadFile(str(path), "its content is not what was exported", "Export again with `edgebench export`")
    return path


def loose_artifact(path: Path) -> Artifact:
    """An artifact for a file outside a bundle: it can be timed, but not checked against its network.

    Its companions are found by whoever reads the file.
    """
    format_ = FORMAT_OF_SUFFIX.get(path.suffix)
    if format_ is None:
        raise _no_format(path)
    if not path.is_file():
        raise BadFile(str(path), "there is no such file", "Check the path")
    # ncnn's own tools call them NAME.ncnn.param.
    name = f"{names.shown(path.stem.removesuffix('.ncnn'))}-{'ncnn' if format_ == 'ncnn' else path.suffix[1:]}"
    return Artifact(name=name, format=format_, precision="unknown", content=file_ref(path.parent, path))


def _no_format(path: Path) -> BadFile:
    """Files that export can start from get the command as the remedy."""
    seen = f"'{path.suffix}' is not a format that targets run"
    if path.suffix == ".bin" and path.with_suffix(".param").is_file():
        return BadFile(str(path), "it holds the weights of an ncnn network", f"Give {path.with_suffix('.param')}")
    remedy = _EXPORTED_FROM.get(path.suffix.lower())
    if remedy:
        return BadFile(str(path), seen, remedy.format(path=path))
    return BadFile(str(path), seen, f"Give a bundle or a file with one of: {', '.join(FORMAT_OF_SUFFIX)}")
