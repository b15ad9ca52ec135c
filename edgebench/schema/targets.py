"""Target: one device and how to reach it; loads targets.yaml."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import yaml

from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.schema.limits import Name

_PROCESSORS_MAX = 4096
# Beside the package in a checkout, inside it when installed.
_SHIPPED = (Path(__file__).parents[2] / "targets.yaml", Path(__file__).parents[1] / "targets.yaml")


# As the file says, or as the runtime likes best (half precision, where the processor is faster in it).
ComputeIn = Literal["file", "fast"]
Device = Literal["cpu", "cuda", "gpu"]
ProcessorNumber = Annotated[int, msgspec.Meta(ge=0, le=4095)]
THREADS_MAX = 1024


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of targets.yaml; the keys are explained there."""

    name: Name
    transport: str
    description: str = ""
    host: str = ""
    user: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    ssh_config: str = ""
    python: str = ""
    workdir: str = ""
    # gpu: Intel's, by OpenVINO.
    device: Device = "cpu"
    provider: Literal["", "cpu", "xnnpack", "acl", "cuda", "tensorrt", "qnn", "openvino"] = ""
    threads: Annotated[int, msgspec.Meta(ge=1, le=THREADS_MAX)] = 1
    # Numbers, or the fastest or slowest class of processors that the device has.
    cpus: tuple[ProcessorNumber, ...] | Literal["big", "little"] = ()
    runtimes: tuple[str, ...] = (
        "onnxruntime",
        "litert",
        "tflite-runtime",
        "torch",
        "openvino",
        "ncnn",
        "mnn",
        "executorch",
    )
    own_runtimes: str = ""
    precision: ComputeIn = "file"
    emulated: bool = False
    meter: str = ""
    meter_volts: Annotated[float, msgspec.Meta(gt=0, le=60)] | None = None
    lan: bool = False
    https: bool = False
    assets: str = ""
    benchmark_model: str = ""
    agent: Literal["native", "browser"] = "native"

    def __post_init__(self) -> None:
        needed = "cuda" if self.provider in ("cuda", "tensorrt") else "cpu"
        if self.provider and self.device != needed:
            raise ValueError(f"`provider: {self.provider}` goes with `device: {needed}`, not {self.device}")

    @property
    def has_page(self) -> bool:
        """Measured in a browser."""
        return self.transport == "web" or (self.transport == "adb" and self.agent == "browser")


def find_file(given: Path | None) -> Path:
    """The file to use: the given one, ./targets.yaml, or the one that ships with edgebench."""
    if given is not None:
        if not given.is_file():
            raise BadFile(str(given), "there is no such file", "Give the path of a targets.yaml")
        return given
    for candidate in (Path("targets.yaml"), *_SHIPPED):
        if candidate.is_file():
            return candidate
    raise BadFile("targets.yaml", "there is none here, and the installation has none", "Install edgebench again")


def load_all(path: Path) -> dict[str, Target]:
    """Every target of a file. An unknown key is an error: a misspelt `threads` must not measure something else."""
    try:
        entries = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError) as error:
        raise BadFile(str(path), f"it is not YAML ({error})", "Fix the file") from error
    if not isinstance(entries, dict):
        raise BadFile(str(path), "it contains no targets", "Write entries of the form `name:` with indented keys")
    return {str(name): _target(path, str(name), entry) for name, entry in entries.items()}


def load(name: str, path: Path) -> Target:
    known = load_all(path)
    if name not in known:
        raise UnknownName(f"target ({path})", name, known)
    return known[name]


def with_meter(target: Target, meter: str | None, volts: float | None) -> Target:
    """The target with a different meter or voltage than in its entry. Raises UserError for a voltage alone."""
    if volts is not None and not (meter or target.meter):
        raise UserError(f"target '{target.name}'", "a voltage is given but no meter", "Name it: --meter NAME[:PORT]")
    changes: dict[str, Any] = {"meter": meter} if meter else {}
    if volts is not None:
        changes["meter_volts"] = volts
    return msgspec.structs.replace(target, **changes)


def with_runtimes(target: Target, names: str) -> Target:
    """The target with other runtimes than in its entry: names separated by commas. Raises UserError for none."""
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not chosen:
        raise UserError("--runtimes", f"'{names}' names no runtime", "Give names, such as onnxruntime,litert, or all")
    return msgspec.structs.replace(target, runtimes=chosen)


def with_precision(target: Target, precision: str) -> Target:
    """The target with another precision than in its entry. Raises UnknownName."""
    for known in get_args(ComputeIn):
        if precision == known:
            return msgspec.structs.replace(target, precision=known)
    raise UnknownName("precision", precision, get_args(ComputeIn))


def with_cpus(target: Target, given: str) -> Target:
    """The target on other processors than in its entry: `big`, `little`, or numbers and ranges, `0,4-7`."""
    if given in ("big", "little"):
        return msgspec.structs.replace(target, cpus=given)
    found: set[int] = set()
    for part in given.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdigit() and last.isdigit() and int(first) <= int(last) < _PROCESSORS_MAX):
            raise UserError(
                "--cpus", f"'{part.strip()}' is no processor", "Give big, little, or numbers, such as 0,4-7"
            )
        found.update(range(int(first), int(last) + 1))
    return msgspec.structs.replace(target, cpus=tuple(sorted(found)))


def with_threads(target: Target, given: str) -> tuple[Target, tuple[int, ...]]:
    """The target with another number of threads, or a sweep of several: `1,2,4`, in ascending order, each once."""
    words = [word.strip() for word in given.split(",")]
    for word in words:
        if not (word.isdigit() and 1 <= int(word) <= THREADS_MAX):
            raise UserError("--threads", f"'{word}' is no number of threads", "Give one, or several: --threads 1,2,4")
    counts = tuple(sorted(set(map(int, words))))
    if len(counts) == 1:
        return msgspec.structs.replace(target, threads=counts[0]), ()
    if target.has_page or target.device != "cpu":
        why = (
            "a page has one number of threads" if target.has_page else f"it computes on {target.device}, not on threads"
        )
        raise UserError(f"target '{target.name}'", f"--threads {given}: {why}", "Give one number, or leave it out")
    return target, counts


def with_page(target: Target, *, lan: bool, https: bool, assets: Path | None) -> Target:
    """The target with the command line's options for a phone's page, on top of its own."""
    if not (lan or https or assets):
        return target
    if not target.has_page or (target.transport == "adb" and (lan or https)):
        raise UserError(
            f"target '{target.name}'",
            "--lan and --https are for a phone reached over a network, --assets for its page",
            "Leave them out, or use a target with `transport: web`",
        )  # fmt: skip
    folder = str(assets.absolute()) if assets else target.assets
    return msgspec.structs.replace(target, lan=lan or target.lan, https=https or target.https, assets=folder)


def _target(path: Path, name: str, entry: Any) -> Target:
    where = f"{path}, target '{name}'"
    if not isinstance(entry, dict):
        raise BadFile(where, "it has no keys", "Give it at least `transport:`")
    known = [field for field in Target.__struct_fields__ if field != "name"]
    for key in entry:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"Did you mean '{close[0]}'? " if close else ""
            raise BadFile(where, f"unknown key '{key}'", f"{hint}Known: {', '.join(known)}")
    try:
        return msgspec.convert({"name": name, **entry}, Target)
    except msgspec.ValidationError as error:
        raise BadFile(where, str(error), "Correct the value") from error
