"""Several images an inference: said, and compared image by image, or not at all."""

from __future__ import annotations

import csv as csv_
import io
from pathlib import Path

import pytest

from edgebench import compare
from edgebench.analysis import ratios
from edgebench.analysis.comparison import ComparisonRow
from edgebench.analysis.report import csv, html, markdown
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.record import FedInput, Record
from tests.conftest import run_cli
from tests.support.records import make_artifact, make_reading, make_record, save_all


def fed(*shape: int, name: str = "x") -> tuple[FedInput, ...]:
    return (FedInput(name, shape, "float32"),)


ONE = make_record("one-onnx-fp32", fed=fed(1, 1, 28, 28), energy=(make_reading(),))
FOUR = make_record("batch4-onnx-fp32", fed=fed(4, 1, 28, 28), p50_ns=160_000.0, energy=(make_reading(),))
UNKNOWN = make_record("old-onnx-fp32")


def rows(*records: Record) -> tuple[ComparisonRow, ...]:
    return compare.compare(records).rows


@pytest.mark.parametrize(("base", "other", "expected"), [(ONE, FOUR, 0.8), (FOUR, ONE, 1.25)])
def test_ratios_are_of_an_image_where_both_batches_are_known(base: Record, other: Record, expected: float) -> None:
    _, row = rows(base, other)
    assert row.ratio is not None and row.ratio.per_image
    assert row.ratio.value == pytest.approx(expected, rel=1e-3)
    assert row.ratio.low is not None and row.ratio.high is not None and row.ratio.low <= expected <= row.ratio.high
    assert any(one.startswith("inputs: ") for one in row.differences)
    (joules,) = row.energy_ratios
    assert isinstance(joules, ratios.Ratio) and joules.per_image
    assert joules.value == pytest.approx(0.25 if other is FOUR else 4)


def test_equal_batches_are_compared_as_they_are() -> None:
    _, row = rows(FOUR, make_record("other-onnx-fp32", fed=fed(4, 1, 28, 28), p50_ns=80_000.0))
    assert row.ratio is not None and not row.ratio.per_image and row.ratio.value == pytest.approx(0.5, rel=1e-3)
    assert row.differences == ()


@pytest.mark.parametrize("pair", [(UNKNOWN, FOUR), (FOUR, UNKNOWN)])
def test_there_is_no_ratio_where_one_batch_is_unknown_and_the_other_is_not_one(pair: tuple[Record, Record]) -> None:
    _, row = rows(*pair)
    assert row.ratio is None and row.no_ratio.startswith("4 images per inference")
    assert all(isinstance(one, str) for one in row.energy_ratios)
    assert "no ratio: 4 images per inference" in markdown.render(compare.compare(pair))


def test_records_of_before_are_compared_as_before() -> None:
    _, row = rows(UNKNOWN, make_record("new-onnx-fp32", p50_ns=25_000.0))
    assert row.ratio is not None and row.differences == ()


def test_other_sizes_of_the_inputs_are_a_difference() -> None:
    small, large = (make_record(f"{side}-onnx-fp32", fed=fed(1, 3, side, side)) for side in (160, 224))
    _, row = rows(small, large)
    assert row.differences == ("inputs: 1x3x224x224, baseline 1x3x160x160",)
    assert row.ratio is not None and not row.ratio.per_image


def test_another_layout_is_no_other_size() -> None:
    nchw = make_record("net-onnx-fp32", fed=fed(1, 3, 224, 224))
    nhwc = make_record("net-tflite-fp32", fed=fed(1, 224, 224, 3, name="serving_default_x:0"))
    assert rows(nchw, nhwc)[1].differences == ()


def test_every_report_says_how_many_images_were_fed(tmp_path: Path) -> None:
    comparison = compare.compare([FOUR, ONE])
    text = markdown.render(comparison)
    assert "batch4-onnx-fp32, 4x1x28x28" in text and "per image" in text
    page = html.render(comparison)
    assert "<small>4x1x28x28</small>" in page and "<small>per image</small>" in page and "batch 1" not in page
    lines = list(csv_.DictReader(io.StringIO(csv.render(comparison))))
    assert [(line["batch"], line["fed"]) for line in lines] == [("4", "4x1x28x28"), ("1", "1x1x28x28")]
    assert [line["ratio_per_image"] for line in lines] == ["False", "True"]
    save_all(tmp_path / "results", [FOUR, ONE])
    done = run_cli("compare", cwd=tmp_path)
    assert done.returncode == 0 and "4x1x28x28" in done.stdout and "per image" in done.stdout


def test_one_image_an_inference_is_not_worth_a_word_where_the_bundle_says_what_it_takes() -> None:
    takes = (TensorSpec("x", (1, 1, 28, 28), "float32", "NCHW"),)
    of_bundle = make_record(make_artifact("b-onnx-fp32", inputs=takes), fed=fed(1, 1, 28, 28))
    assert "1x1x28x28" not in markdown.render(compare.compare([of_bundle]))
    assert "1x1x28x28" in markdown.render(compare.compare([ONE]))
