"""The simulated device: what it prescribes is what the real agent measures there, on a clock of its own."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from device_agents.python import device, latency, simulation
from device_agents.python.runtimes import simulated as runtime
from device_agents.python.simulation import SimulatedBoard, SimulatedDevice, SimulatedModel
from edgebench import deploy
from edgebench.analysis import ratios, stats, verdict
from edgebench.device import simulated
from edgebench.energy import per_inference
from edgebench.schema import plan, record_files, targets
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.conftest import run_cli

TARGET = targets.load("simulated", Path(__file__).parents[2] / "targets.yaml")
# The default plan in one process, as starting others is most of the time that a simulated job takes.
DEFAULT = msgspec.structs.replace(plan.named("default"), rounds_per_process=0)
MS = 1_000_000


def measure(folder: Path, models: dict[str, SimulatedModel], how: Plan | None = None) -> list[Record]:
    bundle = simulated.write_bundle(folder / "bundle", models)
    return deploy.deploy(TARGET, deploy.artifacts_at([bundle]), how or DEFAULT, folder / "results")


@pytest.fixture(autouse=True)
def own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices of this process are this test's alone."""
    monkeypatch.delenv(simulation.STATE, raising=False)
    simulation.state.cache_clear()


def medians_ns(one: Record) -> list[float]:
    return stats.round_quantiles_ns(one.rounds, 0.5)


# ------------------------------------------------------------------ through the real agent


def test_a_file_is_measured_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "net.sim").write_text('{"latency_ns": 3000000}')
    done = run_cli("deploy", "--target", "simulated", "net.sim", "--plan", "quick", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"3\.00\d* ms", done.stdout) and "simulated device" in done.stdout
    (one,) = [record_files.load(path) for path in (tmp_path / "results/simulated").glob("*.json")]
    assert one.artifact.format == "simulated" and one.target.emulated


def test_a_clean_device_gives_a_valid_record_with_the_prescribed_latency(tmp_path: Path) -> None:
    board = SimulatedBoard(seed=4)
    slow, fast = measure(
        tmp_path, {"slow": SimulatedModel(2 * MS, device=board), "fast": SimulatedModel(MS, device=board)}
    )
    for one, truth in ((slow, 2 * MS), (fast, MS)):
        assert verdict.judge(one).reasons == ()
        latency = stats.latency_ns(one.rounds, 0.5)
        assert latency is not None and latency.value == pytest.approx(truth, rel=0.005)
        assert one.golden is not None and one.golden.agreement_with_host == 1
        assert one.facts_before.model == "simulated device" and one.load is None
    ratio = ratios.latency_ratio(slow, fast)
    assert ratio is not None and ratio.paired and ratio.value == pytest.approx(2, rel=0.005)


def test_the_same_file_gives_the_same_values_and_another_seed_others(tmp_path: Path, tiny_plan: Plan) -> None:
    values = []
    for number, seed in enumerate((1, 1, 2)):
        one, twin = measure(
            tmp_path / str(number),
            {name: SimulatedModel(MS, device=SimulatedBoard(seed=seed)) for name in ("one", "twin")},
            tiny_plan,
        )
        values.append([round_.values_ns for round_ in one.rounds])
        assert values[-1] != [round_.values_ns for round_ in twin.rounds]
    assert values[0] == values[1] != values[2]


def test_a_device_that_heats_up_throttles_and_says_so(tmp_path: Path) -> None:
    board = SimulatedBoard(seed=1, warmth_c_per_w=40.0, throttle_c=115.0, cooling_s=10.0)
    (one,) = measure(tmp_path, {"hot": SimulatedModel(MS, device=board)})
    assert verdict.judge(one).level == "invalid"
    assert "throttled" in verdict.judge(one).reasons[0].seen
    hot = [r for r in one.rounds if (r.throttled or 0) & simulation.THROTTLED]
    assert all(r.temperature_c is not None and r.temperature_c > 110 for r in hot)
    assert statistics.median(hot[-1].values_ns) == pytest.approx(board.throttle_factor * MS, rel=0.01)


