"""Export formats, one file each. Location says where code runs: on the host, in worker processes of their own.

What a user types is `<file name>-<precision>`: `onnx-int8`, `tflite-fp16`. A plugin has

    FORMAT        what the device sees: "onnx", "tflite" or "torch"
    SUFFIX        of its files
    SOURCES       what it reads: "checkpoint", "onnx", or both
    PRECISIONS    what it makes
    PACKAGES      what must be installed, and EXTRA, the extra of edgebench that installs it

    warm()                    import the heavy libraries
    convert(job) -> Made...   write the files; several for one precision are candidates, of which the best is kept
    open_artifact(path)       -> Opened: load one file in its host runtime

Importing a plugin is cheap: the libraries are imported inside the functions, which run in `exporters._worker`, so that
neither their start-up time nor a crash of native code reaches the command line. NCHW against NHWC is settled in
`open_artifact`, which states the layout, and in `exporters._parity`, which obeys it; nowhere else.

Helpers (underscore): _process starts workers, _worker is one, _parity compares answers, _golden writes golden files,
_onnx_graph reads ONNX files of others.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from edgebench import plugins
from edgebench.bundle import Format, Precision, TensorSpec
from edgebench.data import Preprocessing
from edgebench.errors import MissingPackage, UnknownName, UserError

Source = Literal["checkpoint", "onnx"]


class Job(msgspec.Struct, frozen=True):
    """What a converter gets.

    source: the checkpoint or .onnx file. folder: where to write. calibration: an .npy file of uint8 [N, H, W, C], or ""
    if there is no calibration set; preprocessing makes network input of it.
    """

    source: str
    kind: Source
    precisions: tuple[Precision, ...]
    folder: str
    calibration: str = ""
    preprocessing: Preprocessing | None = None


class Made(msgspec.Struct, frozen=True):
    """One file. method: what distinguishes it from the other candidates of its precision."""

    precision: Precision
    file: str
    method: str = ""


@dataclass(frozen=True)
class Opened:
    """A loaded artifact. run: one stored input [1, ...] -> one stored output [1, ...]."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str
    run: Callable[[Any], Any]


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

    Raises UnknownName, MissingPackage, or UserError for a format that this kind of source cannot become.
    """
    known = {choice.name: choice for choice in _choices(source)}
    elsewhere = {choice.name for kind in ("checkpoint", "onnx") for choice in _choices(kind)}
    chosen = []
    for name in dict.fromkeys(names):
        if name not in known:
            if name in elsewhere:
                raise UserError(
                    "--formats", f"'{name}' cannot be made from this source", f"Choose from: {', '.join(known)}"
                )
            raise UnknownName("export format", name, known)
        chosen.append(known[name])
    for choice in chosen:
        for package in choice.exporter.PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise MissingPackage(f"export format {choice.name}", package, choice.exporter.EXTRA)
    return chosen


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
