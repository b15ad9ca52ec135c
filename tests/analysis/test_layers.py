"""Layers of two files side by side: what aligns, what has a row of its own, what a terminal shows."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from edgebench import compare
from edgebench.analysis import layer_pairs, layer_report
from edgebench.analysis.report import html, markdown
from edgebench.schema.layer_times import LayerTime, LayerTimes
from edgebench.schema.peak import Peak, PeakRate
from edgebench.schema.record import Record
from tests.support.records import make_artifact, make_record

# As ONNX Runtime names the layers of one network in float and in INT8.
FLOAT = [("ReorderInput", 1), ("Conv", 7), ("MaxPool", 4), ("Conv", 5), ("ReorderOutput", 3), ("FusedGemm", 7)]
INT8 = [
    ("QuantizeLinear", 3), ("Transpose", 2), ("QLinearConv", 2), ("NhwcMaxPool", 4), ("QLinearConv", 3),
    ("Transpose", 2), ("QGemm", 6), ("DequantizeLinear", 1),
]  # fmt: skip


def layers(*kinds: tuple[str, float]) -> tuple[LayerTime, ...]:
    return tuple(LayerTime(f"{kind}-{number}", kind, 1000.0 * us) for number, (kind, us) in enumerate(kinds))


def kinds(found: list[layer_pairs.LayerPair]) -> list[tuple[str, str]]:
    return [(pair.first.kind if pair.first else "", pair.second.kind if pair.second else "") for pair in found]


def test_layers_of_one_kind_stand_opposite_one_another_and_conversions_alone() -> None:
    found = layer_pairs.pairs(layers(*FLOAT), layers(*INT8))
    assert [pair for pair in kinds(found) if all(pair)] == [
        ("Conv", "QLinearConv"), ("MaxPool", "NhwcMaxPool"), ("Conv", "QLinearConv"), ("FusedGemm", "QGemm"),
    ]  # fmt: skip
    alone = [pair for pair in found if not (pair.first and pair.second)]
    assert len(alone) == 6 and all(pair.is_conversion for pair in alone)
    assert sum(pair.gained_ns for pair in found) == pytest.approx(1000 * (27 - 23))
    assert [pair.second.name for pair in found if pair.second] == [one.name for one in layers(*INT8)]  # in their order


def test_a_layer_that_was_fused_away_does_not_shift_the_others() -> None:
    deep = [kind for _ in range(40) for kind in (("Conv", 2.0), ("Relu", 1.0))]
    found = layer_pairs.pairs(layers(*deep), layers(*[("QLinearConv", 1.0)] * 40))
    assert kinds(found).count(("Conv", "QLinearConv")) == 40 and kinds(found).count(("Relu", "")) == 40
    assert layer_pairs.pairs((), layers(("Conv", 1.0)))[0].first is None


def test_layers_that_compute_the_same_layer_of_the_network_stand_opposite_one_another_whatever_their_order() -> None:
    def layer(kind: str, *parents: str) -> LayerTime:
        return LayerTime(f"{kind} of {parents}", kind, 1.0, parents=parents)

    first = [layer("Conv", "left", "act"), layer("Conv", "right"), layer("Add", "sum"), layer("Gemm", "head")]
    second = [
        layer("QuantizeLinear"), layer("QLinearConv", "right"), layer("QLinearConv", "left"), layer("Relu", "act"),
        layer("QLinearAdd", "sum"), layer("QLinearMatMul", "head"),
    ]  # fmt: skip
    found = layer_pairs.pairs(first, second)
    assert [(pair.first.kind if pair.first else "", pair.name) for pair in found] == [
        ("", "QuantizeLinear of ()"), ("Conv", "right"), ("Conv", "left"), ("", "act"), ("Add", "sum"),
        ("Gemm", "head"),
    ]  # fmt: skip
    assert layer_pairs.pairs(first, ())[0].name == "left + act"


def recorded(precision: str, found: LayerTimes) -> Record:
    return msgspec.structs.replace(make_record(f"net-onnx-{precision}"), layers=found)


def shown(*records: Record) -> str:
    console = Console(file=io.StringIO(), width=80)
    layer_report.show(records, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return " ".join(text.split())


def test_a_terminal_shows_float_and_int8_side_by_side_with_sums_and_the_profilers_cost() -> None:
    float_ = LayerTimes("", 100, 26_000.0, 30_000.0, layers(*FLOAT))
    text = shown(recorded("fp32", float_), recorded("int8", LayerTimes("", 100, 20_000.0, 24_000.0, layers(*INT8))))
    assert "net-onnx-int8, layer by layer" in text and "fp32 µs" in text and "int8 µs" in text
    assert "all layers │ │ 27.0 │ 23.0 │ +4.0" in text and "of these 6 conversions │ │ 4.0 │ 8.0 │ -4.0" in text
    assert "an inference takes 26.0 µs, with the profiler 30.0 µs. Its layers add up to 27.0 µs." in text
    assert "interrupted" not in text
    slow = msgspec.structs.replace(float_, plain_ns=32_000.0, cut=True)
    assert "layer by layer 30.0 µs. Its layers add up to 27.0 µs: the rest is between them" in shown(
        recorded("fp32", slow)
    )
    stranger = make_record(
        msgspec.structs.replace(make_artifact("their-onnx-fp32"), precision="unknown"), layers=float_
    )
    assert "unknown" not in shown(stranger) and "│ µs │" in shown(stranger).replace("┃", "│")
    assert "An inference takes 26.0 µs" in shown(stranger)
    alone = shown(recorded("fp32", msgspec.structs.replace(float_, profiled_ns=20_000.0)))
    assert "saved" not in alone and "they are means, and other programs interrupted some" in alone


def test_the_caption_says_what_the_device_does_at_most() -> None:
    rate = PeakRate(1.07e11, 0.1, 9, "product")
    peaks = (Peak(1, rate), Peak(2, rate, bytes_per_s=PeakRate(8.2e9, 0.1, 9, "copies")), Peak(4, rate))
    found = recorded("fp32", LayerTimes("", 9, 26_000.0, 3e4, layers(*FLOAT)))
    target = msgspec.structs.replace(found.target, threads=2)
    text = shown(msgspec.structs.replace(found, peaks=peaks, target=target))
    assert "Seen at most here, 2 threads: 107 GFLOP/s in float32, 8.2 GB/s." in text


def test_reports_have_the_same_tables() -> None:
    float_, int8 = LayerTimes("", 9, 26_000.0, 3e4, layers(*FLOAT)), LayerTimes("", 9, 2e4, 24_000.0, layers(*INT8))
    records = [recorded("fp32", float_), recorded("int8", int8), recorded("fp16", LayerTimes("not shown"))]
    comparison = compare.compare(records)
    text = markdown.render(comparison)
    assert "### net-onnx-int8, layer by layer" in text and "| all layers |  | 27.0 | 23.0 | +4.0 |" in text
    page = html.render(comparison)
    assert "Layer by layer</h2>" in page and "<td>+4.0</td>" in page and "not shown." in page
    assert "Layer by layer" not in html.render(compare.compare([make_record()]))


def test_more_layers_than_fit_are_summed_up_and_a_runtime_without_a_profiler_says_so() -> None:
    many = LayerTimes("", 9, 1.0, 1e6, layers(*[("Conv", float(us)) for us in range(1, 31)]))
    text = shown(recorded("fp32", many), recorded("fp32", LayerTimes("its package does not say")))
    assert "10 more │ │ 55.0" in text and "all layers │ │ 465.0" in text
    assert text.endswith("Layers in onnxruntime: its package does not say.")
    assert shown(make_record()) == ""
