"""Every rule fires with its numbers and a remedy, and none on a clean record."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from edgebench.analysis import latency_patterns, verdict
from edgebench.analysis.verdict import Verdict, steadiness
from edgebench.schema import plan
from edgebench.schema.record import Cooling, Load, Memory, Outcome, Record, Round
from tests.support.records import FACTS, PLAN, STEADY, failed, make_golden, make_record, make_rounds


def with_throttle_bits(in_rounds: int | None, *, before: int | None = 0, after: int | None = 0) -> Record:
    rounds = tuple(msgspec.structs.replace(one, throttled=in_rounds) for one in make_rounds([50_000.0] * 8))
    return make_record(
        rounds=rounds,
        facts_before=msgspec.structs.replace(FACTS, throttled=before),
        facts_after=msgspec.structs.replace(FACTS, throttled=after),
    )


def only_reason(judged: Verdict) -> verdict.Reason:
    (reason,) = judged.reasons
    return reason


def test_a_clean_record_is_valid_without_reasons() -> None:
    assert verdict.judge(make_record()) == Verdict("valid", ())


@pytest.mark.parametrize(
    ("running", "seen"),
    [
        ({"swap_bytes": 12_000_000}, "12.0 MB of it were swapped out"),
        ({"refaults": 5000, "major_faults": 40}, "5000 pages were read again"),
        ({"refaults": 5000}, ""),  # another process's
        ({"refaults": 100, "major_faults": 40}, ""),
    ],
)
def test_a_device_that_is_short_of_memory_makes_its_figure_doubtful(running: dict[str, int], seen: str) -> None:
    memory = Memory({"rss_bytes": 1}, {"rss_bytes": 1}, {"high_water_bytes": 20_000_000, **running}, True)
    judged = verdict.judge(make_record(memory=memory))
    assert [reason.level for reason in judged.reasons] == (["suspect"] if seen else [])
    assert all(seen in reason.seen for reason in judged.reasons)
    assert memory.high_water_bytes == 20_000_000 + running.get("swap_bytes", 0)


def test_being_emulated_is_no_fault_of_a_record() -> None:
    assert verdict.judge(make_record(emulated=True)).level == "valid"


def test_a_device_that_knows_little_of_itself_is_not_blamed_for_it() -> None:
    nothing = msgspec.structs.replace(FACTS, throttled=None, cores=None, temperature_c=None)
    rounds = tuple(Round(r.start_ns, r.block, r.values_ns, r.number) for r in make_rounds([50_000.0] * 8))
    record = make_record(facts_before=nothing, facts_after=None, rounds=rounds, load=None)
    assert verdict.judge(record).level == "valid"


@pytest.mark.parametrize("kind", ["wrong", "error", "crashed", "timeout"])
def test_every_kind_of_failure_is_invalid_and_has_a_remedy(kind: Any) -> None:
    record = failed(outcome=Outcome("failed", "warm_up", kind, "SIGSEGV during 'time'", "SIGSEGV"))
    reason = only_reason(verdict.judge(record))
    assert reason.level == "invalid"
    assert "warm_up" in reason.seen and "SIGSEGV during 'time'" in reason.seen
    assert reason.remedy


def test_a_failed_record_is_not_blamed_for_unchecked_answers_as_well() -> None:
    assert failed().golden is None
    assert len(verdict.judge(failed()).reasons) == 1


def test_a_dead_agent_is_invalid_and_says_how_far_it_came() -> None:
    record = make_record(outcome=Outcome("agent-died", reason="Killed"))
    reason = only_reason(verdict.judge(record))
    assert (reason.level, reason.seen) == ("invalid", "the agent died after 8 rounds: Killed")


def test_a_stopped_job_is_invalid() -> None:
    record = make_record(outcome=Outcome("stopped", reason="stopped by the user after 2 rounds"))
    reason = only_reason(verdict.judge(record))
    assert (reason.level, reason.seen) == ("invalid", "stopped by the user after 2 rounds")


def test_a_spent_budget_is_suspect_with_what_was_reached_and_what_was_asked() -> None:
    medians = [50_000 * (1 + 0.04 * offset) for offset in (1, -1, 1, -1, 1, -1, 1, -1)]
    record = make_record(outcome=Outcome("budget", reason="..."), rounds=make_rounds(medians))
    reason = only_reason(verdict.judge(record))
    # of eight values the smallest and the largest
    assert (reason.level, reason.seen) == ("suspect", "p50 is known to -4.0% / +4.0%, the plan requires +/-3.0%")


def test_a_spent_budget_whose_interval_is_narrow_in_the_end_says_why_that_is_too_little() -> None:
    record = make_record(outcome=Outcome("budget", reason="..."))
    seen = only_reason(verdict.judge(record)).seen
    assert (
        seen.startswith("p50 is known to -0.")
        and "but only since the last third of the rounds" in seen
        or "drift together" in seen
    )
    # Who uses the plan that is advised is not advised to use it.
    default = only_reason(verdict.judge(msgspec.structs.replace(record, plan=plan.named("default"))))
    assert default.remedy == "Close other programs"


def test_a_spent_budget_with_too_few_rounds_says_so() -> None:
    record = make_record(outcome=Outcome("budget", reason="..."), rounds=make_rounds([50_000.0, 50_100.0]))
    assert only_reason(verdict.judge(record)).seen == "2 rounds give p50 no interval, the plan requires +/-3.0%"


def test_unchecked_answers_are_suspect() -> None:
    reason = only_reason(verdict.judge(make_record(golden=None)))
    assert reason.level == "suspect" and "golden" in reason.seen and "edgebench export" in reason.remedy


def test_wrong_answers_that_were_timed_all_the_same_are_invalid() -> None:
    right = make_golden([[1.0, 0.0]])
    wrong = msgspec.structs.replace(right.outputs[0], passed=False, relative_error=0.31)
    golden = msgspec.structs.replace(right, passed=False, outputs=(wrong,))
    reason = only_reason(verdict.judge(make_record(golden=golden)))
    assert (reason.level, reason.seen) == (
        "invalid", "its answers to the 1 golden inputs are wrong (relative error 0.31)",
    )  # fmt: skip
    told = failed(golden=golden, outcome=Outcome("failed", "check", "wrong", "relative error 0.31"))
    assert len(verdict.judge(told).reasons) == 1


def test_a_warm_up_without_end_is_suspect_with_its_seconds() -> None:
    reason = only_reason(verdict.judge(make_record(stationary=False)))
    assert reason.level == "suspect" and f"after {PLAN.warmup_max_s:g} s" in reason.seen
    assert verdict.judge(make_record(stationary=None)).level == "valid"


def test_a_gate_that_stayed_shut_is_suspect_with_its_seconds() -> None:
    reason = only_reason(verdict.judge(make_record(gate_open=False)))
    assert reason.level == "suspect" and f"after {PLAN.gate_max_s:g} s" in reason.seen
    assert verdict.judge(make_record(gate_open=None)).level == "valid"


# ------------------------------------------------------------------ throttle bits of a Raspberry Pi


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0x1, "under-voltage"),
        (0x2, "clock capped"),
        (0x4, "throttled"),
        (0x8, "soft temperature limit"),
        (0x5, "under-voltage, throttled"),
        (0x50005, "under-voltage, throttled"),
    ],
)
def test_a_live_bit_in_any_round_is_invalid_and_named(bits: int, names: str) -> None:
    steady = list(with_throttle_bits(0).rounds)
    steady[3] = msgspec.structs.replace(steady[3], throttled=bits)
    reason = only_reason(verdict.judge(make_record(rounds=tuple(steady))))
    assert (reason.level, reason.seen) == ("invalid", f"the board reported: {names}")


def test_bits_of_different_rounds_are_all_named() -> None:
    rounds = list(with_throttle_bits(0).rounds)
    rounds[1] = msgspec.structs.replace(rounds[1], throttled=0x1)
    rounds[6] = msgspec.structs.replace(rounds[6], throttled=0x8)
    reason = only_reason(verdict.judge(make_record(rounds=tuple(rounds))))
    assert reason.seen == "the board reported: under-voltage, soft temperature limit"


def test_what_happened_before_the_job_is_not_held_against_it() -> None:
    """The since-boot bits were set before: they say nothing about now."""
    record = with_throttle_bits(0x50000, before=0x50000, after=0x50000)
    assert verdict.judge(record) == Verdict("valid", ())


def test_a_since_boot_bit_that_appeared_between_two_rounds_is_invalid() -> None:
    record = with_throttle_bits(0x10000, before=0x10000, after=0x50000)
    assert only_reason(verdict.judge(record)).seen == "the board reported: throttled"


def test_a_board_without_throttle_bits_is_not_judged_by_them() -> None:
    assert verdict.judge(with_throttle_bits(None, before=None, after=None)).level == "valid"


def test_a_since_boot_bit_counts_where_the_state_before_is_unknown() -> None:
    assert verdict.judge(with_throttle_bits(None, before=None, after=0x40000)).level == "invalid"


def test_a_board_that_is_throttled_right_after_the_job_is_invalid() -> None:
    """It was throttled once since boot, so that the sticky bit is no news; now it is again."""
    assert verdict.judge(with_throttle_bits(0x40000, before=0x40000, after=0x40004)).level == "invalid"


# ------------------------------------------------------------------ drift and load


@pytest.mark.parametrize(("change", "said"), [(0.08, "+8.0%"), (-0.08, "-8.0%")])
def test_a_drift_is_suspect_with_its_size_and_direction(change: float, said: str) -> None:
    record = make_record(rounds=make_rounds([50_000.0] * 4 + [50_000.0 * (1 + change)] * 4))
    reason = only_reason(verdict.judge(record))
    assert reason.level == "suspect" and f"p50 moved by {said}" in reason.seen


def test_a_drift_below_the_limit_is_none() -> None:
    record = make_record(rounds=make_rounds([50_000.0] * 4 + [50_000.0 * (1 + 0.9 * steadiness.DRIFT_LIMIT)] * 4))
    assert verdict.judge(record).level == "valid"


def test_a_steady_trend_is_a_drift_from_the_precision_on() -> None:
    """Sixteen rounds, each slower than the one before; in another order they are no trend."""
    rising = [50_000.0 * (1 + 0.005 * number) for number in range(16)]
    reason = only_reason(verdict.judge(make_record(rounds=make_rounds(rising))))
    assert (reason.level, reason.seen) == ("suspect", "p50 moved by +3.9% from the first half to the second")
    by_turns = [value for pair in zip(rising[:8], rising[8:], strict=True) for value in pair]
    assert verdict.judge(make_record(rounds=make_rounds(by_turns))).level == "valid"
    slight = [50_000.0 * (1 + 0.001 * number) for number in range(16)]
    assert verdict.judge(make_record(rounds=make_rounds(slight))).level == "valid"


def test_one_slow_round_in_a_dozen_is_left_out_and_two_are_said() -> None:
    assert verdict.judge(make_record(rounds=make_rounds([50_000] * 11 + [90_000]))).level == "valid"
    reason = only_reason(verdict.judge(make_record(rounds=make_rounds([50_000] * 10 + [90_000, 80_000]))))
    assert (reason.level, reason.seen) == ("suspect", "2 of 12 rounds were slower by 70%")


def test_an_emulators_processor_time_is_no_load() -> None:
    load = Load(wall_s=10.0, own_s=10.0, busy_s=30.0, steal_s=0.0)
    assert verdict.judge(make_record(load=load)).level == "suspect"
    assert verdict.judge(make_record(load=load, emulated=True)).level == "valid"


def test_four_rounds_are_too_few_to_see_a_drift_and_five_are_not() -> None:
    assert verdict.judge(make_record(rounds=make_rounds([50_000, 50_000, 60_000, 60_000]))).level == "valid"
    assert verdict.judge(make_record(rounds=make_rounds([50_000, 50_000, 60_000, 60_000, 60_000]))).level == "suspect"


@pytest.mark.parametrize(
    ("busy_s", "steal_s", "said"),
    [
        (10.0, 0.0, None),
        (12.4, 0.0, None),
        (12.6, 0.0, "other programs kept 0.26 processors busy meanwhile"),
        (10.0, 5.0, "other programs kept 0.50 processors busy meanwhile"),
        (30.0, 0.0, "other programs kept 2.00 processors busy meanwhile"),
    ],
)
def test_other_programs_and_a_hypervisor_are_suspect_with_what_they_took(
    busy_s: float, steal_s: float, said: str | None
) -> None:
    """Ten seconds in which the job itself kept one processor busy."""
    judged = verdict.judge(make_record(load=Load(wall_s=10.0, own_s=10.0, busy_s=busy_s, steal_s=steal_s)))
    assert [reason.seen for reason in judged.reasons] == ([said] if said else [])
    assert judged.level == ("suspect" if said else "valid")


def test_a_job_of_many_threads_is_not_taken_for_others() -> None:
    assert verdict.judge(make_record(load=Load(wall_s=10.0, own_s=40.0, busy_s=40.5, steal_s=0.0))).level == "valid"


def test_clocks_that_disagree_a_little_make_no_negative_load() -> None:
    assert Load(wall_s=10.0, own_s=10.0, busy_s=9.9, steal_s=0.0).others == 0


def test_the_worst_reason_gives_the_level_and_all_are_kept() -> None:
    record = make_record(
        golden=None,
        stationary=False,
        outcome=Outcome("agent-died", reason="Killed"),
        rounds=make_rounds([50_000 * factor for factor in STEADY[:2]]),
    )
    judged = verdict.judge(record)
    assert judged.level == "invalid"
    assert [reason.level for reason in judged.reasons] == ["invalid", "suspect", "suspect"]
    assert all(reason.seen and reason.remedy for reason in judged.reasons)


# ------------------------------------------------------------------ how it behaved over time

MLPERF = msgspec.structs.replace(plan.named("mlperf"), seconds_min=0.0)


def seen(record: Record) -> list[str]:
    return [reason.seen for reason in verdict.judge(record).reasons]


def spread(values_ns: list[int], rounds: int = 8, **fields: Any) -> tuple[Round, ...]:
    """Rounds of the same values, each from another one on, as if measured one after the other."""
    turned = [values_ns[number:] + values_ns[:number] for number in range(rounds)]
    return tuple(
        Round(start_ns=10**9 * number, block=1, values_ns=tuple(values), number=number, **fields)
        for number, values in enumerate(turned)
    )


def test_two_levels_are_said_with_both() -> None:
    """Two kinds of cores: in every round some inferences take half as long again."""
    values = [50_000 + 10 * n for n in range(12)] + [75_000 + 10 * n for n in range(8)]
    (reason,) = verdict.judge(make_record(rounds=spread(values, duration_ns=sum(values)))).reasons
    assert reason.level == "suspect" and "two levels, 0.0501 and 0.075" in reason.seen
    assert "cpus" in reason.remedy


@pytest.mark.parametrize(
    "values",
    [
        [50_000 + 1_000 * n for n in range(40)],  # as wide, and even
        [50_000 + 10 * n for n in range(38)] + [75_000, 76_000],  # outliers
        [50_000 + 10 * n for n in range(20)] + [53_000 + 10 * n for n in range(20)],  # two levels, near one another
        [50_000] * 40,
    ],
)
def test_what_is_no_second_level(values: list[int]) -> None:
    order = random.Random(1)
    shuffled = order.sample(values, len(values))
    assert latency_patterns.two_levels(spread(shuffled)) is None


@pytest.mark.parametrize("draw", ["gauss", "expovariate", "lognormvariate"])
def test_noise_of_one_level_has_no_second_one(draw: str) -> None:
    order = random.Random(2)
    shapes = {
        "gauss": lambda: order.gauss(1, 0.1),
        "expovariate": lambda: 1 + order.expovariate(5),
        "lognormvariate": lambda: order.lognormvariate(0, 0.3),
    }
    for _ in range(200):
        values = [round(50_000 * max(0.3, shapes[draw]())) for _ in range(100)]
        assert latency_patterns.two_levels(spread(values)) is None


def test_standing_still_is_said_and_reading_a_clock_is_not() -> None:
    steady = [50_000] * 10
    assert seen(make_record(rounds=spread(steady, duration_ns=510_000))) == []
    assert seen(make_record(rounds=spread(steady, duration_ns=1_000_000))) == [
        "for 50% of the time it paused between inferences"
    ]


def test_resting_between_paced_inferences_is_not_standing_still() -> None:
    assert seen(make_record(rounds=spread([50_000] * 10, duration_ns=10**9, missed=0))) == []


@pytest.mark.parametrize(("missed", "is_said"), [(0, False), (1, False), (5, True)])
def test_more_than_one_late_inference_in_a_hundred_is_said(missed: int, is_said: bool) -> None:
    rounds = spread([50_000] * 20, duration_ns=10**9, missed=0)
    late = (msgspec.structs.replace(rounds[0], missed=missed), *rounds[1:])
    said = seen(make_record(rounds=late))
    assert said == ([f"{missed} of 160 inferences were not finished when the next was due, at 0 per second"] * is_said)


def test_windows_are_checked_one_by_one() -> None:
    whole = spread([1_100_000_000] * 10, rounds=5, duration_ns=11_000_000_000)
    good = msgspec.structs.replace(make_record(rounds=whole), plan=MLPERF)
    assert seen(good) == []
    for broken in ({"duration_ns": 9_999_999_999}, {"values_ns": (1_100_000_000,) * 9}, {"duration_ns": None}):
        rounds = (*whole[:4], msgspec.structs.replace(whole[4], **broken))
        judged = verdict.judge(msgspec.structs.replace(good, rounds=rounds))
        assert judged.level == "invalid" and "1 of 5 windows are shorter than 10 s or 10 inferences" in (
            judged.reasons[0].seen
        )


def test_too_few_values_are_said_with_their_number() -> None:
    few = make_rounds([50_000.0 * factor for factor in STEADY], values=4)
    assert "32 values, the plan requires 50" in seen(make_record(rounds=few))


def with_clocks(*clocks_hz: int | None) -> Record:
    rounds = make_rounds([50_000.0 * factor for factor in STEADY])
    seen_ = zip(rounds, clocks_hz, strict=True)
    return make_record(rounds=tuple(msgspec.structs.replace(one, clock_hz=hz) for one, hz in seen_))


def test_a_clock_that_sank_is_said_and_one_that_wavers_is_not() -> None:
    fast, slow = 1_800_000_000, 600_000_000
    assert seen(with_clocks(*[fast] * 8)) == [] == seen(with_clocks(*[None] * 8))
    assert seen(with_clocks(*[fast, round(0.95 * fast)] * 4)) == []
    assert seen(with_clocks(*[fast] * 6, slow, slow)) == [
        "the clock was down to 0.60 GHz in 2 of 8 rounds, not 1.80 GHz; governor performance"
    ]
    assert seen(with_clocks(*[slow] * 8)) == [], "a clock that is low throughout is a condition, not a fault"


def test_a_battery_is_said() -> None:
    facts = msgspec.structs.replace(FACTS, on_battery=True)
    assert seen(make_record(facts_before=facts)) == ["it ran on its battery, which lowers the clock on many machines"]
    assert seen(make_record(facts_before=msgspec.structs.replace(FACTS, on_battery=False))) == []


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (
            ((0.0, 60.0, None), (20.0, 52.0, None)),
            "at 52.0 °C after 20 s of waiting, not below 43.0 °C; it lost 8.0 °C",
        ),
        (((0.0, 40.0, 10**9), (20.0, 40.0, 10**9)), "its clock was still limited to 1.00 GHz after 20 s of waiting"),
        (((0.0, 40.0, 2 * 10**9), (20.0, 40.0, 2 * 10**9)), "it was still throttled after 20 s of waiting"),
        (((0.0, None, None), (20.0, None, None)), "it was still throttled after 20 s of waiting"),
    ],
)
def test_a_gate_that_stayed_shut_says_what_it_waited_for(curve: Any, said: str) -> None:
    record = msgspec.structs.replace(make_record(gate_open=False), cooling=Cooling(20.0, 43.0, 2 * 10**9, curve))
    (reason,) = verdict.judge(record).reasons
    assert said in reason.seen and reason.level == "suspect"


def test_a_plan_that_looks_for_heat_is_not_blamed_for_finding_it() -> None:
    hot = with_throttle_bits(0x4)
    sustained = msgspec.structs.replace(hot, plan=msgspec.structs.replace(PLAN, sustained=True, precision=None))
    assert verdict.judge(hot).level == "invalid" and verdict.judge(sustained).level == "valid"
    weak = with_throttle_bits(0x5)
    (reason,) = verdict.judge(msgspec.structs.replace(weak, plan=sustained.plan)).reasons
    assert reason.seen == "the board reported: under-voltage"


def test_bits_since_boot_that_only_a_look_saw_count() -> None:
    """The kernel cleared them before the end."""
    record = with_throttle_bits(0, before=0, after=0)
    rounds = (msgspec.structs.replace(record.rounds[0], throttled=0x10000), *record.rounds[1:])
    (reason,) = verdict.judge(msgspec.structs.replace(record, rounds=rounds)).reasons
    assert reason.seen == "the board reported: under-voltage"
