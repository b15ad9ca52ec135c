"""Plan: how hard to measure. The presets are the file's last lines."""

from __future__ import annotations

import msgspec

from edgebench.errors import UnknownName


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sent to the agent as it is.

    A round times each artifact for about `round_s`; rounds go on until every artifact has `rounds_min` rounds,
    `values_min` values, `seconds_min` seconds and a 95 % interval of the median no wider than
    +/- `precision` (a fraction of the median), or has used `seconds_max`.
    """

    preset: str
    rounds_min: int
    values_min: int
    seconds_min: float
    seconds_max: float
    round_s: float
    precision: float
    warmup_max_s: float
    memory_inferences: int
    # The gate before the rounds: not hotter than at the start plus the margin, waited for at most so long.
    gate_margin_c: float = 3.0
    gate_max_s: float = 60.0
    # Energy windows of each artifact: at least so many (0: none), then until the 95 % interval of the joules of an
    # inference is within +/- energy_precision, at most so many.
    energy_windows: int = 0
    energy_windows_max: int = 20
    energy_precision: float = 0.02
    energy_window_s: float = 10.0
    # A country (ISO, three letters): codecarbon's model of the device's energy as well, labelled as one.
    carbon: str = ""
    # Longest wait for one answer of a worker; a model that hangs ends as a failed record.
    worker_timeout_s: float = 300.0
    # A fresh worker after so many rounds: where a process's memory came to lie moves all of its rounds alike, so that
    # rounds of one process agree better with one another than with the truth. 0: one worker for all rounds.
    rounds_per_process: int = 0
    # Temperature and throttle bits after every round. Off only to find out what looking costs (`selftest`).
    sampling: bool = True
    seed: int = 0


def named(name: str) -> Plan:
    for plan in PRESETS:
        if plan.preset == name:
            return plan
    raise UnknownName("plan", name, [plan.preset for plan in PRESETS])


def with_energy(plan: Plan, window_s: float = 10.0, carbon: str = "") -> Plan:
    """Five windows of ten seconds or more: the least that gives an interval (MLPerf Tiny asks for >= 10 s each)."""
    return msgspec.structs.replace(plan, energy_windows=5, energy_window_s=window_s, carbon=carbon)


PRESETS = (
    Plan(
        preset="quick",
        rounds_min=6,
        values_min=50,
        seconds_min=0.5,
        seconds_max=3.0,
        round_s=0.1,
        precision=0.03,
        warmup_max_s=2.0,
        memory_inferences=20,
        gate_max_s=20.0,
    ),
    Plan(
        preset="default",
        rounds_min=10,
        values_min=100,
        seconds_min=2.0,
        seconds_max=15.0,
        round_s=0.2,
        precision=0.01,
        warmup_max_s=10.0,
        memory_inferences=50,
        rounds_per_process=2,
    ),
)
