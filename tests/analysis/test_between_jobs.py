"""Two jobs of one file differ by more than their rounds show: what is known of it widens intervals."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgebench import compare
from edgebench.analysis import between_jobs, ratios, selection
from edgebench.analysis.between_jobs import UNKNOWN, Deviation, Spread
from edgebench.schema.record import Outcome, Record
from tests.conftest import run_cli
from tests.support.records import STEADY, make_record, make_rounds, save_all

FILE = "net-onnx-fp32"


def jobs(count: int, spread: float, *, seed: int = 1, target: str = "board") -> list[Record]:
    """Of one identical file; each knows its own median to 0.2 %, and they differ by more."""
    levels = 50_000 * np.exp(spread * np.random.default_rng(seed).normal(size=count))
    return [
        make_record(
            FILE,
            target=target,
            job=f"job-{number}",
            created=f"202611{10 + number}T100000Z",
            rounds=make_rounds([level * factor for factor in STEADY]),
        )
        for number, level in enumerate(levels.tolist())
    ]


def test_the_spread_is_that_of_p50_from_job_to_job() -> None:
    found = between_jobs.deviations(jobs(8, 0.05))
    assert found.keys() == {"board"}
    assert found["board"].freedom == 7 and 0.02 < found["board"].log < 0.09


def test_two_jobs_tell_no_spread_and_neither_do_jobs_of_other_files() -> None:
    assert between_jobs.deviations(jobs(2, 0.05)) == {}
    others = [make_record(f"net{number}-onnx-fp32", job=f"job-{number}") for number in range(5)]
    assert between_jobs.deviations(others) == {}


def test_jobs_of_few_rounds_or_that_were_broken_off_tell_no_spread() -> None:
    short = [msgspec.structs.replace(one, rounds=one.rounds[:5]) for one in jobs(5, 0.05)]
    stopped = [msgspec.structs.replace(one, outcome=Outcome("stopped", reason="Ctrl-C")) for one in jobs(5, 0.05)]
    assert between_jobs.deviations([*short, *stopped]) == {}


def test_a_job_that_measured_a_file_twice_counts_once() -> None:
    one = jobs(1, 0.0)
    twins = [make_record(one[0].artifact, job="job-0") for _ in range(5)]
    assert between_jobs.deviations([*one, *twins]) == {}


def test_identical_files_in_two_jobs_are_called_different_in_one_pair_of_twenty_at_most() -> None:
    """By their rounds alone, most pairs are."""
    called = alone = pairs = 0
    for seed in range(20):
        made = jobs(11, 0.05, seed=seed)
        spread = Spread(*[between_jobs.deviations(made)["board"]] * 2)
        for one, other in itertools.combinations(made, 2):
            pairs += 1
            called += bool(getattr(ratios.latency_ratio(one, other, spread), "differs", False))
            alone += bool(getattr(ratios.latency_ratio(one, other), "differs", False))
    assert called / pairs <= 0.05 < 0.6 < alone / pairs


def test_the_least_difference_is_students_for_two_jobs() -> None:
    known = Spread(Deviation(0.01, 10), Deviation(0.01, 10))
    assert known.log_half_width == pytest.approx(2.228 * math.sqrt(2) * 0.01)
    assert Spread(Deviation(0.01, 10), None).least == pytest.approx(UNKNOWN)


def test_one_job_a_side_is_no_verdict(tmp_path: Path) -> None:
    """The same file 10 % slower in the job of another day, each known to 0.2 %."""
    main, pr = tmp_path / "ab-main", tmp_path / "ab-pr"
    save_all(main, [make_record(FILE, job="j1", created="20261129T100000Z")])
    save_all(pr, [make_record(FILE, job="j2", created="20261130T100000Z", p50_ns=55_000.0)])
    done = run_cli("compare", main, pr, cwd=tmp_path)
    shown = " ".join(done.stdout.split())
    assert done.returncode == 0 and "not resolved:" in shown and "1.10x" not in shown
    assert "one job each: differences below 50% are not resolved" in shown
    assert "ab-main" in shown and "ab-pr" in shown


def test_files_of_one_job_are_compared_as_ever() -> None:
    first, second = compare.compare([make_record(FILE), make_record("b-onnx-fp32", p50_ns=50_600.0)]).rows
    assert second.ratio is not None and second.ratio.spread is None and second.outcome == "different"
    assert first.outcome is None


def test_jobs_in_the_results_folder_tell_what_jobs_differ_by(tmp_path: Path) -> None:
    """Five jobs of one file there, 0.5 % apart: 10 % is a difference then, and 0.5 % is none."""
    folder = tmp_path / "results"
    save_all(folder, jobs(5, 0.005))
    save_all(folder, [make_record("new-onnx-fp32", job="late", created="20261129T100000Z", p50_ns=55_500.0)])
    selected = selection.select(folder, [])
    assert selected.older == 4 and [one.artifact.name for one in selected.records] == [FILE, "new-onnx-fp32"]
    history = list(compare.history(selected))
    assert len(history) == 4
    _, row = compare.compare(selected.records, history=history).rows
    assert row.outcome == "different" and row.ratio is not None and row.ratio.spread is not None
    assert row.ratio.spread.is_known
    done = run_cli("compare", "--results", folder, cwd=tmp_path)
    assert "jobs of one file differ by up to" in " ".join(done.stdout.split())
