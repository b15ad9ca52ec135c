"""Record: what one job measured for one artifact on one target; load, save, upgrade.

Raw values and the facts to judge them. Statistics are computed when a record is read, never stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edgebench.bundle import Artifact
from edgebench.errors import BadFile, UserError
from edgebench.facts import Facts
from edgebench.plan import Plan

SCHEMA_VERSION = 1
# 1  2026-11  first

Provenance = Literal["measured", "estimated", "modelled", "unavailable"]


Count = Annotated[int, msgspec.Meta(ge=1)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values in ns, each over `block` inferences in a row, on the device's monotonic clock."""

    start_ns: int
    block: Count
    values_ns: Annotated[tuple[Nanoseconds, ...], msgspec.Meta(min_length=1)]


class Round(Series, frozen=True, omit_defaults=True):
    """Rounds with the same number were measured one after the other over all artifacts of the job.

    interrupted: why it had to be measured again from its start (a page in a phone's browser was hidden or reloaded).
    """

    number: int
    temperature_c: float | None = None
    throttled: int | None = None
    interrupted: str = ""


class GoldenCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The device's answers to the golden inputs. outputs_base64: float32 [count, classes], dequantised.

    relative_error: rms of the difference to the exporter's outputs over their rms; absent if not finite.
    """

    passed: bool
    count: int
    outputs_base64: str
    relative_error: float | None
    max_abs_diff: float | None
    agreement_with_host: float | None
    agreement_with_parent: float | None


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes of the worker process in the memory pass: rss, high-water mark, pss, uss.

    bare: the runtime without a model; loaded; running: after the inferences, high-water mark reset after
    loading where `reset` says that the kernel allows it.
    """

    bare: dict[str, int]
    loaded: dict[str, int]
    running: dict[str, int]
    reset: bool


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Processor seconds while latencies were measured: this job's, the whole machine's, and those that a
    hypervisor took away (steal).
    """

    wall_s: Seconds
    own_s: float
    busy_s: float
    steal_s: float

    @property
    def others(self) -> float:
        """Processors that something else kept busy, on average."""
        return max(0.0, self.busy_s - self.own_s + self.steal_s) / self.wall_s


class EnergyWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One idle window and the inferring window after it; joules by scope."""

    idle_s: Seconds
    idle_j: dict[str, float]
    active_s: Seconds
    active_j: dict[str, float]
    inferences: Count


class EnergyReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one meter said, and where its numbers come from; `reason` if there are none, or no more.

    Windows and `unavailable` exclude each other, and what is not there has a reason.
    """

    meter: str
    provenance: Provenance
    reason: str = ""
    windows: tuple[EnergyWindow, ...] = ()

    def __post_init__(self) -> None:
        if (self.provenance == "unavailable") == bool(self.windows):
            raise ValueError(f"meter {self.meter} is {self.provenance} and has {len(self.windows)} windows")
        if not self.windows and not self.reason:
            raise ValueError(f"meter {self.meter} has no energy and no reason")


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    facts: dict[str, str] = {}
    notes: dict[str, Any] = {}


FailureKind = Literal["wrong", "error", "crashed", "timeout"]


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the measurement ended.

    status: complete | budget (ended before it was precise) | stopped | failed | agent-died.
    kind, stage, reason, signal: of a failure.
    """

    status: Literal["complete", "budget", "stopped", "failed", "agent-died"]
    stage: str = ""
    kind: FailureKind | Literal[""] = ""
    reason: str = ""
    signal: str = ""


class MeasuredTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The target as it was at the time: targets.yaml may change later."""

    name: str
    transport: str
    device: str
    threads: int
    emulated: bool


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A metric that was not measured is absent, never 0."""

    schema_version: int
    id: str
    job: str
    created: str
    edgebench: str
    target: MeasuredTarget
    artifact: Artifact
    plan: Plan
    runtime: Runtime
    outcome: Outcome
    facts_before: Facts
    facts_after: Facts | None = None
    load_ns: int | None = None
    first_inference_ns: int | None = None
    golden: GoldenCheck | None = None
    memory: Memory | None = None
    warmup: tuple[Series, ...] = ()
    stationary: bool | None = None
    gate_open: bool | None = None
    load: Load | None = None
    rounds: tuple[Round, ...] = ()
    energy: tuple[EnergyReading, ...] = ()

    @property
    def in_browser(self) -> bool:
        """WebAssembly in a browser: another thing than the same model on the same phone."""
        return self.facts_before.browser is not None


def save(record: Record, results: Path) -> Path:
    """results/<target>/<id>.json, by renaming; a file that is there is never overwritten.

    Saving the same record again is fine: collecting a job twice must not fail the second time.
    """
    folder = results / record.target.name
    path = folder / f"{record.id}.json"
    data = msgspec.json.encode(record) + b"\n"
    if path.exists():
        if path.read_bytes() != data:
            raise UserError(str(path), "another record has this name", "Move it away and deploy again")
        return path
    partial = path.with_suffix(".part")
    partial.write_bytes(data)
    partial.rename(path)
    return path


def load(path: Path) -> Record:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(str(path), f"cannot be read ({error.strerror})", "Check the path") from error
    try:
        content = msgspec.json.decode(data)
        version = content["schema_version"]
        if version > SCHEMA_VERSION:
            raise BadFile(
                str(path),
                f"it has schema {version}, this edgebench reads up to {SCHEMA_VERSION}",
                "Upgrade edgebench",
            )
        return msgspec.convert(upgrade(content), Record)
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        raise BadFile(str(path), f"it is not a record ({error})", "Remove it, or name only records") from error


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Bring an older record's content to SCHEMA_VERSION, one version at a time; there is only one so far."""
    return content


def load_target(results: Path, target: str) -> list[Record]:
    """All records of one target, oldest first."""
    return [load(path) for path in sorted((results / target).glob("*.json"))]