def test_a_supply_that_fails_for_a_moment_leaves_its_bit(tmp_path: Path) -> None:
    board = SimulatedBoard(seed=1, under_voltage_at_s=1.5, under_voltage_s=0.01)
    (one,) = measure(tmp_path, {"net": SimulatedModel(MS, device=board)})
    assert [reason.seen for reason in verdict.judge(one).reasons] == ["the board reported: under-voltage"]
    assert one.facts_before.throttled == 0
    assert one.facts_after is not None and one.facts_after.throttled == 0x10000


def test_a_start_up_is_left_to_the_warm_up(tmp_path: Path) -> None:
    (one,) = measure(
        tmp_path, {"net": SimulatedModel(MS, startup_excess=1.0, startup_s=0.4, device=SimulatedBoard(seed=2))}
    )
    assert one.stationary and verdict.judge(one).level == "valid"
    assert statistics.median(one.warmup[0].values_ns) > 1.8 * MS
    assert max(medians_ns(one)) < 1.02 * MS


def test_a_fresh_process_takes_over_as_the_plan_says(tmp_path: Path) -> None:
    """Each has a level of its own, which its rounds share, and is warmed up like the first."""
    how = msgspec.structs.replace(plan.named("quick"), rounds_per_process=2, rounds_min=8, seconds_max=1.0)
    model = SimulatedModel(
        MS, noise=0.001, placement=0.05, startup_excess=1.0, startup_s=0.1, device=SimulatedBoard(seed=5)
    )
    (one,) = measure(tmp_path, {"net": model}, how)
    medians = medians_ns(one)
    assert [round_.number for round_ in one.rounds] == list(range(len(medians))) and len(medians) >= 8
    pairs = list(zip(medians[::2], medians[1::2], strict=False))
    assert all(first == pytest.approx(second, rel=0.002) for first, second in pairs)
    assert statistics.stdev(first for first, _ in pairs) > 0.01 * MS
    assert statistics.median(medians) == pytest.approx(MS, rel=0.1)
    assert sum(max(series.values_ns) > 1.7 * MS for series in one.warmup) >= len(pairs)


