"""From records to one table: what is chosen, what is compared with what, and what is not."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgebench import compare, plugins
from edgebench.analysis import answer, formatting, report_text, selection, selftest_band
from edgebench.analysis.between_jobs import Deviation
from edgebench.analysis.comparison import Comparison, ComparisonRow
from edgebench.analysis.report import markdown, sections
from edgebench.errors import UnknownName, UserError
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.record import Outcome, Record, Runtime
from tests.support.records import (
    FACTS,
    PLAN,
    failed,
    make_artifact,
    make_golden,
    make_reading,
    make_record,
    make_rounds,
    save_all,
)

FP32, INT8 = "net-onnx-fp32", "net-onnx-int8"


def rows(*records: Record, baseline: str | None = None) -> list[ComparisonRow]:
    return list(compare.compare(records, baseline=baseline).rows)


def names(records: list[Record]) -> list[str]:
    return [one.artifact.name for one in records]


# ------------------------------------------------------------------ which records


def test_the_newest_record_of_each_artifact_is_selected(tmp_path: Path) -> None:
    old = make_record(FP32, job="old", created="20261119T100000Z")
    new = make_record(FP32, job="new", created="20261120T100000Z")
    other = make_record(INT8, job="old", created="20261119T100000Z")
    save_all(tmp_path, [new, other, old])
    selected = selection.select(tmp_path, ["board"]).records
    assert [(one.artifact.name, one.job) for one in selected] == [(FP32, "new"), (INT8, "old")]


def test_the_run_before_stands_for_one_that_was_cut_off(tmp_path: Path) -> None:
    """Its row was once "-" for everything, though the file had been measured."""
    old = make_record(FP32, job="old", created="20261119T100000Z")
    cut_off = make_record(FP32, job="new", created="20261120T100000Z", rounds=(), outcome=Outcome("agent-died"))
    crashed = failed(INT8, job="new", created="20261120T100000Z")
    save_all(tmp_path, [old, cut_off, make_record(INT8, job="old", created="20261119T100000Z"), crashed])
    asked = compare.Asked()
    found = compare.find(tmp_path, asked)
    assert [one.job for one in found[0].records] == ["old", "new"]  # a failure is said of the file, and seen
    notes = list(report_text.notes(compare.of_found(found, asked, compare.Terms())))
    assert [note for note in notes if "no values" in note] == [
        f"{FP32} on board: its newest run (20261120T100000Z) has no values (agent-died); the run before it is shown."
    ]


def test_a_models_files_stand_together_floats_first(tmp_path: Path) -> None:
    wanted = [
        "net-onnx-fp32",
        "net-onnx-fp16",
        "net-onnx-int8",
        "net-tflite-fp32",
        "net-tflite-int8",
        "other-onnx-fp32",
    ]
    save_all(tmp_path, [make_record(name) for name in reversed(wanted)])
    assert names(selection.select(tmp_path, ["board"]).records) == wanted


def test_targets_come_in_the_order_of_the_command_line(tmp_path: Path) -> None:
    save_all(tmp_path, [make_record(FP32, target=target) for target in ("a", "b", "c")])
    assert [one.target.name for one in selection.select(tmp_path, ["c", "a"]).records] == ["c", "a"]
    assert [one.target.name for one in selection.select(tmp_path, []).records] == ["a", "b", "c"]


def test_a_record_can_be_named_by_its_file(tmp_path: Path) -> None:
    old, new = (make_record(FP32, created=created) for created in ("20261119T100000Z", "20261120T100000Z"))
    paths = save_all(tmp_path, [old, new])
    assert selection.select(tmp_path, [str(paths[0])]).records == [old]
    assert selection.select(tmp_path, ["board", str(paths[0])]).records == [new, old]
    twice = selection.select(tmp_path, ["board", "board", str(paths[0]), str(tmp_path), str(paths[0])])
    assert twice.records == [new, old] and all(len(runs) == 2 for runs in twice.series.values())


def test_a_results_folder_can_be_named_beside_targets(tmp_path: Path) -> None:
    here, there = tmp_path / "results", tmp_path / "colleague"
    save_all(here, [make_record(FP32, target="a")])
    save_all(there, [make_record(FP32, target=target) for target in ("b", "c")])
    assert [one.target.name for one in selection.select(here, ["a", str(there)]).records] == ["a", "b", "c"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: contains no records"):
        selection.select(here, [str(tmp_path / "empty")])


def test_the_folder_of_one_target_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_all(tmp_path, [make_record(FP32, target=target) for target in ("a", "b")])
    selected = selection.select(tmp_path / "elsewhere", [str(tmp_path / "b")])
    assert [one.target.name for one in selected.records] == ["b"] and len(selected.series) == 1
    monkeypatch.chdir(tmp_path / "a")
    assert [one.target.name for one in selection.select(Path("results"), ["."]).records] == ["a"]


def test_the_jobs_of_a_target_are_no_records(tmp_path: Path) -> None:
    save_all(tmp_path, [make_record()])
    job = tmp_path / "board/.jobs/20261120-abc"
    job.mkdir(parents=True)
    (job / "request.json").write_text("{}")
    assert len(selection.select(tmp_path, []).records) == 1


def test_an_unknown_target_is_answered_with_a_guess(tmp_path: Path) -> None:
    save_all(tmp_path, [make_record(target="desktop-cpu")])
    with pytest.raises(UnknownName, match="Did you mean 'desktop-cpu'"):
        selection.select(tmp_path, ["desktop-cpo"])


@pytest.mark.parametrize("results", ["nowhere", ""])
def test_without_records_the_remedy_is_to_deploy(tmp_path: Path, results: str) -> None:
    with pytest.raises(UserError, match="edgebench deploy"):
        selection.select(tmp_path / results, [])


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text('{"hello": 1}')
    selected = selection.select(tmp_path, [str(tmp_path / "notes.json")])
    (error,) = selected.skipped
    assert selected.records == [] and "notes.json: it is not a record" in str(error)


# ------------------------------------------------------------------ the baseline


def test_the_first_measured_row_is_the_baseline() -> None:
    first, second, third = rows(failed("gone-onnx-fp32"), make_record(FP32), make_record(INT8, p50_ns=25_000.0))
    assert [first.is_baseline, second.is_baseline, third.is_baseline] == [False, True, False]
    assert third.ratio is not None and third.ratio.value == pytest.approx(0.5, rel=1e-3) and third.ratio.paired
    assert second.ratio is not None and second.ratio.value == 1


WRONG = make_record("wrong-onnx-fp32", golden=msgspec.structs.replace(make_golden([[1.0, 0.0]]), passed=False))


def test_a_record_that_answered_wrongly_is_invalid_and_has_no_rank() -> None:
    assert WRONG.rounds and WRONG.outcome.status == "complete"
    wrong, right, other = rows(WRONG, make_record(FP32), make_record(INT8, p50_ns=25_000.0))
    assert (wrong.verdict.level, wrong.ratio, wrong.no_ratio) == ("invalid", None, "its record is invalid")
    assert [one.is_baseline for one in (wrong, right, other)] == [False, True, False]
    assert other.ratio is not None and other.ratio.value == pytest.approx(0.5, rel=1e-3)
    charted = [
        one["artifact"]
        for section in sections.of(compare.compare([WRONG, make_record(FP32)]))
        for figure in section.figures
        if figure.name != "sizes"
        for one in figure.panels[0]["datasets"]["rows"]
    ]
    assert charted and not any("wrong" in label for label in charted)


@pytest.mark.parametrize("record", [WRONG, failed("broken-onnx-fp32")], ids=["wrong", "failed"])
def test_an_invalid_record_is_no_baseline_even_if_it_is_named(record: Record) -> None:
    with pytest.raises(UserError, match="it cannot serve as a baseline: .*Name another artifact"):
        rows(record, make_record(FP32), baseline=record.artifact.name)


def test_of_several_records_of_a_name_the_baseline_is_one_that_is_valid() -> None:
    wrong = msgspec.structs.replace(WRONG, artifact=make_record(FP32).artifact, created="20261101T000000Z")
    assert [one.is_baseline for one in rows(wrong, make_record(FP32), baseline=FP32)] == [False, True]


def test_rows_have_no_ratios_if_no_record_can_be_the_baseline() -> None:
    found = rows(WRONG, failed(INT8))
    assert [(one.is_baseline, one.ratio) for one in found] == [(False, None)] * 2


def test_a_baseline_is_chosen_by_artifact_or_by_target_and_artifact() -> None:
    records = [make_record(name, target=target) for target in ("a", "b") for name in (FP32, INT8)]
    for wanted, marked in ((INT8, ("a", INT8)), (f"b/{FP32}", ("b", FP32))):
        found = rows(*records, baseline=wanted)
        assert [(r.record.target.name, r.record.artifact.name) for r in found if r.is_baseline] == [marked]
        assert all(row.ratio is not None for row in found)


def test_a_mistyped_baseline_is_answered_with_a_guess() -> None:
    with pytest.raises(UnknownName, match=f"Did you mean '{INT8}'"):
        rows(make_record(FP32), make_record(INT8), baseline="net-onnx-int9")


def test_across_targets_the_ratio_is_not_paired() -> None:
    _, other = rows(make_record(target="a"), make_record(target="b", job="job-2", p50_ns=150_000.0))
    assert other.ratio is not None and not other.ratio.paired
    assert other.ratio.value == pytest.approx(3, rel=1e-3)


# ------------------------------------------------------------------ emulated targets

REAL = [make_record(FP32, target="desk"), make_record(INT8, target="desk", p50_ns=40_000.0)]
EMULATED = [
    make_record(FP32, target="qemu", emulated=True, job="job-2", p50_ns=900_000.0),
    make_record(INT8, target="qemu", emulated=True, job="job-2", p50_ns=300_000.0),
]


def test_an_emulated_row_is_compared_with_its_own_target_only() -> None:
    ratios = [row.ratio.value for row in rows(*REAL, *EMULATED) if row.ratio]
    assert ratios == pytest.approx([1, 0.8, 1, 1 / 3], rel=1e-3)
    assert [row.is_baseline for row in rows(*REAL, *EMULATED)] == [True, False, True, False]


def test_an_emulated_record_is_not_the_baseline_even_if_it_comes_first() -> None:
    other = make_record(FP32, target="pi", job="job-9", p50_ns=150_000.0)
    found = rows(*EMULATED, *REAL, other)
    assert [row.is_baseline for row in found] == [True, False, True, False, False]
    assert [row.ratio.value for row in found if row.ratio] == pytest.approx([1, 1 / 3, 1, 0.8, 3], rel=1e-3)


def test_an_emulated_baseline_is_never_used_for_a_real_row() -> None:
    found = rows(*REAL, *EMULATED, baseline=f"qemu/{INT8}")
    assert [row.ratio.value for row in found if row.ratio] == pytest.approx([1 / 0.8, 1, 3, 1], rel=1e-3)
    assert [row.is_baseline for row in found] == [False, True, False, True]


def test_two_emulated_targets_are_not_compared_with_each_other() -> None:
    other = make_record(FP32, target="qemu-2", emulated=True, job="job-3", p50_ns=5_000_000.0)
    assert [row.ratio.value for row in rows(EMULATED[0], other) if row.ratio] == [1, 1]


def test_a_real_baseline_that_the_emulated_target_lacks_gives_way_to_its_first() -> None:
    found = rows(make_record("more-onnx-fp32", target="desk"), *EMULATED)
    assert [row.is_baseline for row in found] == [True, True, False]


BROKEN = failed("broken-onnx-fp32", target="qemu", emulated=True, job="job-2")


@pytest.mark.parametrize("records", [[BROKEN, *EMULATED], [REAL[0], BROKEN, EMULATED[1]]], ids=["alone", "with a real"])
def test_a_failed_first_record_of_an_emulated_target_is_not_its_baseline(records: list[Record]) -> None:
    assert BROKEN.target == EMULATED[1].target
    assert rows(*records)[-1].ratio is not None


# ------------------------------------------------------------------ conditions that differ


def difference(own: Record, base: Record) -> tuple[str, ...]:
    return rows(base, own)[1].differences


def test_equal_conditions_have_no_differences() -> None:
    assert difference(make_record(INT8), make_record(FP32)) == ()


def test_threads_and_plan_are_compared_across_all_targets() -> None:
    own = make_record(INT8, target="b", threads=4, plan=msgspec.structs.replace(PLAN, preset="default"))
    assert difference(own, make_record(FP32, target="a")) == (
        "threads: 4, baseline 1",
        "plan: default, baseline quick",
    )


@pytest.mark.parametrize(
    ("fact", "value", "said"),
    [
        ("governor", "powersave", "governor: powersave, baseline performance"),
        ("kernel", "6.13", "kernel: 6.13, baseline 6.12"),
        ("model", "Another board", "device: Another board, baseline A board"),
        ("cpu", "Cortex-A76", "processor: Cortex-A76, baseline Cortex-A72"),
    ],
)
def test_a_target_that_changed_between_two_jobs_is_said(fact: str, value: str, said: str) -> None:
    changed = msgspec.structs.replace(FACTS, **{fact: value})
    assert difference(make_record(INT8, facts=changed), make_record(FP32)) == (said,)
    assert difference(make_record(INT8, facts=changed, target="other"), make_record(FP32)) == ()


def test_a_fact_that_one_side_does_not_know_is_no_difference() -> None:
    assert difference(make_record(INT8, facts=msgspec.structs.replace(FACTS, governor=None)), make_record(FP32)) == ()


def test_another_version_of_the_same_runtime_is_said_and_another_runtime_is_not() -> None:
    newer = make_record(INT8, runtime=Runtime("onnxruntime", {"version": "2"}))
    assert difference(newer, make_record(FP32)) == ("runtime: onnxruntime 2, baseline onnxruntime 1",)
    assert (
        difference(make_record("net-tflite-fp32", runtime=Runtime("litert", {"version": "9"})), make_record(FP32)) == ()
    )


# ------------------------------------------------------------------ outputs, bit by bit

ANSWERS = [[0.1, 0.9], [0.8, 0.2], [0.5, 0.4]]


def two_targets(there: list[list[float]], **changes: object) -> Comparison:
    here = make_record(FP32, target="a", outputs=ANSWERS)
    return compare.compare([here, make_record(FP32, target="b", job="job-2", outputs=there, **changes)])


def test_the_same_answers_on_two_targets_are_identical() -> None:
    (match,) = two_targets(ANSWERS).outputs
    assert (match.artifact, match.target, match.other) == (FP32, "b", "a")
    assert match.identical and match.max_abs_diff == 0 and match.top1_agreement == 1


def test_one_bit_is_a_difference() -> None:
    (bits,) = struct.unpack("<I", struct.pack("<f", 0.9))
    (flipped,) = struct.unpack("<f", struct.pack("<I", bits ^ 1))
    (match,) = two_targets([[0.1, flipped], *ANSWERS[1:]]).outputs
    assert not match.identical
    assert 0 < match.max_abs_diff < 1e-7 and match.top1_agreement == 1


def test_another_top_answer_counts_against_the_agreement() -> None:
    (match,) = two_targets([[0.9, 0.1], *ANSWERS[1:]]).outputs
    assert match.top1_agreement == pytest.approx(2 / 3) and match.max_abs_diff == pytest.approx(0.8)


def test_minus_zero_is_not_zero_bit_by_bit() -> None:
    comparison = compare.compare([make_record(target=t, outputs=[[o, 1.0]]) for t, o in (("a", 0.0), ("b", -0.0))])
    (match,) = comparison.outputs
    assert not match.identical and match.max_abs_diff == 0


def test_only_the_same_file_on_another_target_is_matched() -> None:
    base = make_record(FP32, target="a")
    assert compare.compare([base, make_record(FP32, target="a", job="again")]).outputs == ()
    other_file = make_record(make_artifact(FP32, content="retrained"), target="b")
    assert compare.compare([base, other_file]).outputs == ()
    renamed = make_record(make_artifact("renamed-onnx-fp32", content=FP32), target="b")
    assert [match.artifact for match in compare.compare([base, renamed]).outputs] == ["renamed-onnx-fp32"]


def test_every_target_is_matched_with_the_first() -> None:
    comparison = compare.compare([make_record(FP32, target=target, outputs=ANSWERS) for target in "abc"])
    assert [(match.target, match.other) for match in comparison.outputs] == [("b", "a"), ("c", "a")]


def test_unchecked_records_are_not_matched() -> None:
    assert two_targets(ANSWERS, golden=None).outputs == ()


def test_answers_to_other_golden_inputs_are_not_matched() -> None:
    """The same file, exported again with more golden inputs: nothing to compare bit by bit."""
    assert two_targets([*ANSWERS, [0.3, 0.7]]).outputs == ()


# ------------------------------------------------------------------ rows


def test_a_failed_record_is_a_row_without_numbers() -> None:
    _, row = rows(make_record(FP32), failed(INT8))
    assert row.verdict.level == "invalid"
    assert (row.p50_ns, row.p90_ns, row.p99_ns, row.throughput_hz, row.ratio) == (None,) * 5
    assert row.no_ratio == "its record is invalid" and not row.is_baseline
    assert row.high_water_bytes is None


def test_a_single_record_is_its_own_baseline() -> None:
    (row,) = rows(make_record())
    assert row.is_baseline and row.ratio is not None and row.ratio.value == 1 and row.no_ratio == ""
    assert row.p50_ns is not None and row.p50_ns.value == pytest.approx(50_000, rel=1e-3)
    assert row.throughput_hz == pytest.approx(20_000, rel=1e-3)


def test_a_single_failed_record_is_a_table_too() -> None:
    (row,) = rows(failed())
    assert row.ratio is None and row.no_ratio


def test_energy_is_per_meter_or_says_why_not() -> None:
    unavailable = EnergyReading("nvml", "unavailable", "no GPU")
    measured, asked, never = rows(
        make_record(FP32, energy=(make_reading(), unavailable)),
        make_record(INT8, energy=(EnergyReading("rapl", "unavailable", "none here"), unavailable)),
        make_record("net-tflite-fp32"),
    )
    assert [(one.meter, one.scope) for one in measured.energy] == [("rapl", "cpu_package")]
    assert measured.no_energy == ("nvml: no GPU",)
    assert (asked.energy, asked.no_energy) == ((), ("rapl: none here", "nvml: no GPU"))
    assert (never.energy, never.no_energy) == ((), ("no meter was used",))


def test_memory_that_was_not_measured_is_absent() -> None:
    assert rows(make_record(memory=None))[0].high_water_bytes is None


# ------------------------------------------------------------------ what must be equal


def test_conditions_that_must_be_equal_and_are_not_give_a_reason_and_a_command_in_place_of_a_ratio() -> None:
    four = make_record(INT8, threads=4, job="job-2", p50_ns=20_000.0)
    _, row = rows(make_record(FP32), four)
    assert row.ratio is None and row.outcome is None
    assert row.no_ratio.startswith("threads: 4, baseline 1. Measure both in one job: edgebench deploy --target board")
    assert "net-onnx-fp32.onnx net-onnx-int8.onnx" in row.no_ratio and row.no_ratio.endswith("--anyway")
    _, row = compare.compare([make_record(FP32), four], terms=compare.Terms(anyway=True)).rows
    assert row.ratio is not None and row.is_unfair and formatting.ratio(row).endswith("UNLIKE")


@pytest.mark.parametrize("form", plugins.names("edgebench.analysis.report"))
def test_a_ratio_that_was_asked_for_anyway_is_marked_in_every_form(form: str) -> None:
    pair = [make_record(FP32), make_record(INT8, threads=4, job="job-2")]
    render = plugins.load("edgebench.analysis.report", form, kind="report").render
    marked, unmarked = (compare.compare(pair, terms=compare.Terms(anyway=one)) for one in (True, False))
    if form == "parquet":
        pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        assert pq.read_table(io.BytesIO(render(marked))).column("unfair").to_pylist() == [False, True]
    else:
        assert re.search("unlike|unfair", render(marked), re.IGNORECASE) and "0.500" not in render(unmarked)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"plan": msgspec.structs.replace(PLAN, duty_hz=5.0)}, {"pace"}),
        ({"plan": msgspec.structs.replace(PLAN, seconds_max=9.0)}, set()),
        ({"facts": msgspec.structs.replace(FACTS, governor="powersave")}, {"governor"}),
        ({"facts": msgspec.structs.replace(FACTS, virtual_machine=True)}, set()),  # the other's is not known
        ({"facts": msgspec.structs.replace(FACTS, temperature_c=60.0)}, set()),
        ({"edgebench": "0.2.0"}, set()),
        ({"created": "20260101T100000Z"}, set()),
        ({"runtime": Runtime("onnxruntime", {"version": "1"}, {"providers": ["CUDAExecutionProvider"]})}, set()),
    ],
)
def test_each_condition_has_a_rule(changes: dict[str, Any], names: set[str]) -> None:
    _, row = rows(make_record(FP32), make_record(INT8, **changes))
    assert {one.name for one in row.unlike if one.rule == "equal"} == names
    assert (row.ratio is None) is bool(names)


def test_another_file_of_the_same_name_is_said() -> None:
    other = make_record(make_artifact(FP32, content="retrained"), job="job-2")
    assert difference(other, make_record(FP32))[0].startswith("file: ")


# ------------------------------------------------------------------ runs of a file


def test_older_runs_are_counted_and_shown_if_asked_for(tmp_path: Path) -> None:
    made = [make_record(FP32, job=f"j{day}", created=f"202611{day}T100000Z") for day in (10, 20, 28)]
    save_all(tmp_path, made)
    newest = selection.select(tmp_path, [])
    assert (newest.records, newest.older) == ([made[2]], 2)
    assert selection.select(tmp_path, [], every=True).records == made
    since = selection.since("2026-11-15")
    assert selection.select(tmp_path, [], after=since).records == made[1:]
    with pytest.raises(UserError, match="all 3 records are older than 2027-01-01 00:00 UTC"):
        selection.select(tmp_path, [], after=selection.since("2027-01-01"))
    assert "2 older runs are not" in " ".join(markdown.render(compare.compare(newest.records, older=2)).split())


@pytest.mark.parametrize("typed", ["yesterday", "7x", "", "d", "1e400d"])
def test_since_is_a_date_or_an_age(typed: str) -> None:
    with pytest.raises(UserError, match="--since 7d"):
        selection.since(typed)


# ------------------------------------------------------------------ two result sets


def sets(tmp_path: Path, slower: float, jobs: int = 1) -> list[str]:
    """Two files in `main` and in `pr`, where the second takes longer."""
    for side, factor in (("main", 1.0), ("pr", slower)):
        made = [
            make_record(name, job=f"{side}{day}", created=f"202611{day}T1{len(side)}0000Z", p50_ns=p50 * own)
            for day in range(10, 10 + jobs)
            for name, p50, own in ((FP32, 50_000.0, 1.0), (INT8, 25_000.0 * (1 + day % 3 / 1000), factor))
        ]
        save_all(tmp_path / side, made)
    return [str(tmp_path / side) for side in ("main", "pr")]


def of_sets(*folders: str) -> Comparison:
    asked = compare.Asked(folders)
    return compare.of_found(compare.find(Path("results"), asked), asked, compare.Terms())


def test_each_file_is_compared_with_its_earlier_self(tmp_path: Path) -> None:
    shown = of_sets(*sets(tmp_path, 1.1, jobs=3))
    assert [(one.record.artifact.name, one.label) for one in shown.rows] == [
        (FP32, "main, 2026-11-12"), (FP32, "pr, 2026-11-12"), (INT8, "main, 2026-11-12"), (INT8, "pr, 2026-11-12"),
    ]  # fmt: skip
    assert [one.outcome for one in shown.rows] == [None, "equivalent", None, "different"]
    ratio = shown.rows[3].ratio
    assert ratio is not None and ratio.value == pytest.approx(1.1, rel=1e-3)
    assert ratio.spread is not None and ratio.spread.jobs == (3, 3) and ratio.spread.by_turns


def test_one_job_a_side_is_found_but_not_resolved_unless_the_targets_selftest_says_what_jobs_differ_by(
    tmp_path: Path,
) -> None:
    both = sets(tmp_path, 1.1)
    row = of_sets(*both).rows[3]
    assert row.outcome == "not resolved" and row.ratio is not None and row.ratio.value == pytest.approx(1.1, rel=1e-3)
    selftest_band.keep(Deviation(0.005, 11, 0.01), row.record)
    row = of_sets(*both).rows[3]
    assert row.outcome == "different" and row.ratio is not None and row.ratio.spread is not None
    assert row.ratio.spread.selftest
    other = msgspec.structs.replace(row.record, facts_before=msgspec.structs.replace(FACTS, cpu="Another"))
    assert selftest_band.of_targets([other]) == {}


def test_a_file_of_one_set_alone_has_no_ratio(tmp_path: Path) -> None:
    both = sets(tmp_path, 1.0)
    save_all(tmp_path / "pr", [make_record("new-onnx-fp32", job="pr1")])
    assert [one.no_ratio for one in of_sets(*both).rows if one.record.artifact.name == "new-onnx-fp32"] == [
        "no record can be the baseline"
    ]


def test_files_without_a_ratio_are_counted_too(tmp_path: Path) -> None:
    both = sets(tmp_path, 1.0, jobs=3)
    save_all(tmp_path / "pr", [make_record("new-onnx-fp32", job="pr9")])
    lines = answer.of(of_sets(*both)).lines
    assert "2 of 3 files are as fast as before, within 3%." in lines, lines
    assert "No ratio for 1 of 3 files: see the notes." in lines


def test_meters_that_could_not_be_read_say_why() -> None:
    why = EnergyReading(meter="rapl", provenance="unavailable", reason="no counters here")
    notes = list(report_text.brief_notes(compare.compare([make_record(energy=(why,))])))
    assert "No energy: rapl: no counters here." in notes


def test_two_folders_without_a_file_in_common_stand_side_by_side(tmp_path: Path) -> None:
    save_all(tmp_path / "laptop", [make_record(FP32, target="laptop")])
    save_all(tmp_path / "board", [make_record(FP32, target="board", job="job-2", p50_ns=150_000.0)])
    found = of_sets(str(tmp_path / "laptop"), str(tmp_path / "board"))
    assert not found.is_against_earlier and [one.is_baseline for one in found.rows] == [True, False]
    assert found.rows[1].ratio is not None and found.rows[1].ratio.value == pytest.approx(3, rel=1e-3)


# ------------------------------------------------------------------ many comparisons


def test_among_many_comparisons_one_just_beyond_chance_is_not_a_difference() -> None:
    steps = (1.03, 1.006, 1.02, 1.01, 1.04, 1.008, 1.03, 1.02)
    barely = make_record("barely-onnx-fp32", rounds=make_rounds([50_000 * one for one in steps]))
    assert rows(make_record(FP32), barely)[1].outcome == "different"
    others = [make_record(f"net{number}-onnx-fp32") for number in range(30)]
    row = rows(make_record(FP32), barely, *others)[1]
    assert row.ratio is not None and row.ratio.differs and row.ratio.is_one_of_many and row.outcome == "not resolved"
    assert "(Holm)" in markdown.render(compare.compare([make_record(FP32), barely, *others]))


def test_dates_keep_their_zone_and_ages_are_not_in_the_future() -> None:
    assert selection.since("2026-11-15T10:00:00+02:00") == selection.since("2026-11-15T08:00:00")
    for typed in ("-1d", "nand", "infd", "d", "7w"):
        with pytest.raises(UserError, match="neither a date nor an age"):
            selection.since(typed)
