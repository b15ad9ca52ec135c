"""Energy readings: what they may not say, and the joules, intervals, ratios and doubts that are read out of them."""

from __future__ import annotations

import math
import operator
import statistics
from typing import Any

import msgspec
import numpy as np
import pytest

from device_agents.python import series
from edgebench import compare
from edgebench.analysis import verdict
from edgebench.analysis.ratios import Ratio
from edgebench.analysis.report import markdown
from edgebench.energy import coverage
from edgebench.energy import per_inference as energy
from edgebench.energy.per_inference import EnergyPerInference
from edgebench.schema.energy_reading import Accuracy, EnergyReading, Refusal
from edgebench.schema.estimate import Estimate
from edgebench.schema.record import Record
from tests.support.records import make_reading, make_record

LIMITS = Accuracy(gain=0.01, offset_w=0.05, source="datasheet:X")
STEADY_W = (5.0, 5.01, 4.99, 5.0, 5.0)


def per_inference(reading: EnergyReading) -> EnergyPerInference:
    found = energy.per_inference(reading)
    assert found is not None
    return found


# ------------------------------------------------------------------ invariants


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"windows": ()}, "is measured and has 0 windows"),
        ({"provenance": "unavailable", "reason": "why"}, "is unavailable and has 3 windows"),
        ({"provenance": "unavailable", "windows": ()}, "without a reason"),
        ({"provenance": "estimated"}, "without a reason"),
        ({"provenance": "modelled"}, "without a reason"),
        ({"scope": ""}, "without a scope"),
        ({"instrument": None}, "without a scope, an instrument"),
        ({"alignment": None}, "without a scope, an instrument or a clock"),
    ],
)
def test_a_reading_that_contradicts_itself_cannot_be_made(changes: dict[str, Any], said: str) -> None:
    fields = {name: getattr(make_reading(), name) for name in EnergyReading.__struct_fields__}
    with pytest.raises(ValueError, match=said):
        EnergyReading(**{**fields, **changes})


@pytest.mark.parametrize(
    ("key", "value"),
    [("scope", "everything"), ("provenance", "guessed"), ("flags", ["nice"]), ("instrument", {"sampling": "often"})],
)
def test_words_that_are_not_in_the_list_are_refused(key: str, value: Any) -> None:
    content = msgspec.json.decode(msgspec.json.encode(make_reading()))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**content, key: value}, EnergyReading)


def test_a_reading_is_read_back_as_it_was() -> None:
    one = make_reading(accuracy=LIMITS, flags=("gap",), refused=(Refusal(7, "gaps", "silent"),), duplicates=3)
    assert msgspec.json.decode(msgspec.json.encode(one), type=EnergyReading) == one


@pytest.mark.parametrize("first", [make_reading(), per_inference(make_reading())])
@pytest.mark.parametrize("second", [make_reading(provenance="modelled"), make_reading(scope="dram")])
def test_readings_are_never_added_up(first: Any, second: Any) -> None:
    for one, other in ((first, second), (second, first), (first, first)):
        with pytest.raises(TypeError):
            operator.add(one, other)
    with pytest.raises(TypeError):
        sum([first, second])


# ------------------------------------------------------------------ joules of an inference


def test_energy_is_gross_and_net_of_the_idle_power_beside_the_round() -> None:
    """Idle 2 W; 10 s of inferring at 5 W with 1000 inferences: 50 mJ gross, 30 mJ net."""
    found = per_inference(make_reading(idle_w=2.0, active_w=(5.0, 5.0, 5.0)))
    assert found.gross_j == Estimate(*[pytest.approx(0.050)] * 3)
    assert found.net_j == Estimate(*[pytest.approx(0.030)] * 3)
    assert (found.power_w, found.idle_w, found.idle_drift_w) == (5.0, 2.0, 0.0)


def test_an_idle_power_that_moves_is_taken_off_where_it_was() -> None:
    found = per_inference(make_reading(idle_w=(2.0, 2.2, 2.4, 2.6), active_w=(5.1, 5.3, 5.5)))
    assert found.net_j == Estimate(*[pytest.approx(0.030)] * 3)
    assert found.idle_drift_w == pytest.approx(0.6)


def test_idle_power_counts_for_as_long_as_the_inferring_took() -> None:
    reading = make_reading(idle_w=2.0, active_w=(5.0, 5.0, 5.0))
    halved = tuple(msgspec.structs.replace(one, duration_s=5.0, energy_j=10.0) for one in reading.idle)
    assert per_inference(msgspec.structs.replace(reading, idle=halved)) == per_inference(reading)