def test_a_real_runtime_goes_on_in_fresh_processes_with_the_same_input(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    here = Target(name="here", transport="local", runtimes=("onnxruntime",))
    how = msgspec.structs.replace(tiny_plan, rounds_per_process=1)
    (one,) = deploy.deploy(here, deploy.artifacts_at([relu_bundle]), how, tmp_path / "results")
    assert one.outcome.status in ("complete", "budget") and one.golden is not None and one.golden.passed
    assert [round_.number for round_ in one.rounds] == list(range(len(one.rounds))) and len(one.rounds) >= 3
    assert len(one.warmup) >= len(one.rounds)


def test_what_sleeps_while_others_run_starts_cold_and_the_record_leaves_it_out(tmp_path: Path) -> None:
    models = {
        name: SimulatedModel(MS, waking_excess=1.0, waking_s=0.003, device=SimulatedBoard(seed=3))
        for name in ("one", "two")
    }
    for one in measure(tmp_path, models):
        assert statistics.median(round_.values_ns[0] for round_ in one.rounds) > 1.8 * MS
        latency = stats.latency_ns(one.rounds, 0.5)
        assert latency is not None and latency.value == pytest.approx(MS, rel=0.005)


def test_energy_windows_give_the_prescribed_power_in_no_time(tmp_path: Path, tiny_plan: Plan) -> None:
    board = SimulatedBoard(idle_w=2.0, active_w=5.0)
    (one,) = measure(tmp_path, {"net": SimulatedModel(10 * MS, device=board)}, plan.with_energy(tiny_plan))
    (reading,) = [reading for reading in one.energy if reading.windows]
    assert (reading.meter, reading.provenance, len(reading.windows)) == ("simulated", "modelled", 5)
    found = per_inference.per_inference(reading)
    assert found is not None and found.net_j is not None
    assert found.gross_j.value == pytest.approx(5.0 * 0.010, rel=0.002)
    assert found.net_j.value == pytest.approx(3.0 * 0.010, rel=0.002)


def test_a_real_device_says_nothing_of_a_simulated_meter() -> None:
    assert not device.MACHINE.has_meter("simulated") and device.MACHINE.has_meter("rapl")


def test_a_file_that_is_no_prescription_fails_alone(tmp_path: Path, tiny_plan: Plan) -> None:
    for name, text in (("bad", '{"latncy_ns": 1}'), ("empty", ""), ("good", '{"latency_ns": 1000000}')):
        (tmp_path / f"{name}.sim").write_text(text)
    (tmp_path / "other.sim").write_text('{"latency_ns": 1000000, "device": {"seed": 9}}')
    files = [tmp_path / f"{name}.sim" for name in ("bad", "empty", "good", "other")]
    bad, empty, good, other = deploy.deploy(TARGET, deploy.artifacts_at(files), tiny_plan, tmp_path / "results")
    assert "latncy_ns" in bad.outcome.reason and "not a prescription" in empty.outcome.reason
    assert good.rounds
    assert "share one" in other.outcome.reason


def test_an_inference_too_short_for_a_coarse_clock_is_timed_in_blocks(tmp_path: Path, tiny_plan: Plan) -> None:
    (one,) = measure(tmp_path, {"net": SimulatedModel(30_000, device=SimulatedBoard(clock_step_ns=10_000))}, tiny_plan)
    assert all(value % 10_000 == 0 for round_ in one.rounds for value in round_.values_ns)
    assert all(round_.block * 30_000 >= 0.9 * latency.MIN_CLOCK_STEPS * 10_000 for round_ in one.rounds)
    assert statistics.median(medians_ns(one)) == pytest.approx(30_000, rel=0.02)


# ------------------------------------------------------------------ the device alone


def latencies_ns(model: SimulatedModel, count: int) -> list[int]:
    session = runtime._SimulatedSession(model)
    values = []
    for _ in range(count):
        before = runtime.clock_ns()
        session.invoke()
        values.append(runtime.clock_ns() - before)
    return values


def test_noise_and_outliers_are_as_prescribed() -> None:
    values = latencies_ns(SimulatedModel(MS, noise=0.02, outlier_share=0.05, outlier_factor=3.0), 4000)
    slow = [value for value in values if value > 2 * MS]
    assert len(slow) / 4000 == pytest.approx(0.05, abs=0.01)
    assert statistics.median(slow) == pytest.approx(3 * MS, rel=0.01)
    assert statistics.stdev(value for value in values if value < 2 * MS) == pytest.approx(0.02 * MS, rel=0.05)


def test_a_fast_clock_measures_too_much() -> None:
    model = SimulatedModel(MS, noise=0.0, device=SimulatedBoard(clock_skew_ppm=20_000))
    assert latencies_ns(model, 10)[-1] == pytest.approx(1.02 * MS, rel=1e-4)


def test_a_drift_is_so_much_in_an_hour() -> None:
    model = SimulatedModel(MS, noise=0.0, device=SimulatedBoard(drift_per_hour=0.5))
    latencies_ns(model, 1)
    SimulatedDevice(model.device).sleep(3600)
    assert latencies_ns(model, 1)[0] == pytest.approx(1.5 * MS, rel=1e-4)


@pytest.mark.parametrize("where", ["board", "model"])
def test_a_level_that_wanders_remembers_for_as_long_as_prescribed(where: str) -> None:
    wander = {"wander": 0.05, "wander_s": 0.1}
    model = (
        SimulatedModel(MS, noise=0.0, device=SimulatedBoard(**wander))
        if where == "board"
        else SimulatedModel(MS, noise=0.0, **wander)
    )
    values = [value / MS - 1 for value in latencies_ns(model, 20_000)]
    assert statistics.stdev(values) == pytest.approx(0.05, rel=0.2)
    # 0.1 s later, 100 inferences, exp(-1) of it is left
    assert statistics.correlation(values[:-100], values[100:]) == pytest.approx(0.37, abs=0.12)


def test_another_program_slows_the_device_now_and_then() -> None:
    board = SimulatedBoard(busy_every_s=1.0, busy_s=0.2, busy_factor=2.0)
    values = latencies_ns(SimulatedModel(MS, noise=0.0, device=board), 20_000)
    slow_s = sum(value for value in values if value > 1.5 * MS) / 1e9
    assert slow_s / (sum(values) / 1e9) == pytest.approx(0.2 / 1.2, rel=0.5)


def test_processes_of_one_file_can_have_levels_of_their_own() -> None:
    levels = [latencies_ns(SimulatedModel(MS, noise=0.0, placement=0.05), 1)[0] for _ in range(50)]
    assert statistics.stdev(levels) == pytest.approx(0.05 * MS, rel=0.4)


def test_a_device_cools_down_while_it_sleeps() -> None:
    board = SimulatedBoard()
    hot = SimulatedDevice(board)
    idle_c = hot.temperature_c()
    hot.infer(600)
    assert hot.temperature_c() == pytest.approx(
        idle_c + (board.active_w - board.idle_w) * board.warmth_c_per_w, abs=0.2
    )
    hot.sleep(board.cooling_s)
    assert hot.temperature_c() == pytest.approx(idle_c + 10 * 0.368, abs=0.2)


def test_a_prescription_survives_its_file(tmp_path: Path) -> None:
    model = SimulatedModel(
        MS, outlier_share=0.01, answers=[[1.0, 2.0]], device=SimulatedBoard(seed=3, under_voltage_at_s=2.0)
    )
    (tmp_path / "x.sim").write_text(json.dumps(dataclasses.asdict(model)))
    assert simulation.read(tmp_path / "x.sim") == model


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"latency_ns": 0}', '{"latency_ns": 1, "device": {"cooling_s": 0}}'])
def test_what_is_no_prescription_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.sim").write_text(text)
    with pytest.raises(ValueError, match="not a prescription"):
        simulation.read(tmp_path / "x.sim")


