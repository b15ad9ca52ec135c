"""The plans that measure something else than the default one, through the real agent on a simulated device."""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec
import pytest

from device_agents.python.simulation import SimulatedBoard, SimulatedModel
from edgebench import compare, deploy
from edgebench.analysis import latency_patterns, stats, verdict
from edgebench.analysis.report import markdown
from edgebench.device import simulated
from edgebench.energy import per_inference
from edgebench.errors import UnknownName, UserError
from edgebench.schema import plan, targets
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record, Round
from tests.conftest import run_cli
from tests.support.records import make_record

TARGET = targets.load("simulated", Path(__file__).parents[2] / "targets.yaml")
MS = 1_000_000


def measure(folder: Path, models: dict[str, SimulatedModel], how: Plan) -> list[Record]:
    bundle = simulated.write_bundle(folder / "bundle", models)
    return deploy.deploy(TARGET, deploy.artifacts_at([bundle]), how, folder / "results")


def seen(one: Record) -> list[str]:
    return [reason.seen for reason in verdict.judge(one).reasons]


# ------------------------------------------------------------------ mlperf


def test_mlperf_is_five_windows_of_ten_seconds_each_on_the_devices_clock(tmp_path: Path) -> None:
    """The latency falls after warm-up: whoever counts inferences beforehand has windows that are too short."""
    board = SimulatedBoard(seed=1, drift_per_hour=-60.0)
    (one,) = measure(tmp_path, {"net": SimulatedModel(30 * MS, device=board)}, plan.named("mlperf"))
    assert one.outcome.status == "complete" and len(one.rounds) == 5
    assert all(round_.duration_ns is not None and round_.duration_ns >= 10e9 for round_ in one.rounds)
    assert all(round_.inferences >= 10 for round_ in one.rounds)
    assert not any("window" in reason for reason in seen(one))
    windows = stats.windows(one.rounds)
    assert windows.rate_hz == pytest.approx(
        statistics.median(r.inferences / (r.duration_ns or 0) * 1e9 for r in one.rounds)
    )


def test_a_slow_network_gets_windows_of_ten_inferences(tmp_path: Path) -> None:
    (one,) = measure(
        tmp_path, {"net": SimulatedModel(2000 * MS, noise=0.0, device=SimulatedBoard(seed=2))}, plan.named("mlperf")
    )
    assert [len(round_.values_ns) for round_ in one.rounds] == [10] * 5
    assert min(round_.duration_ns or 0 for round_ in one.rounds) > 19e9
    assert verdict.judge(one).reasons == ()
    text = markdown.render(compare.compare([one]))
    assert "5 windows of 20.0 s and 10 inferences or more, median 0.500/s" in text


def test_a_window_that_is_too_short_makes_the_record_invalid(tmp_path: Path) -> None:
    (one,) = measure(
        tmp_path, {"net": SimulatedModel(2000 * MS, noise=0.0, device=SimulatedBoard(seed=2))}, plan.named("mlperf")
    )
    short = msgspec.structs.replace(one.rounds[3], duration_ns=9_990_000_000, values_ns=one.rounds[3].values_ns[:5])
    judged = verdict.judge(msgspec.structs.replace(one, rounds=(*one.rounds[:3], short, one.rounds[4])))
    assert judged.level == "invalid"
    assert "1 of 5 windows are shorter than 10 s or 10 inferences: 9.99 s, 5 inferences" in judged.reasons[0].seen


# ------------------------------------------------------------------ sustained

HOT = SimulatedBoard(seed=3, ambient_c=20.0, warmth_c_per_w=25.0, cooling_s=100.0, throttle_c=105.0)
MINUTES = msgspec.structs.replace(plan.named("sustained"), memory_inferences=5)


def test_sustained_says_when_it_throttled_and_what_is_left_of_the_speed(tmp_path: Path) -> None:
    (one,) = measure(tmp_path, {"net": SimulatedModel(20 * MS, device=HOT)}, MINUTES)
    assert verdict.judge(one).reasons == (), "that it throttles is what was asked for"
    found = latency_patterns.sustained(one)
    assert found is not None and len(found.p50_ns) == 10
    # 20 + 2 * 25 degrees idle, 50 more at work: 105 is reached after 100 s * ln(50 / 15)
    assert found.throttled_after_s == pytest.approx(120, abs=10)
    assert found.slowed_after_s == pytest.approx(found.throttled_after_s, abs=5)
    assert found.p50_ns[0] == pytest.approx(20 * MS, rel=0.02)
    assert found.slowdown == pytest.approx(HOT.throttle_factor, rel=0.05)
    text = markdown.render(compare.compare([one]))
    assert "throttled after 12" in text and "1.50x of the first minute's" in text


