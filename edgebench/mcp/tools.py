"""The tools: their arguments, and the command line that each stands for.

Arguments become `--option=value`, or words behind `--`: none of them can be another option. Paths are inside the
server's folder, links followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edgebench import plugins
from edgebench.errors import UnknownName

_DATA = "edgebench.networks.data"
_Text = Annotated[str, Meta(min_length=1, max_length=4096)]
_Positive = Annotated[float, Meta(ge=1e-6, le=1e9)]
_Names = Annotated[list[_Text], Meta(max_length=1000)]


class ToolFailed(Exception):
    """A sentence for the client."""


class ToolArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class InspectArguments(ToolArguments, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    file: Annotated[_Text, Meta(description="An .onnx, .tflite or .pte file.")]
    shape: Annotated[
        _Names, Meta(description="Sizes of inputs that an .onnx file leaves open: 1x3x224x224, or NAME=1x3x224x224.")
    ] = []


class ExportArguments(ToolArguments, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    source: Annotated[
        _Text, Meta(description="A checkpoint (.safetensors), an .onnx, .keras or .h5 file, or a SavedModel folder.")
    ]
    formats: Annotated[_Names, Meta(description="Such as onnx-fp32, tflite-int8; default: all that can be made.")] = []
    int8: Annotated[bool, Meta(description="Make fp32 and INT8 files.")] = False
    dataset: Annotated[
        _Text | None, Meta(description="What it is tested and calibrated on: a built-in data set, or a folder.")
    ] = None
    max_drop: Annotated[
        Annotated[float, Meta(ge=0, lt=100)] | None, Meta(description="Points of accuracy that INT8 may lose.")
    ] = None
    out: Annotated[_Text | None, Meta(description="The bundle's folder; default: bundles/NAME.")] = None


class DeployArguments(ToolArguments, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    target: Annotated[_Text, Meta(description="A name from list_targets.")]
    files: Annotated[
        _Names, Meta(description="Bundles, .onnx and .tflite files; default: the newest bundle in bundles/.")
    ] = []
    plan: Annotated[
        str, Meta(description="quick (seconds), default, mlperf, sustained, or duty:N.", pattern=r"^[\w:.]+$")
    ] = "default"
    runtimes: Annotated[_Names, Meta(description="Measure in each of these; default: in the target's first.")] = []
    energy: Annotated[bool, Meta(description="Measure energy too (minutes).")] = False
    accuracy: Annotated[bool, Meta(description="Score each file on the device on its whole test set.")] = False
    layers: Annotated[bool, Meta(description="Time each layer too, for explain.")] = False


class CompareArguments(ToolArguments, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    records: Annotated[
        _Names, Meta(description="Targets (their newest records), record files, results folders; default: all.")
    ] = []
    baseline: Annotated[
        _Text | None, Meta(description="An artifact, target/artifact, or a folder of earlier results.")
    ] = None
    every: Annotated[bool, Meta(description="Every run of each file, not only the newest.")] = False
    since: Annotated[_Text | None, Meta(description="Every run since: 2026-11-01, or 7d.")] = None
    margin: Annotated[float, Meta(description="Per cent within which times are the same.", ge=0.1, le=50)] = 3.0


class ExplainArguments(ToolArguments, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    records: Annotated[
        _Names, Meta(description="Targets (their newest records), record files, results folders; default: all.")
    ] = []
    deadline_ms: Annotated[_Positive | None, Meta(description="Say how often an inference takes longer.")] = None
    battery_wh: Annotated[_Positive | None, Meta(description="Hours on such a battery; with per_second.")] = None
    per_second: Annotated[_Positive | None, Meta(description="Inferences a second that are needed.")] = None


@dataclass(frozen=True)
class Tool:
    """words: of its command line, from checked arguments and a function that checks a path. reads: folders that the
    command reads or writes without being told.
    """

    name: str
    description: str
    arguments: type[ToolArguments]
    words: Callable[[Any, Callable[[str], str]], Iterator[str]]
    only_reads: bool = True
    reads: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.schema(self.arguments)
        made: dict[str, Any] = found["$defs"][self.arguments.__name__]
        return made


def command_line(name: str, arguments: dict[str, Any], root: Path | None, folder: Path) -> list[str]:
    """root: the folder that paths must be in; None: any. folder: what they are relative to. Raises ToolFailed."""
    tool = TOOLS.get(name)
    if tool is None:
        raise ToolFailed(str(UnknownName("tools", name, TOOLS)))
    try:
        given = msgspec.convert(arguments, tool.arguments)
    except msgspec.ValidationError as error:
        known = ", ".join(tool.arguments.__struct_fields__) or "none"
        raise ToolFailed(f"{name}: {error}. Its arguments: {known}") from error
    for place in tool.reads if root is not None else ():  # without being named
        _inside(place, root, folder)
    return list(tool.words(given, lambda typed: _inside(typed, root, folder)))


def _inside(typed: str, root: Path | None, folder: Path) -> str:
    """The path as it was typed. Nothing is said about what there is outside."""
    try:
        path = (folder / typed).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ToolFailed(f"{typed!r}: it is no path. Give one inside the server's folder") from error
    if root is not None and not path.is_relative_to(root):
        raise ToolFailed(
            f"{typed}: it is outside {root}. Use a path inside it, or start the server with --allow-outside"
        )
    if root is not None and (link := _link_out(folder / typed, root)):
        raise ToolFailed(
            f"{link.relative_to(folder) if link.is_relative_to(folder) else link}: this link leads out of {root}. "
            "Use a folder without it, or start the server with --allow-outside"
        )
    if ":" in typed and not path.exists():
        raise ToolFailed(f"{typed}: there is no such file, and code is not run here. Give the path of a file")
    return typed


def _link_out(folder: Path, root: Path) -> Path | None:
    """The first link below it that leads out of the root: what is in a folder is read as well."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                return path
    return None


