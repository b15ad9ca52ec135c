"""The answer of a comparison: which file to ship, how sure, what to distrust, what next."""

from __future__ import annotations

import msgspec
import pytest

from edgebench import compare
from edgebench.analysis import answer
from edgebench.analysis.comparison import ShipLimits
from edgebench.schema.record import Load, Record
from tests.support.comparisons import COMPARISON
from tests.support.records import failed, make_artifact, make_record, make_rounds

STEPS = (1.2, 0.9, 1.1, 0.95, 1.05, 1.15, 0.9, 1.0)
BUSY = Load(wall_s=10.0, own_s=10.0, busy_s=18.0, steal_s=0.0)


def file(name: str, p50_ns: float, accuracy: float = 0.9, **changes: object) -> Record:
    return make_record(make_artifact(name, accuracy=accuracy), p50_ns=p50_ns, **changes)


FLOAT = file("net-onnx-fp32", 50_000.0)
FAST = file("net-onnx-int8", 25_000.0, 0.895)
POOR = file("cut-onnx-int8", 10_000.0, 0.80)


def of(*records: Record, following: str = "", **limits: float) -> answer.Answer:
    terms = compare.Terms(limits=ShipLimits(**limits))
    return answer.of(compare.compare(records, terms=terms), following)


def test_the_fastest_file_that_keeps_its_accuracy_is_shipped() -> None:
    found = of(FLOAT, FAST, POOR, following="edgebench compare --html report.html")
    assert found.lines[0].startswith("Ship net-onnx-int8: 25.0") and "0.50x" in found.lines[0]
    assert "net-onnx-fp32" in found.lines[0] and "110 kB" in found.lines[0]
    assert "-0.5 points against the float parent's (-0.9 to -0.1)" in found.lines[1]  # 99 % of the answers agree
    assert "cut-onnx-int8 is faster, but it loses 10.0 points" in found.lines[1]
    assert found.lines[-1] == "Next: edgebench compare --html report.html" and len(found.lines) <= 5


@pytest.mark.parametrize(
    ("limits", "shipped"),
    [
        ({"max_drop": 0.2}, "cut-onnx-int8"),
        ({"max_drop": 0.001}, "net-onnx-fp32"),
        ({"min_accuracy": 0.899}, "net-onnx-fp32"),
        ({"max_bytes": 200_000.0, "max_drop": 0.001}, None),
        ({"max_s": 1e-5}, None),
        ({"max_j": 1e-3}, None),
    ],
)
def test_limits_are_the_users(limits: dict[str, float], shipped: str | None) -> None:
    found = of(FLOAT, FAST, POOR, **limits)
    (choice,) = found.choices
    assert (choice.row and choice.row.record.artifact.name) == shipped
    if shipped is None:
        assert found.lines[0].startswith("No file keeps the limits; the fastest is cut-onnx-int8, but it")


def test_no_difference_can_be_shown_is_an_answer() -> None:
    other = msgspec.structs.replace(FAST, rounds=make_rounds([47_000 * one for one in STEPS]))
    found = of(FLOAT, other)
    assert "No difference in time to net-onnx-fp32 can be shown (" in found.lines[1]


def test_of_files_that_take_the_same_time_the_smaller_is_shipped() -> None:
    found = of(FLOAT, file("net-onnx-int8", 50_200.0))
    assert found.lines[0].startswith("Ship net-onnx-int8")
    assert found.lines[1].startswith("net-onnx-fp32: the same within 3% (") and "but larger" in found.lines[1]


def test_doubts_are_counted_by_cause_and_what_holds_is_said() -> None:
    busy = [msgspec.structs.replace(one, load=BUSY) for one in (FLOAT, FAST)]
    found = of(*busy, failed("other-onnx-fp32"))
    (doubt,) = [line for line in found.lines if line.startswith("Distrust")]
    assert doubt.startswith("Distrust 3 of 3 records (invalid): not measured to the end (1), the machine was busy")
    assert doubt.endswith("Ratios hold: they are paired, round by round.")
    elsewhere = msgspec.structs.replace(file("cut-onnx-fp32", 40_000.0), job="another", load=BUSY)
    (doubt,) = [line for line in of(*busy, elsewhere).lines if line.startswith("Distrust")]
    assert doubt.endswith("Ratios inside one job hold: they are paired, round by round.")
    (doubt,) = [line for line in of(busy[0], elsewhere).lines if line.startswith("Distrust")]
    assert doubt.endswith("(-v).")


