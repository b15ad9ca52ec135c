"""Every rule fires with its numbers and a remedy, and none on a clean record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgebench import verdict
from edgebench.record import Load, Outcome, Record, Round
from edgebench.verdict import Verdict
from tests.records import FACTS, PLAN, STEADY, failed, make_record, make_rounds


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
    assert (reason.level, reason.seen) == ("suspect", "p50 is known to +/-4.0%, asked for +/-3.0%")


def test_a_spent_budget_with_too_few_rounds_says_so() -> None:
    record = make_record(outcome=Outcome("budget", reason="..."), rounds=make_rounds([50_000.0, 50_100.0]))
    assert only_reason(verdict.judge(record)).seen == "2 rounds give p50 no interval, asked for +/-3.0%"


def test_unchecked_answers_are_suspect() -> None:
    reason = only_reason(verdict.judge(make_record(golden=None)))
    assert reason.level == "suspect" and "golden" in reason.seen and "edgebench export" in reason.remedy


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
    record = make_record(rounds=make_rounds([50_000.0] * 4 + [50_000.0 * (1 + 0.9 * verdict.DRIFT_LIMIT)] * 4))
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