def _options(**given: Any) -> Iterator[str]:
    """What is empty or false is left out."""
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            yield option
        elif isinstance(value, list):
            yield from (f"{option}={one}" for one in value)
        elif value is not None and value is not False:
            yield f"{option}={value}"


def _list_targets(_: ToolArguments, __: Callable[[str], str]) -> Iterator[str]:
    yield from ("targets", "list", "--json=-")


def _inspect(given: InspectArguments, path: Callable[[str], str]) -> Iterator[str]:
    yield from ("inspect", *_options(shape=given.shape, json="-"), "--", path(given.file))


def _export(given: ExportArguments, path: Callable[[str], str]) -> Iterator[str]:
    source, out = path(given.source), given.out and path(given.out)
    if given.dataset is not None and given.dataset not in plugins.names(_DATA):
        path(given.dataset)
    options = _options(
        formats=",".join(given.formats) or None, int8=given.int8, dataset=given.dataset, max_drop=given.max_drop,
        best_effort=given.max_drop is not None, out=out, json="-",
    )  # fmt: skip
    yield from ("export", *options, "--", source)


def _deploy(given: DeployArguments, path: Callable[[str], str]) -> Iterator[str]:
    options = _options(
        target=given.target, plan=given.plan, runtimes=",".join(given.runtimes) or None, energy=given.energy,
        accuracy=given.accuracy, layers=given.layers, wait=True, json="-",
    )  # fmt: skip
    yield from ("deploy", *options, "--", *map(path, given.files))


def _compare(given: CompareArguments, path: Callable[[str], str]) -> Iterator[str]:
    options = _options(
        baseline=given.baseline and path(given.baseline), all=given.every, since=given.since, margin=given.margin,
        json="-",
    )  # fmt: skip
    yield from ("compare", *options, "--", *map(path, given.records))


def _explain(given: ExplainArguments, path: Callable[[str], str]) -> Iterator[str]:
    options = _options(
        deadline_ms=given.deadline_ms, battery_wh=given.battery_wh, per_second=given.per_second, json="-"
    )
    yield from ("explain", *options, "--", *map(path, given.records))


TOOLS = {
    one.name: one
    for one in (
        Tool(
            "list_targets", "List the devices that can be measured on, from targets.yaml.", ToolArguments, _list_targets
        ),
        Tool(
            "inspect",
            "Say what is in a model file, layer by layer: operators, precisions, MACs, parameters, memory, and whether "
            "its runtime takes it.",
            InspectArguments,
            _inspect,
        ),
        Tool(
            "export",
            "Make files for edge devices (ONNX, TFLite, fp32, INT8) of a trained network, each checked against it. "
            "Takes from seconds to minutes.",
            ExportArguments,
            _export,
            only_reads=False,
            reads=("bundles",),
        ),
        Tool(
            "deploy",
            "Measure files on a device (latency, memory, energy, accuracy), save one record each in results/, and "
            "compare them. Takes from seconds (plan quick) to minutes; nothing else should run on that device.",
            DeployArguments,
            _deploy,
            only_reads=False,
            reads=("bundles", "results"),
        ),
        Tool(
            "compare",
            "Compare saved records: which file to ship and how sure that is, latencies with intervals, ratios to a "
            "baseline, verdicts with reasons.",
            CompareArguments,
            _compare,
            reads=("results",),
        ),
        Tool(
            "explain",
            "Say why: what takes INT8's gain away, what pruning left, what binds each layer, what it costs; each cause "
            "with its evidence and the command that removes it.",
            ExplainArguments,
            _explain,
            reads=("results",),
        ),
    )
}
