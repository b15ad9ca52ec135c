"""A comparison of made-up records, for the tests of its reports."""

from __future__ import annotations

import msgspec

from edgebench import compare
from edgebench.schema.record import Load, Outcome, Record
from tests.support.records import FACTS, failed, make_artifact, make_reading, make_record, make_rounds


def fixed_records() -> list[Record]:
    """Two real targets and an emulated one; clean, suspect, invalid and failed records; energy and none."""
    other_kernel = msgspec.structs.replace(FACTS, kernel="6.13")
    busy = Load(wall_s=10.0, own_s=10.0, busy_s=18.0, steal_s=0.0)
    return [
        make_record(make_artifact("ultralight-onnx-fp32", accuracy=0.9), target="desk", energy=(make_reading(),)),
        make_record(
            make_artifact("ultralight-onnx-int8", accuracy=0.885),
            target="desk",
            p50_ns=30_000.0,
            facts=other_kernel,
            load=busy,
        ),
        failed("ultralight-tflite-int8", target="desk"),
        make_record(
            make_artifact("ultralight-onnx-fp32", accuracy=0.9), target="pi", job="job-2", p50_ns=900_000.0, threads=4
        ),
        make_record(
            "other-tflite-fp32",
            target="pi",
            job="job-2",
            golden=None,
            rounds=make_rounds([2_500_000.0, 2_600_000.0, 2_400_000.0]),
            outcome=Outcome("budget", reason="not within +/-3.0% after 3 s"),
        ),
        make_record("ultralight-onnx-fp32", target="pi-emulated", emulated=True, job="job-3", p50_ns=9e6),
        make_record("ultralight-onnx-int8", target="pi-emulated", emulated=True, job="job-3", p50_ns=4e6),
    ]


COMPARISON = compare.compare(fixed_records())
