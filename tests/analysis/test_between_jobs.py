"""Two jobs of one file differ by more than their rounds show: what is known of it widens intervals."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgebench import compare
from edgebench.analysis import between_jobs, ratios, selection, selftest_band
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


# ------------------------------------------------------------------ several jobs a side


def test_jobs_alternate_in_time_or_come_one_side_after_the_other() -> None:
    made = jobs(6, 0.01)
    known = between_jobs.deviations(made)
    by_turns = between_jobs.of_sides(made[1::2], made[::2], known)
    in_a_row = between_jobs.of_sides(made[3:], made[:3], known)
    assert by_turns.by_turns and not in_a_row.by_turns and by_turns.jobs == in_a_row.jobs == (3, 3)
    assert in_a_row.log_half_width == pytest.approx(math.sqrt(3) * by_turns.log_half_width)
    assert by_turns.log_half_width == pytest.approx(2.571 * known["board"].log * math.sqrt(2 / 3))


def test_the_ratio_of_two_sets_of_jobs_is_that_of_their_means() -> None:
    made = jobs(10, 0.01)
    own = [msgspec.structs.replace(one, rounds=make_rounds([p50 * f for f in STEADY])) for one, p50 in zip(
        made[1::2], (51_000.0, 52_000.0, 51_500.0, 51_800.0, 51_200.0), strict=True)]  # fmt: skip
    spread = between_jobs.of_sides(own, made[::2], {"board": Deviation(0.005, 8)})
    ratio = ratios.of_jobs(own, made[::2], spread)
    assert ratio is not None and ratio.freedom == 8 and not ratio.paired
    means = [np.mean([between_jobs.log_p50(one) for one in side]) for side in (own, made[::2])]
    assert math.log(ratio.value) == pytest.approx(means[0] - means[1])
    assert ratio.p is not None and (ratio.p < 0.05) is ratio.differs


def drifting(source: np.random.Generator, count: int) -> np.ndarray:
    """Levels 1 % apart, each of which resembles the one before it by half."""
    steps = 0.01 * math.sqrt(0.75) * source.normal(size=count)
    levels = [0.01 * source.normal()]
    for step in steps[1:]:
        levels.append(0.5 * levels[-1] + step)
    return np.array(levels)


@pytest.mark.parametrize(("by_turns", "count"), [(True, 5), (False, 8)])
def test_with_drift_equal_files_are_seldom_called_different_and_3_percent_is_found(by_turns: bool, count: int) -> None:
    """The designs of docs/compare.md, 400 pairs of sides each."""
    source = np.random.default_rng(5)
    called = found = 0
    for _ in range(400):
        levels = drifting(source, 2 * count)
        base, own = (levels[::2], levels[1::2]) if by_turns else (levels[:count], levels[count:])
        deviation = between_jobs.pooled([own.tolist(), base.tolist()])
        spread = Spread(deviation, deviation, jobs=(count, count), by_turns=by_turns)
        centre, half = float(own.mean() - base.mean()), spread.log_half_width
        called += abs(centre) > half
        found += centre + math.log(1.03) > half
    assert called <= 0.05 * 400 + 8 and found >= 0.9 * 400  # 8: two standard errors


def test_a_targets_self_test_stands_in_where_records_do_not_show_what_jobs_differ_by() -> None:
    one, other = jobs(2, 0.0)
    selftest_band.keep(Deviation(0.01, 10, 0.02), one)
    found = selftest_band.of_targets([one, other])["board"]
    assert (found.log, found.freedom, found.reach, found.selftest) == (0.01, 10, 0.02, one.created)
    slower = msgspec.structs.replace(other, rounds=make_rounds([55_000.0 * factor for factor in STEADY]))
    _, row = compare.compare([one, slower]).rows
    assert row.ratio is not None and row.outcome == "different" and row.ratio.value == pytest.approx(1.1, rel=1e-3)
    assert row.ratio.spread is not None and row.ratio.spread.selftest
