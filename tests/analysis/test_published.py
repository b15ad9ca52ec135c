"""Rows that others published, read as they stand; what differs from a record; what of a gap it explains."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from edgebench.analysis import published
from edgebench.analysis.published import difference
from edgebench.analysis.published.row import PublishedFigure
from edgebench.errors import UserError
from edgebench.schema.record import FedInput, Record, Round
from tests.support.records import FACTS, make_artifact, make_record, save_all

PI5 = msgspec.structs.replace(FACTS, model="Raspberry Pi 5 Model B Rev 1.0", cpu="Cortex-A76")
# Figures as published: benchncnn's README, Ultralytics' guides and tool, MLPerf Tiny 1.3, Arm, XNNPACK.
REAL: list[tuple[str, float, dict[str, object]]] = [
    (
        "     mobilenet_v2  min =    9.00  max =   72.98  avg =   33.88",
        33.88,
        {"statistic": "average", "runtime": "ncnn"},
    ),
    (
        "num_threads = 4\n resnet18_int8  min =  16.6  max =  17.1  avg =  16.70",
        16.7,
        {"threads": 4, "precision": "int8"},
    ),
    (
        "            vgg16  min =  189.10  max =  190.60  avg =  189.60",
        189.6,
        {"model": "vgg16", "weights": "random"},
    ),
    (
        "| NCNN | ✅ | 10.4 | 0.5106 | 88.03 |",
        88.03,
        {"runtime": "ncnn", "accuracy": 0.5106, "input_size": "640x640"},
    ),
    (
        "| [OpenVINO](../openvino.md) | FP32 | ✅ | 10.4 | 0.5082 | 81.2 |",
        81.2,
        {"runtime": "openvino", "precision": "fp32"},
    ),
    (
        "| MNN | FP32 | ✅ | 10.1 | 0.5061 | 112.6 |",
        112.6,
        {"runtime": "mnn"},
    ),
    (
        "| TF Lite | FP32 | ✅ | 10.3 | 0.5059 | 317.4 |",
        317.4,
        {"statistic": "average"},
    ),
    (
        "4   OpenVINO   ✅   10.4   0.5058   81.19   12.32",
        81.19,
        {"runtime": "openvino", "size_bytes": 10.4e6},
    ),
    (
        "| STM32L4R5 | 6.04 | 5,495.9 | 87.0 |",
        1000 / 6.04,
        {"joules": 5495.9e-6, "accuracy": 0.87, "device": "STM32L4R5"},
    ),
    (
        "STM32U3C5 | 19.97 | – | 87.0",
        1000 / 19.97,
        {"joules": None, "statistic": "median"},
    ),
    (
        "Snapdragon MTP | 10,437 | – | 85.5",
        1000 / 10437,
        {"device": "Snapdragon MTP"},
    ),
    (
        "ulp-mlperf: Median throughput is  6.041 inf./sec.",
        1000 / 6.041,
        {"form": "a row of MLPerf Tiny"},
    ),
    (
        "Arm, 2026, Pi 5, YOLO26n 640: ncnn 67.2 ms",
        67.2,
        {"device": "Pi 5", "model": "YOLO26n"},
    ),
    (
        "XNNPACK, Pi 4, MobileNetV2 FP32 multi-threaded: 44 ms",
        44.0,
        {"runtime": "litert", "precision": "fp32"},
    ),
    (
        "runtime=ncnn threads=4 ms=33.9",
        33.9,
        {"runtime": "ncnn", "threads": 4, "statistic": None},
    ),
    (
        "runtime=onnx fps=20 statistic=mean device='Jetson Nano'",
        50.0,
        {"statistic": "average", "device": "Jetson Nano"},
    ),
]
OLDER = """
models:
- name: MobileNet-v2
  performance_metrics:
  - torchscript_onnx_tflite: {inference_time: 369.0, primary_compute_unit: NPU, precision: fp16}
    torchscript_onnx_qnn: {inference_time: 411.0, precision: fp16}
    reference_device_info: {name: Samsung Galaxy S24, os: '14'}
"""
NEWER = """
precisions:
  w8a8:
    components:
      MobileNet-v2:
        performance_metrics:
          Samsung Galaxy S24 (Family):
            tflite: {inference_time_milliseconds: 0.372}
            onnx: {inference_time_milliseconds: 0.9}
