"""Record: what one job measured for one artifact on one target.

Raw values and the facts to judge them. Statistics are computed when a record is read, never stored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edgebench.schema.bundle import Artifact
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.facts import Facts
from edgebench.schema.layer_times import LayerTimes
from edgebench.schema.limits import (
    Amount,
    Bytes,
    Celsius,
    Count,
    Fraction,
    Hertz,
    Index,
    Instant,
    LongText,
    Name,
    Nanoseconds,
    Processor,
    ProcessorSeconds,
    Real,
    Seconds,
    Sha256,
    Span,
    Text,
    Wait,
)
from edgebench.schema.peak import Peak
from edgebench.schema.plan import Plan
from edgebench.schema.targets import ComputeIn

SCHEMA_VERSION = 6
# 1  2026-11  first
# 2  2026-11  energy: a reading for each scope, with the meter, its clock, and idle windows of their own
# 3  2026-11  fed: the inputs as they were fed; signature: which one of the file's ran
# 4  2026-11  artifact: the geometry of its preprocessing, the test set's hash
# 5  2026-11  golden: each output by itself; artifact: as in bundles of schema 4; scored; commit; layers
# 6  2026-12  peaks; golden: errors against the parent; target: precision


ValuesNs = Annotated[tuple[Nanoseconds, ...], msgspec.Meta(min_length=1)]


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values in ns on the device's monotonic clock, each for `block` consecutive inferences."""

    start_ns: Instant
    block: Count
    values_ns: ValuesNs


class Round(Series, frozen=True, omit_defaults=True, dict=True):
    """Rounds with the same number were measured one after the other over all artifacts of the job.

    throttled: bits of any check during the round.
    interrupted: why it had to be measured again from its start (a page in a phone's browser was hidden or reloaded).
    """

    number: Index
    temperature_c: Celsius | None = None
    throttled: Index | None = None
    # The lowest seen during the round, read once a second.
    clock_hz: Hertz | None = None
    # From its first inference to its last, on the device's clock.
    duration_ns: Nanoseconds | None = None
    # For a plan with a pace: inferences not finished when the next was due.
    missed: Index | None = None

    interrupted: Text = ""

    @property
    def inferences(self) -> int:
        return self.block * len(self.values_ns)


class GoldenOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The device's answers to the golden inputs, of one output. values_base64: [count, ...], float32 (dequantised), or
    int64 if `whole`; "" if they are too long to be kept.

    relative_error: rms of the difference from the exporter's answers over their rms, or share of whole numbers that
    differ; absent if not finite. Agreements: of the largest value's place along the last axis; absent where there is no
    axis of classes, or no parent. reference_error, exporter_error: rms of the difference from the parent's answers over
    their rms, of the answers here and of the exporter's; absent without a parent.
    """

    passed: bool
    values_base64: str
    relative_error: Amount | None = None
    max_abs_diff: Amount | None = None
    agreement_with_host: Fraction | None = None
    agreement_with_parent: Fraction | None = None
    whole: bool = False
    reference_error: Amount | None = None
    exporter_error: Amount | None = None


class GoldenCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """passed: every output did."""

    passed: bool
    count: Count
    outputs: Annotated[tuple[GoldenOutput, ...], msgspec.Meta(min_length=1, max_length=1000)]

    @property
    def wrong(self) -> int:
        """The place of the first output that did not pass."""
        return next((place for place, one in enumerate(self.outputs) if not one.passed), 0)

    @property
    def relative_error(self) -> float | None:
        """The largest of all outputs; None if one is not finite."""
        errors = [one.relative_error for one in self.outputs]
        return None if None in errors else max(error for error in errors if error is not None)

    @property
    def max_abs_diff(self) -> float | None:
        errors = [one.max_abs_diff for one in self.outputs]
        return None if None in errors else max(error for error in errors if error is not None)

    @property
    def agreement_with_host(self) -> float | None:
        return next((one.agreement_with_host for one in self.outputs if one.agreement_with_host is not None), None)

    @property
    def agreement_with_parent(self) -> float | None:
        return next((one.agreement_with_parent for one in self.outputs if one.agreement_with_parent is not None), None)


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes of the worker process in the memory pass: rss, high-water mark, pss, uss, swapped out; how often it had to
    read pages (major_faults), and its cgroup, or the device, evicted pages (refaults); for a GPU, memory according to
    the driver (gpu_process) and to the runtime's allocator (gpu_allocated, its high-water mark).

    bare: the runtime without a model. loaded. running: after the inferences, with the high-water mark reset after
    loading if the kernel allows it (`reset`).
    """

    bare: dict[Text, Bytes]
    loaded: dict[Text, Bytes]
    running: dict[Text, Bytes]
    reset: bool

    @property
    def high_water_bytes(self) -> int | None:
        """Including what was swapped out, which is needed nevertheless."""
        most = self.running.get("high_water_bytes")
        return None if most is None else most + self.running.get("swap_bytes", 0)

    @property
    def parts(self) -> MemoryParts | None:
        """The parts of the high-water mark; None if unknown."""
        bare, loaded = self.bare.get("rss_bytes"), self.loaded.get("rss_bytes")
        most = self.high_water_bytes
        if bare is None or loaded is None or most is None:
            return None
        return MemoryParts(bare, max(0, loaded - bare), max(0, most - max(loaded, bare)))