def test_the_interval_is_that_between_windows() -> None:
    found = per_inference(make_reading(active_w=(5.0, 5.2, 4.8)))
    expected = series.t95(2) * statistics.stdev([0.050, 0.052, 0.048]) / math.sqrt(3)
    assert found.net_j is not None
    assert found.gross_j.half_width == pytest.approx(expected) == found.net_j.half_width


def test_windows_that_happen_to_agree_do_not_deny_what_reading_leaves() -> None:
    reading = make_reading(active_w=(5.0, 5.0, 5.0))
    unsure = tuple(msgspec.structs.replace(window, u_j=0.5) for window in reading.windows)
    found = per_inference(msgspec.structs.replace(reading, windows=unsure))
    assert found.gross_j.half_width == pytest.approx(1.96 * 0.5 / 1000 / math.sqrt(3), rel=1e-4)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(500):
        found = per_inference(make_reading(active_w=tuple(5 + 0.1 * rng.standard_normal(5))))
        assert found.gross_j.low is not None and found.gross_j.high is not None
        covered += found.gross_j.low <= 0.050 <= found.gross_j.high
    assert 0.91 <= covered / 500 <= 0.99


def test_accuracy_is_kept_apart_and_its_offset_goes_with_the_idle_power() -> None:
    found = per_inference(make_reading(idle_w=2.0, active_w=STEADY_W, accuracy=LIMITS))
    assert found.u_systematic_j == pytest.approx(0.01 * 0.030 / math.sqrt(3))
    assert found.net_j is not None and found.net_j.half_width is not None
    limit_j = math.sqrt(3) * found.u_systematic_j
    assert found.u95_j == pytest.approx(coverage.half_width(found.net_j.half_width / 1.96, (limit_j,)), rel=1e-3)
    assert max(found.net_j.half_width, 0.95 * limit_j) < found.u95_j < found.net_j.half_width + limit_j
    without_idle = per_inference(make_reading(active_w=STEADY_W, accuracy=LIMITS, idle=()))
    assert without_idle.net_j is None and without_idle.idle_w is None
    assert without_idle.u_systematic_j == pytest.approx(math.hypot(0.01 * 0.050, 0.05 * 0.01) / math.sqrt(3))


def test_an_accuracy_that_nobody_states_is_no_zero() -> None:
    found = per_inference(make_reading())
    assert found.u_systematic_j is None and found.u95_j is None


# ------------------------------------------------------------------ joules that are not known well


def doubts_of(precision: float = 0.02, **changes: Any) -> list[str]:
    plan = msgspec.structs.replace(make_record().plan, energy_precision=precision)
    judged = verdict.judge(make_record(plan=plan, energy=(make_reading(**changes),)))
    return [reason.seen.removeprefix("energy by rapl cpu_package: ") for reason in judged.reasons]


def left_open(reading: EnergyReading, u_j: float, u_common_j: float = 0.0) -> tuple[Any, ...]:
    return tuple(msgspec.structs.replace(one, u_j=u_j, u_common_j=u_common_j) for one in reading.windows)


def test_joules_that_are_known_badly_are_shown_with_their_interval_and_suspect() -> None:
    """As for a latency. The requested precision is that of the net joules, which are shown."""
    spread_w = (5.0, 6.0, 4.0, 5.0)
    record = make_record(energy=(make_reading(active_w=spread_w),))
    (row,) = compare.compare([record]).rows
    (one,) = row.energy
    assert one.net_j and one.net_j.half_width == pytest.approx(0.0130, rel=0.01) and row.no_energy == ()
    assert "30.0 mJ (17.0-43.0) net" in markdown.render(compare.compare([record]))
    assert doubts_of(active_w=STEADY_W) == []
    assert doubts_of(active_w=spread_w) == [
        "net joules are known to ±43.3% after 4 windows, the plan requires ±2.0%; "
        "the device's own energy differed by 16.3% from window to window"
    ]


def test_gross_joules_are_known_better_than_the_net_ones_that_are_shown() -> None:
    """±1.2 % of 50 mJ are ±9 % of the 6.7 mJ above idle power."""
    steady_w = (5.0, 5.05, 4.95, 5.0, 5.0)
    found = per_inference(make_reading(active_w=steady_w, idle_w=4.5))
    assert found.gross_j.half_width is not None and found.gross_j.half_width < 0.02 * found.gross_j.value
    (said,) = doubts_of(active_w=steady_w, idle_w=4.5)
    assert said.startswith("net joules are known to ±8.8% after 5 windows, the plan requires ±2.0%")