def test_a_device_that_tells_no_throttling_is_known_by_its_speed() -> None:
    def over_time(*minutes: float) -> latency_patterns.Sustained:
        rounds = tuple(
            Round(start_ns=1 + 20_000_000_000 * number, block=1, values_ns=(round(MS * factor),) * 20, number=number)
            for number, factor in enumerate(factor for factor in minutes for _ in range(3))
        )
        found = latency_patterns.sustained(msgspec.structs.replace(make_record(rounds=rounds), plan=MINUTES))
        assert found is not None and not found.reports_throttling and found.throttled_after_s is None
        return found

    assert over_time(1, 1, 1.3, 1.3).slowed_after_s == pytest.approx(120, abs=0.1)
    assert over_time(1, 1.3, 1, 1).slowed_after_s is None, "it came back"
    assert over_time(1, 1.05, 1.05).slowed_after_s is None
    assert over_time(1, 1, 1.5).slowdown == 1.5


def test_sustained_lets_each_artifact_begin_cool(tmp_path: Path) -> None:
    short = msgspec.structs.replace(MINUTES, seconds_min=130.0, seconds_max=130.0)
    one, two = measure(tmp_path, {name: SimulatedModel(20 * MS, device=HOT) for name in ("one", "two")}, short)
    assert max(r.start_ns for r in one.rounds) < min(r.start_ns for r in two.rounds), "one after the other"
    assert two.cooling is not None and two.gate_open and two.cooling.waited_s > 60
    for found in map(latency_patterns.sustained, (one, two)):
        assert found is not None and found.throttled_after_s == pytest.approx(120, abs=10)
    curve = [celsius for _, celsius, _ in two.cooling.curve if celsius is not None]
    assert curve == sorted(curve, reverse=True) and curve[0] > two.cooling.limit_c >= curve[-1]  # type: ignore[operator]


def test_a_weak_supply_is_no_heat(tmp_path: Path) -> None:
    weak = msgspec.structs.replace(MINUTES, seconds_min=20.0, seconds_max=20.0)
    board = SimulatedBoard(seed=3, under_voltage_at_s=9.0, under_voltage_s=3.0)
    (one,) = measure(tmp_path, {"net": SimulatedModel(20 * MS, device=board)}, weak)
    assert seen(one) == ["the board reported: under-voltage"]


# ------------------------------------------------------------------ duty:N


def test_a_duty_is_so_many_inferences_a_second_each_from_rest(tmp_path: Path) -> None:
    model = SimulatedModel(20 * MS, waking_excess=0.5, waking_s=0.01, device=SimulatedBoard(seed=4))
    (paced,) = measure(tmp_path / "paced", {"net": model}, plan.named("duty:5"))
    (tight,) = measure(tmp_path / "tight", {"net": model}, plan.named("quick"))
    assert verdict.judge(paced).reasons == ()
    assert sum(round_.inferences for round_ in paced.rounds) >= 100
    for round_ in paced.rounds:
        assert round_.missed == 0
        assert (round_.inferences - 1) / ((round_.duration_ns or 0) / 1e9) == pytest.approx(5, rel=0.05)
    awake, rested = stats.latency_ns(tight.rounds, 0.5), stats.latency_ns(paced.rounds, 0.5)
    assert awake is not None and rested is not None
    assert awake.value == pytest.approx(20 * MS, rel=0.01) and rested.value == pytest.approx(30 * MS, rel=0.01)


def test_a_rate_that_the_device_cannot_keep_is_said(tmp_path: Path) -> None:
    (one,) = measure(tmp_path, {"net": SimulatedModel(250 * MS, device=SimulatedBoard(seed=5))}, plan.named("duty:5"))
    assert one.rounds and all(round_.missed == round_.inferences for round_ in one.rounds)
    (reason,) = verdict.judge(one).reasons
    whole = sum(round_.inferences for round_ in one.rounds)
    assert reason.seen == f"{whole} of {whole} inferences were not finished when the next was due, at 5 per second"
    assert "duty:2.5" in reason.remedy


