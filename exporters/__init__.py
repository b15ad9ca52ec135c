"""Export formats, one file each. They run on the host, in worker processes of their own.

What a user types is `<file name>-<precision>`: `onnx-int8`, `tflite-fp16`. A plugin has

    FORMAT        what the device sees: "onnx", "tflite" or "torch"
    SUFFIX        of its files
    SOURCES       the kinds of source it reads, some of: "checkpoint", "module", "onnx", "keras"
    PRECISIONS    what it makes
    PACKAGES      what must be installed, and EXTRA, the extra of edgebench that installs it
    BY_DEFAULT    False: made only where a user names it; may be absent
    COMPANIONS    suffixes of the files with its weights, which have its name; may be absent

    warm()                       import the heavy libraries
    convert(job)                 yield a ConvertedFile for each of the job's precisions; for INT8 one for each scheme,
                                 and the pipeline keeps the best
    open_artifact(path)          load one file in its host runtime
    open_for_batches(path, out)  load a copy that takes any number of images; None if the format has no such files
    fold(path, out, preprocessing)  write the same file for raw images (uint8); returns how that was done

Importing a plugin is cheap: the libraries are imported inside the functions, which run in `workers.worker`, so that
neither their start-up time nor a crash of native code reaches the command line. NCHW against NHWC is settled in
`open_artifact`, which states the layout, and in `edgebench.schema.tensors`, which follows it; nowhere else.

Beside the formats:

    pipeline/     one export from source to bundle; `pipeline.conversion` tells the story of the conversion
    workers/      the processes that converters and runtimes run in
    sources/      the networks that an export starts from
    onnx_edit/, tflite_edit/, arithmetic/    changes to files: INT8, folded norms, folded preprocessing, open batches
    torch_edit/   .onnx graphs as torch modules, and those as TFLite
    inspect/      what is inside a file, for `edgebench inspect`
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec

from edgebench import plugins
from edgebench.errors import MissingPackage, UnknownName, UserError
from edgebench.schema.bundle import Format, Precision, TensorSpec
from edgebench.schema.preprocessing import Preprocessing

SEVEN_BITS = "7 bits: sums of products with 8 are cut off on x86 processors without VNNI"
FORM = "form"  # the note that says which `Kernels` an ONNX INT8 file is for

SourceKind = Literal["checkpoint", "module", "onnx", "keras"]


class Kernels(msgspec.Struct, frozen=True):
    """The kernels of onnxruntime that an ONNX INT8 file is made for (`pipeline.kernels` chooses them by processor).

    weight_bits: 7 where sums of 8-bit products would saturate. signed: activations are signed, as weights always are.
    x86: channels of zeros are added (`onnx_edit.widening`), and the first layers stay float where that is faster.
    """

    weight_bits: Literal[7, 8] = 8
    signed: bool = False
    x86: bool = True

    @property
    def form(self) -> str:
        """`u8s8`, `s8s8` or `u8s8-wide`: activations, weights, channels."""
        return f"{'s8s8' if self.signed else 'u8s8'}{'-wide' if self.x86 else ''}"

    @property
    def notes(self) -> dict[str, str]:
        parts = [self.form]
        parts.append("signed activations (x86 runs part of it in float)" if self.signed else "unsigned activations")
        if self.x86:
            parts.append("channels of zeros where kernels of x86 want a round number")
        return {FORM: ", ".join(parts)} | ({"weights": SEVEN_BITS} if self.weight_bits == 7 else {})


class Scheme(msgspec.Struct, frozen=True):
    """How an INT8 file is made. ranges: a name in `arithmetic.ranges.METHODS`.

    float_layers: which of `ConvertedFile.layers` stay float. exactly: only these are float, without the operators that
    lie between them. kernels: used by the formats that leave a choice.
    """

    ranges: str
    float_layers: tuple[str, ...] = ()
    kernels: Kernels = Kernels()
    exactly: bool = False

    @property
    def slug(self) -> str:
        """Part of a file's name: equal schemes have equal slugs."""
        return f"{self.ranges}-{hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:8]}"


class ArtifactOptions(msgspec.Struct, frozen=True):
    """What the user asked of all artifacts of an export.

    max_drop_points: how many points of accuracy INT8 may lose. fold: they take raw images. dynamic_batch: they take any
    number of images. kernels: for ONNX INT8.
    """

    max_drop_points: float | None = None
    fold: bool = False
    dynamic_batch: bool = False
    kernels: Kernels = Kernels()


class IsolatedModel(msgspec.Struct, frozen=True):
    """A network that only a worker process may open, because opening it runs the user's code or imports TensorFlow.

    kind: "module": source is `package.module:callable`; "checkpoint": a path, of a network of the user's own code;
    "keras": source is the path of a file or SavedModel folder.
    folder: put on the import path while a module is imported. weights: file of its state dict, "" for the weights it
    comes with; weights_key: where they are in that file, if it has several. inputs: with a batch of 1; () if not
    known. held: where `sources.isolated.look` keeps what all later processes use (weights, or the converted
    file): a callable may draw new weights each time. arguments: of the
    callable, as a JSON object.
    """

    kind: Literal["module", "checkpoint", "keras"]
    source: str
    folder: str = ""
    weights: str = ""
    inputs: tuple[TensorSpec, ...] = ()
    held: str = ""
    weights_key: str = ""
    arguments: str = "{}"

    @property
    def plugin(self) -> str:
        """The exporter whose libraries it needs, and whose log its errors are in."""
        return "tflite-keras" if self.kind == "keras" else "torch"


