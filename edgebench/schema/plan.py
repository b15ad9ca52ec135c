"""Plan: how hard to measure. The presets are the file's last lines."""

from __future__ import annotations

import math

import msgspec

from edgebench.errors import UnknownName, UserError
from edgebench.schema.limits import Amount, Celsius, Index, Integer, Rate, Text, Wait

ENERGY_WINDOW_S = 10.0


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sent to the agent as it is.

    A round times each artifact for about `round_s`; rounds go on until every artifact has `rounds_min` rounds,
    `values_min` values, `seconds_min` seconds and a 95 % interval of the median no wider than
    +/- `precision` (a fraction of the median), or has used `seconds_max`. precision None: it does not matter.
    """

    preset: Text
    rounds_min: Index
    values_min: Index
    seconds_min: Wait
    seconds_max: Wait
    round_s: Wait
    precision: Amount | None
    warmup_max_s: Wait
    memory_inferences: Index
    # Warm-up ends where the medians of windows of this length are level.
    warmup_window_s: Wait = 0.04
    # The gate before the rounds: not hotter than at the start plus the margin, the clock as high as then, and nothing
    # throttled, waited for at most so long.
    gate_margin_c: Celsius = 3.0
    gate_max_s: Wait = 60.0
    # Energy windows of each artifact: at least so many (0: none), then until the 95 % interval of the joules of an
    # inference is within +/- energy_precision, at most so many.
    energy_windows: Index = 0
    energy_windows_max: Index = 20
    energy_precision: Amount = 0.02
    energy_window_s: Wait = ENERGY_WINDOW_S
    # A country (ISO, three letters): codecarbon's model of the device's energy as well, labelled as one; and its grid.
    carbon: Text = ""
    carbon_g_per_kwh: Amount | None = None
    carbon_source: Text = ""
    # Longest wait for one answer of a worker; a model that hangs ends as a failed record.
    worker_timeout_s: Wait = 300.0
    # A fresh worker after so many rounds: where a process's memory came to lie moves all of its rounds alike, so that
    # rounds of one process agree better with one another than with the truth. 0: one worker for all rounds.
    rounds_per_process: Index = 0
    # Every round lasts for at least so long on the device's clock, and holds so many inferences.
    window_s_min: Wait = 0.0
    window_inferences_min: Index = 0
    # More values than this in a round become blocks of inferences.
    round_values_max: Index = 20_000
    # One artifact after the other, each from a cool device, as heat is what is looked for.
    sustained: bool = False
    # Inferences a second, each when it is due, asleep in between; None: one right after the other.
    duty_hz: Rate | None = None
    # Temperature, clock and throttle bits once a second. Off only to find out what looking costs (`selftest`).
    sampling: bool = True
    # Let the device answer the whole test set as well.
    accuracy: bool = False
    seed: Integer = 0


def named(name: str) -> Plan:
    if name.startswith(DUTY):
        return duty(name)
    for plan in PRESETS:
        if plan.preset == name:
            return plan
    raise UnknownName("plan", name, [*(plan.preset for plan in PRESETS), f"{DUTY}N"])


def duty(name: str) -> Plan:
    """`duty:N`: N inferences a second, as an application would ask for them. Raises UserError for what is no rate."""
    try:
        rate_hz = float(name.removeprefix(DUTY))
    except ValueError:
        rate_hz = math.nan
    if not LEAST_DUTY_HZ <= rate_hz <= MOST_DUTY_HZ:
        raise UserError(
            "--plan", f"'{name}' names no rate from {LEAST_DUTY_HZ:g} to {MOST_DUTY_HZ:g} inferences a second",
            "Write for example duty:5",
        )  # fmt: skip
    # Ten inferences and a second: the least of which a round's median means something.
    round_s = max(1.0, 10 / rate_hz)
    return Plan(
        preset=name,
        rounds_min=10,
        values_min=100,
        seconds_min=10 * round_s,
        seconds_max=30 * round_s,
        round_s=round_s,
        precision=0.03,
        warmup_max_s=5 * round_s,
        warmup_window_s=round_s / 5,
        memory_inferences=50,
        duty_hz=rate_hz,
    )


def with_energy(plan: Plan, window_s: float = ENERGY_WINDOW_S) -> Plan:
    """Five windows of ten seconds or more: the least that gives an interval (MLPerf Tiny asks for >= 10 s each)."""
    return msgspec.structs.replace(plan, energy_windows=5, energy_window_s=window_s)


def with_carbon(plan: Plan, country: str, g_per_kwh: float, source: str) -> Plan:
    """Grams beside the joules. country: an ISO code. source: who says how many grams there are to a kilowatt hour."""
    return msgspec.structs.replace(plan, carbon=country, carbon_g_per_kwh=g_per_kwh, carbon_source=source)


def with_accuracy(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, accuracy=True)


DUTY = "duty:"
LEAST_DUTY_HZ, MOST_DUTY_HZ = 0.1, 1000.0
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
        warmup_window_s=0.02,
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
    # MLPerf Tiny's performance mode: five windows of ten seconds and ten inferences or more; the median counts.
    Plan(
        preset="mlperf",
        rounds_min=5,
        values_min=5,
        seconds_min=50.0,
        seconds_max=3600.0,
        round_s=10.0,
        precision=None,
        warmup_max_s=60.0,
        memory_inferences=10,
        gate_max_s=120.0,
        rounds_per_process=1,
        window_s_min=10.0,
        window_inferences_min=10,
    ),
    # What is left after ten minutes without a rest, and when the device began to throttle.
    Plan(
        preset="sustained",
        rounds_min=1,
        values_min=1,
        seconds_min=600.0,
        seconds_max=600.0,
        round_s=2.0,
        precision=None,
        warmup_max_s=5.0,
        memory_inferences=50,
        gate_max_s=300.0,
        round_values_max=2_000,
        sustained=True,
    ),
)
