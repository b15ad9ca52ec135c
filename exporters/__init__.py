"""Export formats, one file each. Location says where code runs: on the host, in worker processes of their own.

What a user types is `<file name>-<precision>`: `onnx-int8`, `tflite-fp16`. A plugin has

    FORMAT        what the device sees: "onnx", "tflite" or "torch"
    SUFFIX        of its files
    SOURCES       what it reads, some of: "checkpoint", "module", "onnx", "keras"
    PRECISIONS    what it makes
    PACKAGES      what must be installed, and EXTRA, the extra of edgebench that installs it

    warm()                    import the heavy libraries
    convert(job) -> Made...   write the files of the job's precisions, perhaps none yet; INT8 in every scheme,
                              of which the best is kept
    open_artifact(path)       -> Opened: load one file in its host runtime
    open_for_batches(path, out) -> Opened | None: a copy for any number of images; None if the format has none
    fold(path, out, preprocessing) -> str    the same file for raw images, uint8; says how that was done

Importing a plugin is cheap: the libraries are imported inside the functions, which run in `workers.worker`, so that
neither their start-up time nor a crash of native code reaches the command line. NCHW against NHWC is settled in
`open_artifact`, which states the layout, and in `edgebench.schema.tensors`, which obeys it; nowhere else.

Helpers (underscore): _opening opens what the user named, a `_parent.Parent`; _asking lets it answer; _making makes the
artifacts and _publishing puts their folder in place; _process starts workers, _worker is one; _answering lets an
artifact answer to many images, _parity compares answers. Of INT8, _affine folds norms (with _onnx_affine and
_tflite_affine), _ranges finds what eight bits are spread over, _onnx_int8 (with _onnx_operators and _onnx_widening) and
_tflite_int8 write, and _candidates chooses, by what _criterion says, within what _drop allows; _processor says for
which kernels. _onnx_batch and _tflite_batch open files for any number of images; _onnx_training refuses some.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec

from edgebench import plugins
from edgebench.errors import MissingPackage, UnknownName, UserError
from edgebench.schema.bundle import Format, Precision, TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters.sources.foreign import Foreign

SEVEN_BITS = "7 bits: sums of products with 8 are cut off on x86 processors without VNNI"
FORM = "form"  # of the notes: how ONNX INT8 says its `Kernels`

Source = Literal["checkpoint", "module", "onnx", "keras"]


class Kernels(msgspec.Struct, frozen=True):
    """Those of onnxruntime that ONNX INT8 is made for, by the processors that it is for (`_processor`).

    weight_bits: 7 where 8 would be cut off. signed: activations too, as weights always are. x86: with channels of
    zeros (`_onnx_widening`), and with the first layers float where that is faster.
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
        told = [self.form]
        told.append("signed activations (x86 runs part of it in float)" if self.signed else "unsigned activations")
        if self.x86:
            told.append("channels of zeros where kernels of x86 want a round number")
        return {FORM: ", ".join(told)} | ({"weights": SEVEN_BITS} if self.weight_bits == 7 else {})


class Scheme(msgspec.Struct, frozen=True):
    """How an INT8 file is made. ranges: a name in `_ranges.METHODS`. float_layers: those of `Made.layers` that stay.

    kernels: in formats that leave a choice. exactly: float are these alone, and not what lies between them as well.
    """

    ranges: str
    float_layers: tuple[str, ...] = ()
    kernels: Kernels = Kernels()
    exactly: bool = False

    @property
    def slug(self) -> str:
        """Part of a file's name: the same for the same scheme."""
        return f"{self.ranges}-{hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:8]}"


class Asked(msgspec.Struct, frozen=True):
    """What the user wants of all files of an export.

    max_drop: of accuracy, as a fraction, that INT8 may cost. fold: they take raw images. dynamic_batch: they take any
    number of them. kernels: of ONNX INT8.
    """

    max_drop: float | None = None
    fold: bool = False
    dynamic_batch: bool = False
    kernels: Kernels = Kernels()


