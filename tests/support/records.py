"""Made-up records for the tests of everything that reads records. All of it is the same on every run."""

from __future__ import annotations

import array
import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgebench.schema import plan, record, record_files
from edgebench.schema.bundle import Artifact, FileRef, OutputParity, Parity
from edgebench.schema.energy_reading import (
    Accuracy,
    ClockAlignment,
    EnergyReading,
    EnergyWindow,
    IdleWindow,
    Instrument,
    Provenance,
)
from edgebench.schema.facts import Facts
from edgebench.schema.record import (
    GoldenCheck,
    GoldenOutput,
    Load,
    MeasuredTarget,
    Memory,
    Outcome,
    Record,
    Round,
    Runtime,
    Series,
)

# Made-up rounds last microseconds, so the minimum time does not apply.
# ... and so few windows do not agree within 2 %.
PLAN = msgspec.structs.replace(plan.named("quick"), seconds_min=0.0, energy_precision=0.2)
FACTS = Facts(
    model="A board",
    cpu="Cortex-A72",
    cpu_features=("asimd",),
    cores=4,
    ram_bytes=4_000_000_000,
    os="Debian 13",
    kernel="6.12",
    machine="aarch64",
    libc="glibc 2.41",
    python="3.13.5",
    governor="performance",
    temperature_c=40.0,
    throttled=0,
    load_1min=0.1,
)
COMPLETE = Outcome("complete")
_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "torch": "torch"}
# Round medians of a steady device: 0.2 % apart.
STEADY = (1.000, 1.002, 0.998, 1.001, 0.999, 1.002, 0.998, 1.000)


def make_record(
    artifact: str | Artifact = "net-onnx-fp32",
    *,
    target: str = "board",
    emulated: bool = False,
    threads: int = 1,
    job: str = "job-1",
    created: str = "20261120T100000Z",
    p50_ns: float = 50_000.0,
    rounds: Sequence[Round] | None = None,
    facts: Facts = FACTS,
    outputs: Sequence[Sequence[float]] = ((1.0, 0.0), (0.0, 1.0)),
    **changes: Any,
) -> Record:
    """A clean record: complete, checked, warm, cool, steady, on an idle device. `changes` are fields of Record."""
    artifact = make_artifact(artifact) if isinstance(artifact, str) else artifact
    made = Record(
        schema_version=record.SCHEMA_VERSION,
        id=f"{created}-{artifact.name}",
        job=job,
        created=created,
        edgebench="0.1.0",
        target=MeasuredTarget(target, "local", "cpu", threads, emulated),
        artifact=artifact,
        plan=PLAN,
        runtime=Runtime(_RUNTIMES[artifact.format], {"version": "1"}),
        outcome=COMPLETE,
        facts_before=facts,
        facts_after=msgspec.structs.replace(facts, temperature_c=42.0),
        load_ns=3_000_000,
        first_inference_ns=200_000,
        golden=make_golden(outputs),
        memory=Memory({"rss_bytes": 20_000_000}, {"rss_bytes": 25_000_000}, {"high_water_bytes": 30_000_000}, True),
        warmup=(Series(0, 1, (90_000, 60_000, 50_000)),),
        stationary=True,
        gate_open=True,
        load=Load(wall_s=10.0, own_s=9.5, busy_s=9.7, steal_s=0.0),
        rounds=tuple(make_rounds([p50_ns * factor for factor in STEADY]) if rounds is None else rounds),
    )
    return msgspec.structs.replace(made, **changes)


def failed(name: str = "net-onnx-int8", **changes: Any) -> Record:
    """The record of an artifact that left its job before it was timed."""
    outcome = Outcome("failed", "check", "crashed", "SIGFPE during 'load'", "SIGFPE")
    nothing = {"golden": None, "memory": None, "warmup": (), "stationary": None, "load_ns": None, "load": None}
    return make_record(name, **{"outcome": outcome, "rounds": (), "first_inference_ns": None, **nothing, **changes})


def make_parity(dataset: str, images: int, accuracy: float, parent_accuracy: float = 0.9) -> Parity:
    output = OutputParity("logits", sqnr_db=40.0, max_abs_diff=0.01, top1_agreement=0.99)
    return Parity(dataset, images, "host", (output,), accuracy, parent_accuracy)


def make_artifact(name: str, *, content: str | None = None, accuracy: float | None = None, **changes: Any) -> Artifact:
    """`NAME-FORMAT-PRECISION`; its content is made from its name unless given, so that equal names are equal files."""
    _, format_, precision = name.rsplit("-", 2)
    sha256 = hashlib.sha256((content or name).encode()).hexdigest()
    size_bytes = 400_000 if precision == "fp32" else 110_000
    made = Artifact(
        name=name,
        format=format_,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        content=FileRef(f"{name}.{format_}", sha256, size_bytes),
        parity=None if accuracy is None else make_parity("test", 2000, accuracy),
    )
    return msgspec.structs.replace(made, **changes)


def make_rounds(medians_ns: Iterable[float], *, values: int = 40, block: int = 1) -> tuple[Round, ...]:
    """One round per median: values evenly within +/-1 % around it, in an order without a cold start."""
    rounds = []
    for number, median in enumerate(medians_ns):
        spread = [-1 + (2 * index + 1) / values for index in range(values)]
        shuffled = [spread[(index * 7 + values // 2) % values] for index in range(values)]
        values_ns = tuple(round(median * block * (1 + 0.01 * offset)) for offset in shuffled)
        rounds.append(Round(number * 10**9, block, values_ns, number, 41.0, 0))
    return tuple(rounds)


def make_golden(outputs: Sequence[Sequence[float]]) -> GoldenCheck:
    flat = array.array("f", [value for row in outputs for value in row])
    output = GoldenOutput(True, base64.b64encode(flat.tobytes()).decode(), 0.0, 0.0, 1.0, 1.0)
    return GoldenCheck(True, len(outputs), (output,))


def make_reading(
    *,
    meter: str = "rapl",
    provenance: Provenance = "measured",
    idle_w: float | Sequence[float] = 2.0,
    active_w: Sequence[float] = (5.0, 5.1, 4.9),
    scope: str = "cpu_package",
    accuracy: Accuracy | None = None,
    window_s: float = 10.0,
    **changes: Any,
) -> EnergyReading:
    """Windows with 100 inferences a second, one a round, with an idle window before each and after the last."""
    count = len(active_w)
    at_rest = [idle_w] * (count + 1) if isinstance(idle_w, float) else idle_w
    idle = tuple(IdleWindow(number, window_s, watts * window_s) for number, watts in enumerate(at_rest))
    windows = tuple(
        EnergyWindow(number, window_s, watts * window_s, inferences=round(100 * window_s))
        for number, watts in enumerate(active_w)
    )
    made = EnergyReading(
        meter,
        provenance,
        "" if provenance == "measured" else "a model says so",
        scope,
        instrument=Instrument("counter", 0.001, accuracy=accuracy),
        alignment=ClockAlignment("same_clock"),
        idle=idle,
        windows=windows,
    )
    return msgspec.structs.replace(made, **changes)


def save_all(results: Path, records: Iterable[Record]) -> list[Path]:
    paths = []
    for one in records:
        (results / one.target.name).mkdir(parents=True, exist_ok=True)
        paths.append(record_files.save(one, results))
    return paths