"""


@pytest.mark.parametrize(("text", "ms", "said"), REAL)
def test_rows_as_published(text: str, ms: float, said: dict[str, object]) -> None:
    row = published.parse(text)
    assert row.ns == pytest.approx(ms * 1e6)
    assert {name: getattr(row, name) for name in said} == said


def test_ai_hubs_yaml_in_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "perf.yaml"
    path.write_text(OLDER)
    row = published.parse(f"{path}#tflite")
    assert (row.ns, row.device, row.model, row.precision) == (369e3, "Samsung Galaxy S24", "MobileNet-v2", "fp16")
    assert row.runtime == "litert" and "NPU" in row.notes[-1]
    with pytest.raises(UserError, match="2 rows that fit .*FILE#WORD"):
        published.parse(str(path))
    path.write_text(NEWER)
    row = published.parse(f"{path}#litert,s24")
    assert (row.ns, row.model, row.precision) == (372e3, "MobileNet-v2", "int8") and "S24" in (row.device or "")
    path.write_text("a: [&b {inference_time: 1, x: *b}]")
    assert published.parse(str(path)).ns == 1e3
    path.write_text("a: [")
    with pytest.raises(UserError, match="it is not YAML"):
        published.parse(str(path))


def test_a_record_of_ours_and_a_file_of_text(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [make_record("net-onnx-fp32", threads=4)])
    assert published.parse(str(path)).threads == 4 and published.parse(str(path)).statistic == "median"
    text = tmp_path / "bench.txt"
    text.write_text("num_threads = 2\n  a  min = 1.0 max = 2.0 avg = 1.5\n  b  min = 2.0 max = 3.0 avg = 2.5\n")
    assert published.parse(f"{text}#b").ns == 2.5e6 and published.parse(f"{text}#b").threads == 2


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("garbage", "runtime=ncnn threads=4 ms=33.9"),
        ("mobilenet min 9 max 72", "mobilenet_v2  min ="),
        ("| a | b |", r"\| NCNN \| ✅"),
        ("NCNN ✅ 10.4 0.5106 88.03", r"\| NCNN \| ✅"),
        ("6 inf a second", r"\| STM32L4R5 \|"),
        ("runtime=ncnn", "no single time above 0.*runtime=ncnn threads=4"),
        ("thread=4 ms=3", "Did you mean 'threads'"),
        ("threads=0 ms=3", "threads=0 is not a count"),
        ("ms=-3", "no single time above 0"),
        ("ms=1e400", "no single time above 0"),
        ("statistic=medien ms=3", "Did you mean 'median'"),
        ("x" * 5000, "For example"),
        ("", "For example"),
    ],
)
def test_a_row_that_cannot_be_read_gets_the_nearest_right_form(text: str, nearest: str) -> None:
    with pytest.raises(UserError, match=nearest) as caught:
        published.parse(text)
    assert len(str(caught.value)) < 900


def measured(ms: float, *, threads: int = 1, precision: str = "fp32", runtime: str = "onnxruntime") -> Record:
    artifact = make_artifact(f"mobilenet_v2-onnx-{precision}", model="mobilenet_v2")
    record = make_record(
        artifact, threads=threads, p50_ns=ms * 1e6, facts=PI5, fed=(FedInput("x", (1, 3, 640, 640), "f"),)
    )
    return msgspec.structs.replace(record, runtime=msgspec.structs.replace(record.runtime, name=runtime))


def test_what_differs_and_what_the_row_does_not_say() -> None:
    found = difference.against(measured(33.0), published.parse(REAL[0][0]))
    assert {one.name for one in found.differing} == {"runtime", "precision", "statistic"}
    assert set(found.unsaid) == {"threads", "device", "input size"}
    ultralytics = difference.against(measured(33.0), published.parse(REAL[4][0]))
    assert "input size" not in {one.name for one in ultralytics.differing}
    arm = difference.against(measured(33.0), published.parse(REAL[12][0]))
    assert {one.name for one in arm.differing} == {"network", "runtime"}
    assert difference.against(measured(33.0), published.parse("device=rpi4 ms=1")).differing[0].name == "device"


def test_the_statistic_explains_its_part_of_the_gap() -> None:
    """Half of the values take 10 ms and half 30: a median of 10 against an average of 20 is all of the gap."""
    values = (10_000_000,) * 11 + (32_000_000,) * 9
    record = msgspec.structs.replace(measured(10.0), rounds=tuple(Round(n, 1, values, n) for n in range(8)))
    found = difference.against(record, PublishedFigure("test", 19.9e6, "average"))
    assert found.parts[0].name == "statistic" and found.parts[0].share == pytest.approx(1.0, abs=0.01)
    assert "statistic 100%" in " ".join(difference.lines(found, ""))


def test_measured_changes_add_up_to_what_they_explain_together() -> None:
    """Twice the threads halve it, another runtime takes a third off: 120 -> 40 of a gap from 120 to 30."""
    row = PublishedFigure("test", 30e6, "median", runtime="ncnn", threads=2)
    found = difference.against(measured(120.0), row)
    job = [
        measured(120.0),
        measured(60.0, threads=2),
        measured(80.0, runtime="ncnn"),
        measured(40.0, threads=2, runtime="ncnn"),
    ]
    made = difference.with_measured(found, job)
    shares = {part.name: part.share for part in made.parts}
    assert shares["threads"] == pytest.approx(math.log(2) / math.log(4))
    assert shares["runtime"] == pytest.approx(math.log(1.5) / math.log(4))
    assert made.together is not None and made.together.share == pytest.approx(math.log(3) / math.log(4))
    lines = difference.lines(made, "")
    assert len(lines) <= 5 and "threads 50%, runtime 29%; together 79%, so 21% is due to" in lines[-1]
    with pytest.raises(UserError, match="could not be measured again"):
        difference.with_measured(found, job[1:])
    without = difference.with_measured(found, [one for one in job if one.runtime.name != "ncnn"])
    assert "threads 50%; it could not be measured here with runtime ncnn." in difference.lines(without, "")[-1]
    nothing = difference.lines(difference.with_measured(found, job[:1]), "")[-1]
    assert nothing.startswith("What explains the gap is not known") and "runtime ncnn" in nothing


def test_the_record_that_fits_a_row_best_or_a_question() -> None:
    row = published.parse("runtime=ncnn threads=4 ms=33.9")
    records = [measured(1.0), measured(2.0, threads=4), measured(3.0, threads=4, runtime="ncnn")]
    assert difference.best_record(records, row) is records[2]
    with pytest.raises(UserError, match="2 records fit .* Name one of them"):
        difference.best_record([measured(1.0), measured(2.0)], row)
    with pytest.raises(UserError, match="none of these records has times"):
        difference.best_record([msgspec.structs.replace(measured(1.0), rounds=())], row)


@pytest.mark.parametrize(
    "text", ["OpenVINO, 4 threads: 81.2 \u03bcs", "OpenVINO: 81.2 \u00b5S", "runtime=openvino \u03bcs=81.2"]
)
def test_both_letters_for_micro_are_read(text: str) -> None:
    assert published.parse(text).ns == pytest.approx(81_200)


@pytest.mark.parametrize(
    "text",
    [
        "OpenVINO: 12,5 ms", "runtime=ncnn ms=12,5", "runtime=ncnn ms=33.9 ms=40", "ncnn: 5e-3 s", "ncnn -5 ms",
        "ncnn 30-40 ms", "ncnn 30 \u2013 40 ms", "ncnn 30 to 40 ms", "ncnn < 40 ms", "ncnn 1\u202f234.5 ms",
        "ncnn 1'234.5 ms", "runtime = ncnn threads = 4 ms = 33.9",
    ],
)  # fmt: skip
def test_figures_that_may_be_two_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        published.parse(text)


@pytest.mark.parametrize(
    "text", ["ncnn 33.9 \u00b1 0.5 ms", "ncnn 33.9ms +/- 2 %", "ncnn: ~33.9 ms \u00b1 0.5 ms", "ncnn - 33.9 ms"]
)
def test_a_figure_is_not_its_spread(text: str) -> None:
    assert published.parse(text).ns == pytest.approx(33.9e6)


def test_a_row_may_be_longer_than_a_name_of_a_file() -> None:
    assert published.parse(f"ncnn{' ' * 300}33.9 ms").ns == pytest.approx(33.9e6)


def test_thousands_may_be_separated() -> None:
    assert published.parse("OpenVINO: 12,500.5 us").ns == pytest.approx(12_500_500)
    assert published.parse("runtime=ncnn ms=.5").ns == pytest.approx(5e5)


def test_words_that_fit_no_row_are_answered_with_the_rows(tmp_path: Path) -> None:
    row = "- {torchscript_onnx_tflite: {inference_time: 369.0}, reference_device_info: {name: Galaxy S24}}"
    (tmp_path / "perf.yaml").write_text(f"performance_metrics:\n{row}\n", "utf-8")
    with pytest.raises(UserError, match="none of its 1 rows fits 'pixel'.*\n?.*Galaxy S24 litert"):
        published.parse(f"{tmp_path / 'perf.yaml'}#pixel")


def test_a_slip_in_a_name_is_asked_about_and_an_unknown_runtime_is_kept() -> None:
    with pytest.raises(UserError, match="Did you mean 'ncnn'"):
        published.parse("runtime=ncnnn ms=3")
    assert published.parse("runtime=bolt ms=3").runtime == "bolt"


def test_a_file_that_is_not_there_is_not_taken_for_a_row() -> None:
    with pytest.raises(UserError, match=r"there is no file 'results/nosuch\.json'"):
        published.parse("results/nosuch.json")