def test_energy_at_a_duty_holds_the_rest_between_inferences(tmp_path: Path) -> None:
    how = plan.with_energy(plan.named("duty:10"))
    board = SimulatedBoard(idle_w=2.0, active_w=5.0)
    (one,) = measure(tmp_path, {"net": SimulatedModel(20 * MS, noise=0.0, device=board)}, how)
    found = per_inference.per_inference(one.energy[0])
    assert found is not None and found.net_j is not None
    assert found.gross_j.value == pytest.approx(0.020 * 5 + 0.080 * 2, rel=0.01)
    assert found.net_j.value == pytest.approx(0.020 * 3, rel=0.02)


@pytest.mark.parametrize("name", ["duty:", "duty:often", "duty:0", "duty:-1", "duty:nan", "duty:1e9", "duty:0.01"])
def test_what_is_no_rate_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(UserError, match="duty:5"):
        plan.named(name)


def test_a_plan_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match=r"duty:N"):
        plan.named("mlpref")


def test_the_command_line_takes_every_plan_and_says_them(tmp_path: Path) -> None:
    (tmp_path / "net.sim").write_text('{"latency_ns": 3000000}')
    told = run_cli("deploy", "--help", cwd=tmp_path).stdout
    assert all(name in told for name in ("quick", "default", "mlperf", "sustained", "duty:N"))
    done = run_cli("deploy", "--target", "simulated", "net.sim", "--plan", "duty:20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "20 inferences a second" in done.stdout
    wrong = run_cli("deploy", "--target", "simulated", "net.sim", "--plan", "duty:often", cwd=tmp_path)
    assert wrong.returncode == 1 and "duty:5" in wrong.stderr


# ------------------------------------------------------------------ caught while it happens


@pytest.mark.parametrize("board", list(simulated.BOARDS))
def test_each_flaw_of_a_board_is_caught_and_a_clean_one_is_not(board: str, tmp_path: Path) -> None:
    how = msgspec.structs.replace(plan.named("default"), rounds_per_process=0)
    (one,) = measure(tmp_path, {"net": simulated.network(board, seed=11)}, how)
    level = {"clean": "valid", "throttled": "invalid", "under-volted": "invalid"}.get(board, "suspect")
    assert verdict.judge(one).level == level, seen(one)


def test_a_blink_of_under_voltage_is_caught_where_the_kernel_forgets_it(tmp_path: Path) -> None:
    """Nothing is left of it at the end: only a look while it lasts can tell."""
    board = SimulatedBoard(seed=6, under_voltage_at_s=4.2, under_voltage_s=1.2, forgets=True)
    how = msgspec.structs.replace(plan.named("default"), rounds_per_process=0, seconds_min=6.0)
    (one,) = measure(tmp_path, {"net": SimulatedModel(2 * MS, device=board)}, how)
    assert one.facts_after is not None and one.facts_after.throttled == 0
    assert seen(one)[0] == "the board reported: under-voltage"


def test_a_clock_that_sinks_is_said_with_its_governor(tmp_path: Path) -> None:
    board = SimulatedBoard(seed=1, warmth_c_per_w=40.0, throttle_c=115.0, cooling_s=10.0)
    how = msgspec.structs.replace(plan.named("default"), rounds_per_process=0, seconds_min=6.0)
    (one,) = measure(tmp_path, {"hot": SimulatedModel(MS, device=board)}, how)
    assert any("clock was down to 1.00 GHz" in reason and "performance" in reason for reason in seen(one))


def test_a_device_that_stays_hot_is_measured_and_said_with_its_curve(tmp_path: Path) -> None:
    how = msgspec.structs.replace(plan.named("quick"), gate_margin_c=-50.0, gate_max_s=3.0)
    (one,) = measure(tmp_path, {"net": SimulatedModel(MS, device=SimulatedBoard(seed=7))}, how)
    assert one.gate_open is False and one.rounds and one.cooling is not None and len(one.cooling.curve) == 4
    (reason,) = seen(one)
    assert reason == "it was still at 35.0 °C after 3 s of waiting, not below -15.0 °C; it lost 0.0 °C in 3 s"
