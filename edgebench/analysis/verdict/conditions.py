"""The device's condition during the measurement: heat, clock, supply, threads, other programs."""

from __future__ import annotations

from collections.abc import Iterator

from edgebench.analysis import latency_patterns
from edgebench.analysis.verdict.reason import Reason
from edgebench.schema.record import Cooling, Record

OTHERS_LIMIT = 0.25
LOWERED_CLOCK = 0.9
LOWERED_SHARE = 0.1
# Of the rounds.
BROKEN_SHARE = 0.1
_THROTTLE_BITS = {0: "under-voltage", 1: "clock capped", 2: "throttled", 3: "soft temperature limit"}


# 4 KB each on most boards; a device with enough memory reads fewer pages again.
REFAULTS_LIMIT = 256


def short_of_memory(record: Record) -> Iterator[Reason]:
    """Pages taken away while memory is measured are missing from the figure."""
    memory = record.memory
    if memory is None:
        return
    swapped = memory.running.get("swap_bytes", 0)
    again, waited = memory.running.get("refaults", 0), memory.running.get("major_faults", 0)
    seen = [f"{swapped / 1e6:.1f} MB of it were swapped out"] if swapped else []
    if again >= REFAULTS_LIMIT and waited:
        seen.append(f"{again} pages were read again that the device had given up, {waited} times it waited for one")
    if seen:
        yield Reason(
            "suspect",
            f"the device was short of memory while memory was measured: {'; '.join(seen)}: the figure may be too low",
            "Close other programs there, or use a board with more memory",
        )


def gate_stayed_shut(record: Record) -> Iterator[Reason]:
    if record.gate_open is False:
        yield Reason("suspect", _why_shut(record), "Let it cool, or cool it, then deploy again")


def _why_shut(record: Record) -> str:
    waited = f"after {record.plan.gate_max_s:g} s of waiting"
    cooling = record.cooling
    if cooling is None:
        return f"it was still hot {waited}"
    _, celsius, clock_hz = cooling.curve[-1]
    if None not in (celsius, cooling.limit_c) and celsius > cooling.limit_c:  # type: ignore[operator]
        return f"it was still at {celsius:.1f} °C {waited}, not below {cooling.limit_c:.1f} °C{_cooled(cooling)}"
    if None not in (clock_hz, cooling.limit_hz) and clock_hz < cooling.limit_hz:  # type: ignore[operator]
        return f"its clock was still limited to {clock_hz / 1e9:.2f} GHz {waited}, not {cooling.limit_hz / 1e9:.2f}"  # type: ignore[operator]
    return f"it was still throttled {waited}"


def _cooled(cooling: Cooling) -> str:
    """How fast it cooled, as measured."""
    first = cooling.curve[0]
    last = cooling.curve[-1]
    if first[1] is None or last[1] is None or last[0] <= first[0]:
        return ""
    return f"; it lost {first[1] - last[1]:.1f} °C in {last[0] - first[0]:.0f} s"


def throttled(record: Record) -> Iterator[Reason]:
    """The live bits of any check, and the since-boot bits that appeared during the job.

    A plan that looks for throttling has then found it; a weak supply is always a fault.
    """
    seen = 0
    for round_ in record.rounds:
        seen |= round_.throttled or 0
    before = record.facts_before.throttled or 0
    after = (record.facts_after.throttled if record.facts_after else None) or 0
    bits = (seen | after | ((seen | after) & ~before) >> 16) & 0xF
    if record.plan.sustained:
        bits &= ~latency_patterns.THROTTLED_BITS
    if bits:
        names = ", ".join(name for bit, name in _THROTTLE_BITS.items() if bits >> bit & 1)
        yield Reason("invalid", f"the board reported: {names}", "Use a 3 A supply, a short cable and a heat sink")


def slow_clock(record: Record) -> Iterator[Reason]:
    found = None if record.plan.sustained else latency_patterns.lowered_clock(record.rounds, LOWERED_CLOCK)
    if found is None:
        return
    lowered, highest = found
    seen = sum(round_.clock_hz is not None for round_ in record.rounds)
    if len(lowered) > LOWERED_SHARE * seen:
        yield Reason(
            "suspect",
            f"the clock was down to {min(lowered) / 1e9:.2f} GHz in {len(lowered)} of {seen} rounds, not "
            f"{highest / 1e9:.2f} GHz; governor {record.facts_before.governor or 'unknown'}",
            "Set the governor to performance, and cool it",
        )


def other_threads(record: Record) -> Iterator[Reason]:
    """As it ran, not as requested."""
    runtime, asked = record.runtime, record.target.threads
    if record.target.device != "cpu" or runtime.threads is None:
        return
    if runtime.threads > asked:
        yield Reason(
            "suspect", f"{asked} threads were requested, {runtime.name} started {runtime.threads}",
            "Compare it only with records of the same number of threads",
        )  # fmt: skip
    elif runtime.cpus and asked > len(runtime.cpus):
        yield Reason(
            "suspect", f"{asked} threads shared {len(runtime.cpus)} processors",
            "Lower `threads`, or widen `cpus`, in targets.yaml",
        )  # fmt: skip


def on_battery(record: Record) -> Iterator[Reason]:
    ends = (record.facts_before, record.facts_after)
    if any(facts is not None and facts.on_battery for facts in ends):
        yield Reason("suspect", "it ran on its battery, which lowers the clock on many machines", "Plug it in")


def other_load(record: Record) -> Iterator[Reason]:
    load = record.load
    if record.target.emulated:
        return  # its processors share one clock: what its kernel counts as busy is not load
    if load is not None and load.others > OTHERS_LIMIT:
        yield Reason(
            "suspect", f"other programs kept {load.others:.2f} processors busy meanwhile",
            "Close them, or wait a minute",
        )  # fmt: skip


def interrupted(record: Record) -> Iterator[Reason]:
    """Rounds that a phone's page interrupted were measured again; if there are many, the phone was being used."""
    broken = [round_.interrupted for round_ in record.rounds if round_.interrupted]
    if len(broken) > BROKEN_SHARE * len(record.rounds):
        yield Reason(
            "suspect",
            f"{len(broken)} of {len(record.rounds)} rounds were interrupted and measured again ({broken[0]})",
            "Keep the page in the foreground and the screen on: set its time-out to several minutes",
        )  # fmt: skip
