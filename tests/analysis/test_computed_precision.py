"""What a record was computed in: by its options, by the runtime's report, and by its answers."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from edgebench import compare
from edgebench.analysis import computed_precision
from edgebench.analysis.computed_precision import SeenOutput, grid_of
from edgebench.analysis.precision_errors import Grid
from edgebench.analysis.report import markdown
from edgebench.schema.bundle import PARENT_PRECISION, FileRef, Golden, Precision
from edgebench.schema.record import GoldenCheck, GoldenOutput, Record, Runtime
from tests.support.records import make_record

REF = FileRef("golden/x.bin", "0" * 64, 4)


def computed(error: float, *, name: str = "net-onnx-fp32", runtime: Runtime | None = None, **notes: str) -> Record:
    record = make_record(name, runtime=runtime or Runtime("onnxruntime"))
    golden = Golden(1, (REF,), (REF,), (REF,), (0.1,))
    artifact = msgspec.structs.replace(record.artifact, golden=golden, notes=notes)
    output = GoldenOutput(True, values(np.random.default_rng(0).normal(size=10)), error, reference_error=error)
    return msgspec.structs.replace(record, artifact=artifact, golden=GoldenCheck(True, 1, (output,)))


def values(numbers: object) -> str:
    return base64.b64encode(np.asarray(numbers, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("error", "exporter", "grid", "file", "named"),
    [
        (2e-7, 2e-7, "none", "fp32", ["fp32"]),
        (0.0, None, "none", "fp32", ["fp32"]),
        (3e-4, 3e-7, "fp16", "fp32", ["fp16"]),
        (2.7e-3, 3e-7, "bf16", "fp32", ["bf16"]),
        (1.5e-2, 1.5e-2, "none", "int8", ["int8"]),
        (1.0e-4, 1.0e-4, "none", "fp16", ["fp16"]),
    ],
)
def test_the_error_names_the_precision(
    error: float, exporter: float | None, grid: Grid, file: Precision, named: Sequence[str]
) -> None:
    found, unknown = computed_precision.likelihoods([SeenOutput(error, exporter, grid)], file, gpu=False)
    assert not unknown and sum(found.values()) == pytest.approx(1)
    named_ = computed_precision.ComputedPrecision({}, {}, found).names
    assert list(named_) == named


def test_what_answers_cannot_tell_apart_is_said() -> None:
    found, _ = computed_precision.likelihoods([SeenOutput(2e-4, 2e-7, "none")], "fp32", gpu=True)
    named = computed_precision.ComputedPrecision({}, {}, found).names
    assert {"tf32", "fp16"} <= set(named) and "fp32" not in named
    without = computed_precision.likelihoods([SeenOutput(2e-4, 2e-7, "none")], "fp32", gpu=False)[0]
    assert "tf32" not in without


def test_answers_that_are_wrong_have_no_precision() -> None:
    found, why = computed_precision.likelihoods([SeenOutput(0.9, 2e-2, "none")], "int8", gpu=False)
    assert not found and "fits no precision" in why


def test_the_output_farthest_from_fp32_counts() -> None:
    outputs = [SeenOutput(2e-7, 2e-7, "none"), SeenOutput(3e-4, 3e-7, "fp16")]
    found, _ = computed_precision.likelihoods(outputs, "fp32", gpu=False)
    assert computed_precision.ComputedPrecision({}, {}, found).names == ("fp16",)


def test_numbers_of_half_precisions_are_recognised() -> None:
    drawn = np.random.default_rng(1).normal(size=100).astype("<f4")
    halves = drawn.astype("<f2").astype("<f4")
    bfloat = (drawn.view("<u4") & 0xFFFF0000).view("<f4")
    assert [grid_of(values(one)) for one in (drawn, halves, bfloat, drawn[:3])] == ["none", "fp16", "bf16", "few"]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (make_record("loose-onnx-fp32"), "no fp32 answers"),
        (computed(1e-4, **{PARENT_PRECISION: "fp16"}), "does not compute in fp32 itself"),
        (msgspec.structs.replace(computed(1e-4), golden=None), "not answered"),
    ],
)
def test_without_fp32_answers_it_is_not_known(record: Record, why: str) -> None:
    found = computed_precision.of(record)
    assert (str(found), found.names, found.likelihood) == ("not known", (), None) and why in found.unknown


def test_the_runtimes_report_settles_what_answers_leave_open() -> None:
    notes = {"precision": {"asked": {}, "reported": {"bf16": 30, "f32": 3}}}
    found = computed_precision.of(computed(5e-4, runtime=Runtime("openvino", notes=notes)))
    assert set(found.names) > {"bf16"} and str(found) == "bf16" and found.reported == {"bf16": 30, "fp32": 3}


def test_unlike_precisions_under_one_label_have_no_ratio_unless_it_is_marked() -> None:
    single, half = computed(2e-7), computed(1e-3, runtime=Runtime("openvino"))
    found = compare.compare([single, half])
    assert found.rows[1].ratio is None and "computed in: " in found.rows[1].no_ratio
    text = markdown.render(found)
    assert "called fp32, but computed in" in text and "| fp32 " in text
    anyway = compare.compare([single, half], terms=compare.Terms(anyway=True))
    assert anyway.rows[1].ratio is not None and anyway.rows[1].is_unfair
    named_int8 = computed(1e-2, name="net-onnx-int8")
    assert compare.compare([single, named_int8]).rows[1].ratio is not None