def test_the_cause_of_a_wide_interval_is_named() -> None:
    reading = make_reading(active_w=STEADY_W)
    by_meter = doubts_of(active_w=STEADY_W, windows=left_open(reading, u_j=2.0))
    assert by_meter == [
        "net joules are known to ±5.8% after 5 windows, the plan requires ±2.0%; the meter does not resolve it better"
    ]
    moving = doubts_of(0.001, active_w=STEADY_W, idle_w=(2.0, 2.05, 1.95, 2.0, 2.05, 1.95))
    assert moving[0].endswith("the idle power moved from window to window")
    (lost, broke, *_) = doubts_of(active_w=(5.0, 5.0), reason="the connection broke. Plug it in")
    assert lost == "2 whole windows, at least 3 are needed"
    assert broke == "the meter was lost meanwhile: the connection broke. Plug it in"


def test_what_all_windows_share_is_not_made_smaller_by_their_number() -> None:
    """A lag of the meter: 0.5 J in each window of 1000 inferences, however many."""
    for count in (3, 12):
        reading = make_reading(active_w=(5.0,) * count)
        found = per_inference(msgspec.structs.replace(reading, windows=left_open(reading, 0.0, u_common_j=0.5)))
        assert found.gross_j.half_width == pytest.approx(0.95 * math.sqrt(3) * 0.5 / 1000, rel=1e-3)


def test_one_window_alone_has_no_interval_and_says_what_became_of_the_others() -> None:
    reading = make_reading(active_w=(5.0,), reason="the connection broke. Plug it in")
    assert energy.why_none(reading) == "1 whole window, at least 2 are needed: the connection broke. Plug it in"
    refused = msgspec.structs.replace(reading, reason="", refused=(Refusal(1, "frozen", "its values were frozen"),))
    assert energy.why_none(refused).endswith(": its values were frozen")


def test_a_model_that_takes_the_same_power_always_has_no_net_joules() -> None:
    """CodeCarbon's memory: watts per module. What is left of them above idle is the error of a stop-watch."""
    ram = make_reading(
        meter="codecarbon", provenance="modelled", scope="ram", idle_w=10.0, active_w=(10.01, 10.02, 10.01)
    )
    assert per_inference(ram).net_j is None
    assert verdict.judge(make_record(energy=(ram,))).level == "valid"
    cpu = msgspec.structs.replace(ram, scope="cpu_package")
    assert per_inference(cpu).net_j is None
    busy = make_reading(meter="codecarbon", provenance="modelled", active_w=(5.0, 5.0, 5.0))
    assert per_inference(busy).net_j is not None


def test_the_meter_that_was_named_comes_first_among_those_that_say_nothing() -> None:
    silent = [EnergyReading(name, "unavailable", f"{name} is not here") for name in ("hwmon", "nvml", "rapl", "um25c")]
    (row,) = compare.compare([make_record(energy=tuple(silent))]).rows
    assert [why.partition(":")[0] for why in row.no_energy] == ["um25c", "hwmon", "nvml", "rapl"]


def test_the_carbon_of_an_inference_is_said_where_an_intensity_is_known() -> None:
    """5 W at 100 inferences a second: 50 mJ, from any meter. By --intensity, or by the country of deploy --carbon."""
    model = make_reading(active_w=STEADY_W, meter="codecarbon", provenance="modelled", scope="ram")
    record = make_record(energy=(make_reading(active_w=STEADY_W), model))
    asked = markdown.render(compare.compare([record], terms=compare.Terms(intensity_g_per_kwh=380.95)))
    for source in ("rapl cpu_package (measured)", "codecarbon ram (modelled)"):
        assert (
            f"net-onnx-fp32 on board: 5.29 µg of CO2e per inference, gross joules of {source} at 380.95 g/kWh (given by"
            in asked
        )
    assert "net, 5.29 µg CO2e (rapl cpu_package, measured)" in asked
    assert "CO2e" not in markdown.render(compare.compare([record]))
    plan = msgspec.structs.replace(
        record.plan, carbon="DEU", carbon_g_per_kwh=380.95, carbon_source="DEU 2023, codecarbon 3.3.2"
    )
    by_plan = markdown.render(compare.compare([msgspec.structs.replace(record, plan=plan)]))
    assert "net, 5.29 µg CO2e (rapl cpu_package, measured)" in by_plan
    assert "gross, 5.29 µg CO2e (codecarbon ram, modelled)" in by_plan
    assert "at 380.95 g/kWh (DEU 2023, codecarbon 3.3.2)" in by_plan
    nothing = markdown.render(compare.compare([make_record()], terms=compare.Terms(intensity_g_per_kwh=380.95)))
    assert "CO2e" not in nothing and "No energy" in nothing