class MemoryParts(msgspec.Struct, frozen=True):
    """In bytes, resident: the runtime without a model; what loading added (weights as they lie in memory, and the first
    inference's buffers); what inferring added at most.
    """

    runtime: int
    weights: int
    working_set: int


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Processor seconds while latencies were measured: this job's, the whole machine's, and those that a
    hypervisor took away (steal). clocks_s: for each group of processors {clock in Hz: seconds at it}.
    """

    wall_s: Seconds
    own_s: ProcessorSeconds
    busy_s: ProcessorSeconds
    steal_s: ProcessorSeconds
    clocks_s: dict[Text, dict[Text, Wait]] = {}

    @property
    def others(self) -> float:
        """Processors that other programs kept busy, on average."""
        return max(0.0, self.busy_s - self.own_s + self.steal_s) / self.wall_s


class Cooling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the device returned to its initial condition before anything was timed.

    curve: (seconds, degrees Celsius, clock limit in Hz), once a second; the limits are those it had to return to.
    """

    waited_s: Wait
    limit_c: Celsius | None
    limit_hz: Hertz | None
    curve: Annotated[tuple[tuple[Wait, Celsius | None, Hertz | None], ...], msgspec.Meta(min_length=1)]


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers of the timed file to a whole test set, on the device: a class for each image, and its label.

    Both uint16, little-endian, base64.
    """

    dataset: Text
    images: Count
    classes_base64: str
    labels_base64: str


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One metric over a whole test set. resampled: its value on samples of the images, drawn with replacement; the same
    samples for every record of that test set. Empty where that is not known.
    """

    metric: Text
    value: Real
    lower_is_better: bool = False
    resampled: Annotated[tuple[Real, ...], msgspec.Meta(max_length=10_000)] = ()


class Scored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the device's answers to a test set are worth. Computed when the job ended: boxes, masks and a user's own
    metric are not in the record. reading: how the outputs are read. scores: the first is compared; of one class an
    image all but top-1, which is in `answers`.
    """

    task: Name
    dataset: Text
    images: Count
    test_sha256: Sha256
    reading: Text = ""
    scores: Annotated[tuple[Score, ...], msgspec.Meta(max_length=1000)] = ()


class FedInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input as it was fed to every inference: no dimension of `shape` is open."""

    name: Text
    shape: tuple[Index, ...]
    dtype: Text


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """threads: those it started, plus the calling one; cpus: where they could run. As observed, not as requested.

    idle_threads: others of its process, which take no part in inferences.
    spun_s: processor seconds that its threads spent on waiting in the 50 ms after an inference; None with one thread.
    """

    name: Text
    facts: dict[Text, LongText] = {}
    notes: dict[Text, Any] = {}
    threads: Count | None = None
    idle_threads: Index | None = None
    cpus: tuple[Processor, ...] = ()
    spun_s: ProcessorSeconds | None = None


FailureKind = Literal["wrong", "error", "fallback", "crashed", "timeout"]


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the measurement ended.

    status: complete | budget (ended before it was precise enough) | stopped | failed | agent-died.
    kind, stage, reason, signal: of a failure.
    """

    status: Literal["complete", "budget", "stopped", "failed", "agent-died"]
    stage: Text = ""
    kind: FailureKind | Literal[""] = ""
    reason: LongText = ""
    signal: Text = ""


class MeasuredTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The target as it was at the time: targets.yaml may change later. precision: what files were to be computed in."""

    name: Name
    transport: Text
    device: Text
    threads: Count
    emulated: bool
    precision: ComputeIn = "file"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """A metric that was not measured is absent, never 0. commit: of the folder that it was deployed from, with a `+` if
    files there were changed since.
    """

    schema_version: Count
    id: Name
    job: Text
    created: Text
    edgebench: Text
    target: MeasuredTarget
    artifact: Artifact
    plan: Plan
    runtime: Runtime
    outcome: Outcome
    facts_before: Facts
    facts_after: Facts | None = None
    load_ns: Span | None = None
    first_inference_ns: Span | None = None
    golden: GoldenCheck | None = None
    memory: Memory | None = None
    warmup: tuple[Series, ...] = ()
    stationary: bool | None = None
    gate_open: bool | None = None
    cooling: Cooling | None = None
    load: Load | None = None
    rounds: tuple[Round, ...] = ()
    energy: tuple[EnergyReading, ...] = ()
    answers: Answers | None = None
    layers: LayerTimes | None = None
    peaks: tuple[Peak, ...] = ()
    scored: Scored | None = None
    fed: tuple[FedInput, ...] = ()
    signature: Text = ""
    commit: Text = ""

    @property
    def path(self) -> Path | None:
        """The file that it was loaded from or saved to. Not written, and not compared: copies are equal."""
        found: Path | None = self.__dict__.get("path")
        return found

    @property
    def batch(self) -> int | None:
        """Samples per inference: the first axis that all inputs share. None where it is unknown: a record older than
        schema 3, a scalar among the inputs, or inputs whose first axes differ.
        """
        first = {one.shape[0] if one.shape else None for one in self.fed}
        return first.pop() if len(first) == 1 else None

    @property
    def in_browser(self) -> bool:
        """WebAssembly or WebGPU in a browser: not comparable with the same model run natively on the same phone."""
        return self.facts_before.browser is not None

    @property
    def in_browser_by(self) -> str:
        """The browser's way of computing."""
        return "webgpu" if self.runtime.name == "onnxruntime-webgpu" else "wasm"

    @property
    def means_only(self) -> bool:
        """From a user's benchmark_model: each round is a mean, and answers were not checked."""
        return self.runtime.name == "benchmark-model"