class Job(msgspec.Struct, frozen=True):
    """What a converter gets, once or several times in one process.

    source: the checkpoint or .onnx file; foreign: a network of another kind. folder: where to write, and where what was
    made for an earlier job still is. calibration: an .npy file of uint8 [N, H, W, C], or "" if there is no calibration
    set; preprocessing makes network input of it. schemes: the INT8 files to make. dynamic_batch: where the format can,
    files take any number of images at once, else one.
    """

    source: str
    kind: Source
    precisions: tuple[Precision, ...]
    folder: str
    calibration: str = ""
    preprocessing: Preprocessing | None = None
    schemes: tuple[Scheme, ...] = ()
    foreign: Foreign | None = None
    dynamic_batch: bool = False


class Made(msgspec.Struct, frozen=True):
    """One file. scheme: what distinguishes it from the other candidates of its precision.

    layers: the operators of which each may stay float by itself, in the order in which they run; weighted: those of
    them with weights. float_starts: layers at the input that may be faster as float. float32_bytes: of the float32 file
    that it was made of. notes: what a user should know about this file.
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
class Opened:
    """A loaded artifact. run: one stored input [1, ...] -> one stored output [1, ...].

    run_many: [n, ...] -> [n, ...], in formats that can leave the number of images open; fails if this file does not.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str
    run: Callable[[Any], Any]
    run_many: Callable[[Any], Any] | None = None


class Exporter(Protocol):
    FORMAT: Format
    SUFFIX: str
    SOURCES: tuple[Source, ...]
    PRECISIONS: tuple[Precision, ...]
    PACKAGES: tuple[str, ...]
    EXTRA: str

    def warm(self) -> None: ...
    def convert(self, job: Job) -> Iterator[Made]: ...
    def open_artifact(self, path: Path) -> Opened: ...
    def open_for_batches(self, path: Path, out: Path) -> Opened | None: ...
    def fold(self, path: Path, out: Path, preprocessing: Preprocessing) -> str: ...


@dataclass(frozen=True)
class Choice:
    """One wanted artifact: how the user names it, who makes it, in which precision."""

    name: str
    plugin: str
    precision: Precision

    @property
    def exporter(self) -> Exporter:
        return load(self.plugin)


def load(plugin: str) -> Exporter:
    exporter: Any = plugins.load("exporters", plugin, kind="export format")
    return exporter  # type: ignore[no-any-return]


def formats(source: Source) -> list[str]:
    """What a user may type for this kind of source, best known first."""
    return [choice.name for choice in _choices(source)]


def choose(names: list[str], source: Source) -> list[Choice]:
    """Look up what the user typed.

    Raises UnknownName, or UserError for a format that this kind of source cannot become.
    """
    known = {choice.name: choice for choice in _choices(source)}
    elsewhere = {choice.name for kind in get_args(Source) for choice in _choices(kind)}
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


def without_packages(choices: list[Choice]) -> dict[str, MissingPackage]:
    """By the names of those whose libraries are not installed."""
    return {
        choice.name: MissingPackage(f"export format {choice.name}", package, choice.exporter.EXTRA)
        for choice in choices
        for package in reversed(choice.exporter.PACKAGES)
        if importlib.util.find_spec(package) is None
    }


def _choices(source: Source) -> list[Choice]:
    """A name like `tflite-int8` belongs to the format, not to the route: the first plugin that can has it."""
    found: dict[str, Choice] = {}
    for plugin in plugins.names("exporters"):
        exporter = load(plugin)
        if source not in exporter.SOURCES:
            continue
        for precision in exporter.PRECISIONS:
            for name in (f"{exporter.FORMAT}-{precision}", f"{plugin}-{precision}"):
                found.setdefault(name, Choice(name, plugin, precision))
    return list(found.values())