# ------------------------------------------------------------------ ratios


def ratio(own: Record, base: Record) -> Ratio | str:
    (row,) = [row for row in compare.compare([base, own]).rows if not row.is_baseline]
    (found,) = row.energy_ratios
    return found


def record(name: str = "net-onnx-int8", *, job: str = "job-1", **changes: Any) -> Record:
    return make_record(name, job=job, energy=(make_reading(**changes),))


BASE = record("net-onnx-fp32", active_w=(5.0, 5.2, 4.8, 5.1))


def test_a_ratio_of_one_job_is_paired_by_round() -> None:
    """Half the net joules in every round, whatever moved the round."""
    halved = ratio(record(active_w=(3.5, 3.6, 3.4, 3.55)), BASE)
    assert isinstance(halved, Ratio) and halved.paired
    assert (halved.value, halved.low, halved.high) == (pytest.approx(0.5),) * 3
    apart = ratio(record(job="job-2", active_w=(3.5, 3.6, 3.4, 3.55)), BASE)
    assert isinstance(apart, Ratio) and not apart.paired
    assert apart.value == pytest.approx(0.5) and apart.low is not None and apart.low < 0.48


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scope": "board_input"}, "scope mismatch: board_input measured here, the baseline has cpu_package measured"),
        ({"provenance": "modelled"}, "scope mismatch: cpu_package modelled here"),
        ({"active_w": (1.9, 2.0, 2.1)}, "lost in the idle power"),
    ],
)
def test_joules_of_another_scope_or_origin_have_no_ratio(changes: dict[str, Any], said: str) -> None:
    found = ratio(record(**changes), BASE)
    assert isinstance(found, str) and said in found
    assert "No ratio of energies: " in markdown.render(compare.compare([BASE, record(**changes)]))


def test_two_meters_are_compared_with_the_errors_of_both_or_not_at_all() -> None:
    known = {"job": "job-2", "active_w": STEADY_W, "accuracy": LIMITS}
    base = record("net-onnx-fp32", active_w=STEADY_W, accuracy=LIMITS)
    same, other = ratio(record(**known), base), ratio(record(meter="um25c", **known), base)
    assert isinstance(same, Ratio) and isinstance(other, Ratio)
    assert same.value == other.value == pytest.approx(1.0)
    assert same.high is not None and other.high is not None
    assert math.log(other.high) == pytest.approx(
        math.hypot(math.log(same.high), 2 * 0.01 / math.sqrt(3), 2 * 0.01 / math.sqrt(3))
    )
    silent = ratio(record(meter="um25c", job="job-2", active_w=STEADY_W), base)
    assert silent == "um25c and rapl measured, but their accuracies are not both stated"


# ------------------------------------------------------------------ doubts


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window_s": 4.0}, "a window of 4.0 s, less than 10 s"),
        ({"idle_w": (2.0, 2.2, 2.1, 2.0)}, "idle power moved by 0.2 W over the windows, 4% of 5 W"),
        ({"idle": ()}, "no idle window, so no net energy"),
        ({"flags": ("charging",)}, "the battery was being charged"),
        ({"flags": ("voltage_assumed",)}, "the voltage was assumed, not measured"),
        ({"flags": ("column_map_guessed",)}, "the columns of the meter's lines were guessed"),
        ({"flags": ("gap",)}, "the meter fell silent for a moment"),
        ({"flags": ("undervoltage", "freq_capped")}, "the board reported undervoltage, freq capped meanwhile"),
        ({"refused": (Refusal(4, "gaps", "silent for 5% of the window"),)}, "1 more window has no energy"),
    ],
)
def test_what_a_reader_should_know_of_an_energy_makes_its_record_suspect(changes: dict[str, Any], said: str) -> None:
    assert verdict.judge(make_record(energy=(make_reading(),))).level == "valid"
    judged = verdict.judge(make_record(energy=(make_reading(**changes),)))
    assert judged.level == "suspect"
    (reason,) = judged.reasons
    assert reason.seen.startswith("energy by rapl cpu_package: ") and said in reason.seen and reason.remedy


def test_a_meter_that_is_not_there_makes_no_record_suspect() -> None:
    assert verdict.judge(make_record(energy=(EnergyReading("rapl", "unavailable", "none here"),))).level == "valid"
