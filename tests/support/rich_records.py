"""Made-up records with everything that a report can show: several kinds of targets, layers, heat, energy, accuracy."""

from __future__ import annotations

import msgspec

from edgebench.schema import plan
from edgebench.schema.layer_times import LayerTime, LayerTimes
from edgebench.schema.record import MeasuredTarget, Memory, Record
from tests.support.records import FACTS, make_artifact, make_reading, make_record, make_rounds

DESKTOP = msgspec.structs.replace(FACTS, model=None, cpu="A desktop's", machine="x86_64")
FP32, INT8, PRUNED = "net-onnx-fp32", "net-onnx-int8", "net-pruned-onnx-fp32"


def rich_records() -> list[Record]:
    """Desktop CPU, desktop GPU and a board; on the board a dominated file and layers; a sustained record."""
    return [
        make_record(make_artifact(FP32, accuracy=0.9), target="desk", facts=DESKTOP, energy=(make_reading(),)),
        on_gpu(make_record(make_artifact(FP32, accuracy=0.9), target="gpu", job="job-2", p50_ns=20e3, facts=DESKTOP)),
        on_board(FP32, 0.9, 900e3, layers=_layers(("conv1", "Conv", 500e3), ("fc", "Gemm", 400e3))),
        on_board(
            INT8, 0.896, 400e3, layers=_layers(("quantize", "QuantizeLinear", 20e3), ("conv1", "QLinearConv", 300e3))
        ),
        on_board(PRUNED, 0.85, 1200e3),
        sustained(),
    ]


def on_board(name: str, accuracy: float, p50_ns: float, layers: LayerTimes | None = None) -> Record:
    reading = make_reading(active_w=(5.0, 5.1, 4.9), scope="rail:cpu", provenance="estimated")
    record = make_record(make_artifact(name, accuracy=accuracy), target="pi", job="job-3", p50_ns=p50_ns, layers=layers)
    return msgspec.structs.replace(record, energy=(reading,), target=MeasuredTarget("pi", "ssh", "cpu", 1, False))


def on_gpu(record: Record) -> Record:
    running = {
        "high_water_bytes": 900_000_000,
        "gpu_process_bytes": 500_000_000,
        "gpu_allocated_high_water_bytes": 40_000_000,
    }
    memory = Memory({"rss_bytes": 20_000_000}, {"rss_bytes": 800_000_000}, running, True)
    return msgspec.structs.replace(record, memory=memory, target=MeasuredTarget("gpu", "local", "cuda", 1, False))


def sustained() -> Record:
    """Three minutes in which it gets hotter and slower, its clock sinks."""
    rounds = tuple(
        msgspec.structs.replace(
            one,
            start_ns=2 * 10**9 * number,
            temperature_c=45.0 + number / 3,
            clock_hz=1_800_000_000 - 5_000_000 * number,
        )
        for number, one in enumerate(make_rounds([50_000.0 * (1 + number / 300) for number in range(90)]))
    )
    record = make_record("hot-onnx-fp32", target="pi", job="job-4", rounds=rounds, plan=plan.named("sustained"))
    return msgspec.structs.replace(record, target=MeasuredTarget("pi", "ssh", "cpu", 1, False))


def _layers(*times: tuple[str, str, float]) -> LayerTimes:
    layers = tuple(LayerTime(name, kind, ns) for name, kind, ns in times)
    return LayerTimes(inferences=100, plain_ns=900e3, profiled_ns=950e3, layers=layers)