class ConversionJob(msgspec.Struct, frozen=True):
    """What a converter gets, once or several times in one process.

    source: the checkpoint or .onnx file; isolated: a network of another kind. inputs, outputs: of the network. folder:
    where to write, and where files made for an earlier job still are. calibration: a file of `arithmetic.feeds`, "" if
    there is no calibration set; preprocessing turns its images into network input. schemes: the INT8 files to make.
    dynamic_batch: files take any number of images at once where the format can, otherwise one.
    """

    source: str
    kind: SourceKind
    precisions: tuple[Precision, ...]
    folder: str
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    calibration: str = ""
    preprocessing: Preprocessing | None = None
    schemes: tuple[Scheme, ...] = ()
    isolated: IsolatedModel | None = None
    dynamic_batch: bool = False


class ConvertedFile(msgspec.Struct, frozen=True):
    """One file that a converter made. scheme: what distinguishes it from the other candidates of its precision.

    layers: the operators that may each stay float by themselves, in execution order; weighted: those of them that have
    weights. float_starts: groups of layers at the input that may be faster in float. float32_bytes: size of the float32
    file it was made from. notes: what a user should know about this file.
    """

    precision: Precision
    file: str
    scheme: Scheme | None = None
    layers: tuple[str, ...] = ()
    weighted: tuple[str, ...] = ()
    float32_bytes: int = 0
    float_starts: tuple[tuple[str, ...], ...] = ()
    notes: dict[str, str] = {}


@dataclass(frozen=True)
class OpenedArtifact:
    """A loaded artifact. run: a stored array for each of `inputs`, of its shape -> one for each of `outputs`.

    run_many: the same with n samples along the first axes instead of 1, in formats that can leave their number open;
    fails if this file does not.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str
    run: Callable[[Sequence[Any]], Sequence[Any]]
    run_many: Callable[[Sequence[Any]], Sequence[Any]] | None = None


class Exporter(Protocol):
    """What a plugin must provide; see the docstring of this package."""

    FORMAT: Format
    SUFFIX: str
    SOURCES: tuple[SourceKind, ...]
    PRECISIONS: tuple[Precision, ...]
    PACKAGES: tuple[str, ...]
    EXTRA: str

    def warm(self) -> None: ...
    def convert(self, job: ConversionJob) -> Iterator[ConvertedFile]: ...
    def open_artifact(self, path: Path) -> OpenedArtifact: ...
    def open_for_batches(self, path: Path, out: Path) -> OpenedArtifact | None: ...
    def fold(self, path: Path, out: Path, preprocessing: Preprocessing) -> str: ...


@dataclass(frozen=True)
class Choice:
    """One artifact to make: its format as the user names it (`onnx-int8`), the plugin that makes it, the precision."""

    name: str
    plugin: str
    precision: Precision

    @property
    def exporter(self) -> Exporter:
        return load(self.plugin)


def load(plugin: str) -> Exporter:
    exporter: Any = plugins.load("exporters", plugin, kind="export format")
    return exporter  # type: ignore[no-any-return]


def by_default(plugin: str) -> bool:
    """Whether its files are made where no formats are named."""
    return bool(getattr(load(plugin), "BY_DEFAULT", True))


def with_companions(exporter: Exporter, file: Path) -> list[Path]:
    """All files of an artifact, the one that a runtime opens first."""
    return [file, *(file.with_suffix(suffix) for suffix in getattr(exporter, "COMPANIONS", ()))]


def formats(source: SourceKind) -> list[str]:
    """What a user may type for this kind of source, best known first."""
    return [choice.name for choice in _choices(source)]


def choose(names: list[str], source: SourceKind) -> list[Choice]:
    """Look up what the user typed.

    Raises UnknownName, or UserError for a format that cannot be made from this kind of source.
    """
    known = {choice.name: choice for choice in _choices(source)}
    elsewhere = {choice.name for kind in get_args(SourceKind) for choice in _choices(kind)}
    chosen = []
    for name in dict.fromkeys(names):
        if name not in known:
            if name in elsewhere:
                raise UserError(
                    "--formats", f"'{name}' cannot be made from this source", f"Choose from: {', '.join(known)}"
                )
            raise UnknownName("export format", name, known)
        chosen.append(known[name])
    return chosen


def other_route(choice: Choice, source: SourceKind) -> Choice | None:
    """The same by the next plugin that makes it from this source; None if there is none, or it is not installed."""
    names = plugins.names("exporters")
    for plugin in names[names.index(choice.plugin) + 1 :]:
        exporter = load(plugin)
        same = (exporter.FORMAT, exporter.PRECISIONS) == (choice.exporter.FORMAT, choice.exporter.PRECISIONS)
        other = Choice(choice.name, plugin, choice.precision)
        if same and source in exporter.SOURCES and not without_packages([other]):
            return other
    return None


def without_packages(choices: list[Choice]) -> dict[str, MissingPackage]:
    """By name, the choices whose libraries are not installed."""
    return {
        choice.name: MissingPackage(f"export format {choice.name}", package, choice.exporter.EXTRA)
        for choice in choices
        for package in reversed(choice.exporter.PACKAGES)
        if importlib.util.find_spec(package) is None
    }


def _choices(source: SourceKind) -> list[Choice]:
    """A name like `tflite-int8` belongs to the format, not to one route: the first plugin that can make it gets it."""
    found: dict[str, Choice] = {}
    for plugin in sorted(plugins.names("exporters"), key=lambda name: not by_default(name)):
        exporter = load(plugin)
        if source not in exporter.SOURCES:
            continue
        for precision in exporter.PRECISIONS:
            for name in (f"{exporter.FORMAT}-{precision}", f"{plugin}-{precision}"):
                found.setdefault(name, Choice(name, plugin, precision))
    return list(found.values())
