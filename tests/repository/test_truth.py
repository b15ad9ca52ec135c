"""The benchmark of our own error rates works, and what it would catch it catches. Its large counts are run by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks import rounds, truth
from edgebench.device import simulated
from edgebench.schema import plan
from edgebench.schema.plan import Plan
from tests.support.records import failed, make_record, make_rounds

DEFAULT = plan.named("default")
EXPERIMENTS = 300
NOTHING = rounds.independent(0.0)


@pytest.mark.parametrize("name", [name for name in truth.GATED if name != "independent, 2 %"])
def test_the_default_plan_meets_the_gates_on_made_up_rounds(name: str) -> None:
    """Within what so few experiments can show: three standard errors."""
    found = rounds.experiment(*truth.NOISES[name], DEFAULT, EXPERIMENTS)
    assert truth.COVERAGE[0] - 0.04 <= found.covered <= truth.COVERAGE[1] + 0.02
    assert found.called_paired <= truth.CALLED + 0.04
    assert found.precise > 0.9


def test_a_difference_is_detected_from_the_size_on_that_is_said() -> None:
    """Of two files whose rounds differ by so much, four measurements in five say so."""
    noise = rounds.independent(0.003)
    detectable = rounds.experiment(noise, NOTHING, DEFAULT, EXPERIMENTS).detectable
    found = 0
    for seed in range(EXPERIMENTS):
        first = rounds.measured(noise, NOTHING, DEFAULT, seed, difference=detectable)
        found += first.differs
    assert 0.7 <= found / EXPERIMENTS <= 0.9


def test_noise_has_the_median_that_it_says() -> None:
    source = np.random.default_rng(3)
    for name, (own, _) in truth.NOISES.items():
        assert np.median(own(source, 20_001)) == pytest.approx(0, abs=1.5e-3), name


def test_jobs_on_a_simulated_device_are_counted(
    tmp_path: Path, tiny_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth, "DEFAULT", msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=2.0))
    pairs = truth.jobs("clean", 2, tmp_path)
    assert pairs[0].first.rounds != pairs[1].first.rounds
    assert pairs[0].first.artifact.content.sha256 == pairs[0].twin.artifact.content.sha256
    rows = list(truth.clean_rows(pairs))
    assert [row[0].split(",")[0] for row in rows] == [
        "coverage", "A/A called", "A/A called", "p50 against the truth", "clean jobs flagged",
    ]  # fmt: skip


def test_what_is_called_flagged_and_missed_is_counted() -> None:
    level = simulated.NET.latency_ns
    steady = [level * factor for factor in (1.001, 0.999, 1.002, 0.998, 1.001, 0.999, 1.0)]
    right = make_record(rounds=make_rounds(steady))
    wrong = make_record("twin-onnx-fp32", rounds=make_rounds([value * 1.05 for value in steady]))
    pairs = [truth.Pair(right, right), truth.Pair(right, wrong), truth.Pair(right, failed())]
    coverage, in_one_job, across, bias, flagged = truth.clean_rows(pairs)
    assert bias[1] == "+0.000%"
    assert coverage[1] == "66.7%" and coverage[3] == "NO"
    assert in_one_job[1] == "33.3%" and in_one_job[3] == "NO"
    assert across[1] == "0.0%"
    assert flagged[1] == "1" and flagged[3] == "NO"
    assert truth.caught_row("noisy", pairs)[1:] == ["1", "all", "NO"]
    assert truth.caught_row("noisy", pairs[2:])[3] == "yes"