def test_unrelated_networks_are_answered_each_for_itself() -> None:
    other = [
        make_record(make_artifact(f"voice-onnx-{precision}"), p50_ns=p50_ns, job="another")
        for precision, p50_ns in (("fp32", 9_000.0), ("int8", 5_000.0))
    ]
    lines = of(FLOAT, FAST, *other).lines
    assert lines[0].startswith("Ship net-onnx-int8: 25.0") and lines[1].startswith("Ship voice-onnx-int8: 5.0")
    many = [file(f"net{number}-onnx-fp32", 1e4, job=str(number)) for number in range(9)]
    many = [msgspec.structs.replace(one, artifact=msgspec.structs.replace(one.artifact, parity=None)) for one in many]
    assert of(*many).lines[-1] == "... and 5 more networks: all of them are in --json." and len(of(*many).lines) == 5
    together = of(FLOAT, FAST, *(msgspec.structs.replace(one, job=FLOAT.job) for one in other)).lines
    assert together[0].startswith("Ship voice-onnx-int8") and not any(line.startswith("Ship net") for line in together)


def test_invalid_records_are_never_shipped() -> None:
    assert FAST.golden is not None
    wrong = msgspec.structs.replace(FAST, golden=msgspec.structs.replace(FAST.golden, passed=False))
    assert of(FLOAT, wrong).choices[0].row is not None
    assert of(FLOAT, wrong).lines[0].startswith("Ship net-onnx-fp32")
    assert of(wrong).lines[0].startswith("Nothing to ship: its record does not give a time")


def test_each_target_has_its_own_answer_in_five_lines_altogether() -> None:
    found = answer.of(COMPARISON, "edgebench compare")
    assert len(found.lines) == 5 and found.lines[-2].startswith("Distrust")
    assert [one.target for one in found.choices] == ["desk", "pi", "pi-emulated"]
    assert "by an emulator's clock" in found.lines[2]


def test_a_single_file_is_no_choice() -> None:
    assert of(FLOAT).lines[0].startswith("Only net-onnx-fp32 was measured: 50.0")


def test_one_file_in_two_runtimes_is_told_apart() -> None:
    other = msgspec.structs.replace(FLOAT.runtime, name="openvino")
    found = of(FLOAT, file("net-onnx-fp32", 25_000.0, runtime=other))
    assert found.lines[0].startswith("Ship net-onnx-fp32 (openvino)")
    assert "of net-onnx-fp32 (onnxruntime)," in found.lines[0]


def swept(threads: int, p50_ns: float, steps: tuple[float, ...] = (1.0,) * 8) -> Record:
    one = file("net-onnx-fp32", p50_ns)
    target = msgspec.structs.replace(one.target, threads=threads)
    return msgspec.structs.replace(one, target=target, rounds=make_rounds([p50_ns * step for step in steps]))


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            [swept(1, 50_000.0), swept(2, 28_000.0), swept(4, 28_100.0)],
            "Threads: 2 are best for net-onnx-fp32, 0.56x (0.56-0.56) of the time with 1; "
            "4 do not pay (1.00x (1.00-1.00) of the time with 2).",
        ),
        (
            [swept(1, 50_000.0), swept(2, 60_000.0)],
            "Threads: 1 is best for net-onnx-fp32; 2 do not pay (1.20x (1.20-1.20) of the time with 1).",
        ),
        (
            [swept(1, 50_000.0), swept(2, 49_000.0, STEPS)],
            "Threads: 1 for net-onnx-fp32; whether 2 pay is not resolved (1.00x (0.88-1.18) of the time with 1).",
        ),
    ],
)
def test_how_many_threads_are_best_and_whether_more_pay(records: list[Record], said: str) -> None:
    found = of(*records)
    assert found.lines[1] == said
    assert f"({said.split()[1]} thread" in found.lines[0]
    assert not any(row.no_ratio for row in compare.compare(records).rows)


def test_other_threads_in_another_job_are_another_condition() -> None:
    later = msgspec.structs.replace(swept(2, 28_000.0), job="another")
    row = compare.compare([swept(1, 50_000.0), later]).rows[1]
    assert "threads" in row.no_ratio
    assert not any(line.startswith("Threads") for line in of(swept(1, 50_000.0), later).lines)
