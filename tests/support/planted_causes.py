"""Records in which one cause is planted, and clean ones: float and INT8 layers of a made-up network."""

from __future__ import annotations

import random

import msgspec

from edgebench.schema.inspection import Layer, NetworkInFile
from edgebench.schema.layer_times import LayerTime, LayerTimes
from edgebench.schema.record import Record
from tests.support.records import FACTS, make_artifact, make_record

FAST_X86 = msgspec.structs.replace(FACTS, cpu="Xeon", cpu_features=("avx2", "avx512_vnni", "avx512f", "fma"))
OLD_X86 = msgspec.structs.replace(FACTS, cpu="i5-6200U", cpu_features=("avx2", "fma"))

# (kind, µs): convolutions with what lies between them.
FLOAT = [("Conv", 40.0), ("MaxPool", 3.0), ("Conv", 60.0), ("Conv", 50.0), ("GlobalAveragePool", 2.0), ("Gemm", 20.0)]
INT8 = [
    ("QuantizeLinear", 1.0), ("QLinearConv", 18.0), ("NhwcMaxPool", 2.0), ("QLinearConv", 26.0), ("QLinearConv", 22.0),
    ("QLinearGlobalAveragePool", 1.5), ("QGemm", 9.0), ("DequantizeLinear", 0.5),
]  # fmt: skip


def layer_times(found: list[tuple[str, float]], scale: float = 1.0) -> LayerTimes:
    layers = tuple(
        LayerTime(f"/{kind.lower()}{number}", kind, 1000.0 * us * scale, precision=_precision(kind))
        for number, (kind, us) in enumerate(found)
    )
    whole = sum(layer.ns for layer in layers)
    return LayerTimes("", 100, whole, whole * 1.05, layers)


def _precision(kind: str) -> str:
    return "u8" if kind.startswith(("QLinear", "QGemm", "Nhwc", "Dequantize", "Transpose")) else "f32"


def pair(
    int8: list[tuple[str, float]],
    float_: list[tuple[str, float]] = FLOAT,
    *,
    facts: object = FAST_X86,
    layered: bool = True,
    scale: float = 1.0,
    name: str = "net",
    **changes: object,
) -> list[Record]:
    """A float and an INT8 record of one job, whose times are the sums of their layers."""
    made = []
    for precision, layers in (("fp32", float_), ("int8", int8)):
        found = layer_times(layers, scale)
        made.append(
            make_record(
                f"{name}-onnx-{precision}",
                p50_ns=found.plain_ns,
                facts=facts,  # type: ignore[arg-type]
                layers=found if layered else None,
                **changes,
            )
        )
    return made


def clean_records(count: int, seed: int = 1) -> list[list[Record]]:
    """Pairs in which INT8 does what one expects: 1.4 to 3 times as fast, conversions at the edges only."""
    drawn = random.Random(seed)
    made = []
    for number in range(count):
        gain, jitter = drawn.uniform(1.4, 3.0), [drawn.uniform(0.9, 1.1) for _ in FLOAT]
        float_ = [(kind, us * by) for (kind, us), by in zip(FLOAT, jitter, strict=True)]
        whole = sum(us for _, us in float_)
        inner = [
            ("QLinearConv" if kind == "Conv" else "QGemm" if kind == "Gemm" else kind, us / gain) for kind, us in float_
        ]
        int8 = [("QuantizeLinear", 0.01 * whole), *inner, ("DequantizeLinear", 0.005 * whole)]
        facts = drawn.choice([FAST_X86, OLD_X86, FACTS])
        made.append(
            pair(
                int8, float_, facts=facts, layered=drawn.random() < 0.7, scale=drawn.uniform(0.5, 50), name=f"n{number}"
            )
        )
    return made


def network(*layers: Layer) -> NetworkInFile:
    return NetworkInFile({}, (), (), (), layers, {}, 1, 1, 1, None, (), ())


def conv(number: int, name: str, channels: int, *, zeros: int = 0, macs: int = 1_000_000, products: int = 288) -> Layer:
    side = max(1, round((macs / products / channels) ** 0.5))
    return Layer(
        number=number, name=name, operator="Conv", output_shape=(1, channels, side, side), activation_dtype="float32",
        activation_bytes=4 * channels * side * side, macs=macs, parameters=products * channels,
        weights_bytes=4 * products * channels, weights=products * channels, weights_dtype="float32", zeros=zeros,
    )  # fmt: skip


def pruned_pair(
    factor: float, *, macs: tuple[int, int] = (1_000_000, 600_000), zeros: str = "", **changes: object
) -> list[Record]:
    """Dense and pruned; the pruned one takes `factor` of the time."""
    dense = make_artifact("net-onnx-fp32", model="net", macs=macs[0], parameters=macs[0])
    notes = {"zeros": zeros} if zeros else {}
    thin = make_artifact("thin-onnx-fp32", model="net", macs=macs[1], parameters=macs[1], notes=notes)
    return [
        make_record(dense, p50_ns=100_000.0, facts=FAST_X86, **changes),  # type: ignore[arg-type]
        make_record(thin, p50_ns=100_000.0 * factor, facts=FAST_X86, **changes),  # type: ignore[arg-type]
    ]