def test_real_and_simulated_artifacts_do_not_share_a_job(tmp_path: Path) -> None:
    artifacts: list[Any] = [SimpleNamespace(spec={"runtime": name}, path=tmp_path) for name in ("simulated", "litert")]
    with pytest.raises(ValueError, match="cannot share a job"):
        device.device_of(artifacts, tmp_path)
    assert device.device_of(artifacts[1:], tmp_path) is device.MACHINE


@pytest.mark.parametrize(
    ("typical_ns", "step_ns", "block"),
    [(10_000, 100, 1), (9_000, 100, 2), (1_000, 40, 10), (1_000, 1_000, 100), (50_000, 1_000_000, 2000)],
)
def test_a_block_is_long_enough_for_the_clock(typical_ns: int, step_ns: int, block: int) -> None:
    assert latency.block_and_count(typical_ns, 0.2, step_ns)[0] == block


def test_a_long_round_of_short_inferences_is_kept_in_blocks() -> None:
    assert latency.block_and_count(50_000, 10.0, 40, None, 20_000) == (10, 20_000)
    assert latency.block_and_count(50_000, 2.0, 40, None, 2_000) == (20, 2_000)
    assert latency.block_and_count(50_000, 10.0, 40, 5.0) == (1, 50)


def test_the_quick_plan_is_quick_to_simulate(tmp_path: Path) -> None:
    """Minutes of simulated time in a test that has seconds: the clock is the device's own."""
    slow = msgspec.structs.replace(plan.named("quick"), seconds_min=120.0, seconds_max=300.0, round_s=20.0)
    (one,) = measure(tmp_path, {"net": SimulatedModel(500 * MS)}, slow)
    assert sum(sum(round_.values_ns) for round_ in one.rounds) > 120e9
