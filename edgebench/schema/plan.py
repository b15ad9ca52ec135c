"""Plan: how hard to measure. The presets are the file's last lines."""

from __future__ import annotations

import math

import msgspec

from edgebench.errors import UnknownName, UserError
from edgebench.schema.limits import Amount, Celsius, Index, Integer, Rate, Text, Wait

ENERGY_WINDOW_S = 10.0
LAYERS_S = 2.0


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sent to the agent unchanged.

    A round times each artifact for about `round_s`; rounds continue until every artifact has `rounds_min` rounds,
    `values_min` values, `seconds_min` seconds and a 95 % interval of the median no wider than
    +/- `precision` (a fraction of the median), or has used `seconds_max`. precision None: any.
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
    # Warm-up ends when the medians of windows of this length are level.
    warmup_window_s: Wait = 0.04
    # The gate before the rounds: not hotter than at the start plus the margin, the clock as high, nothing throttled;
    # it waits at most this long.
    gate_margin_c: Celsius = 3.0
    gate_max_s: Wait = 60.0
    # Energy windows per artifact: a minimum (0: none), then until the 95 % interval of the joules of an inference is
    # within +/- energy_precision, up to a maximum.
    energy_windows: Index = 0
    energy_windows_max: Index = 20
    energy_precision: Amount = 0.02
    energy_window_s: Wait = ENERGY_WINDOW_S
    # A country (ISO, three letters): its grid, and CodeCarbon's model of the device's energy, labelled as modelled.
    carbon: Text = ""
    carbon_g_per_kwh: Amount | None = None
    carbon_source: Text = ""
    # Longest wait for one answer of a worker; a model that hangs becomes a failed record.
    worker_timeout_s: Wait = 300.0
    # A fresh worker after so many rounds: memory placement shifts all rounds of a process alike, so that they agree
    # better with one another than with the truth. 0: one worker for all rounds.
    rounds_per_process: Index = 0
    # Every round lasts at least this long on the device's clock, and holds at least so many inferences.
    window_s_min: Wait = 0.0
    window_inferences_min: Index = 0
    # More values than this in a round become blocks of inferences.
    round_values_max: Index = 20_000
    # One artifact after the other, each from a cool device, because the plan looks for the effect of heat.
    sustained: bool = False
    # Inferences per second, each when it is due, asleep in between; None: back to back.
    duty_hz: Rate | None = None
    # Read temperature, clock and throttle bits once a second. Off only to measure the cost of reading (`selftest`).
    sampling: bool = True
    # Let the device answer the whole test set as well.
    accuracy: bool = False
    # Seconds of inferences with the runtime's profiler, after everything else; 0: none.
    layers_s: Wait = 0.0
    seed: Integer = 0


def named(name: str) -> Plan:
    if name.startswith(DUTY):
        return duty(name)
    for plan in PRESETS:
        if plan.preset == name:
            return plan
    raise UnknownName("plan", name, [*(plan.preset for plan in PRESETS), f"{DUTY}N"])


def duty(name: str) -> Plan:
    """`duty:N`: N inferences per second, as in an application. Raises UserError for an invalid rate."""
    try:
        rate_hz = float(name.removeprefix(DUTY))
    except ValueError:
        rate_hz = math.nan
    if not LEAST_DUTY_HZ <= rate_hz <= MOST_DUTY_HZ:
        raise UserError(
            "--plan", f"'{name}' does not name a rate from {LEAST_DUTY_HZ:g} to {MOST_DUTY_HZ:g} inferences per second",
            "For example: duty:5",
        )  # fmt: skip
    # Ten inferences and one second: the least for a meaningful median of a round.
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
    """Five windows of ten seconds or more: the least for an interval (MLPerf Tiny asks for >= 10 s each)."""
    return msgspec.structs.replace(plan, energy_windows=5, energy_window_s=window_s)


def with_carbon(plan: Plan, country: str, g_per_kwh: float, source: str) -> Plan:
    """Grams beside the joules. country: an ISO code. source: of the grams per kilowatt hour."""
    return msgspec.structs.replace(plan, carbon=country, carbon_g_per_kwh=g_per_kwh, carbon_source=source)


def with_accuracy(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, accuracy=True)


def with_layers(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, layers_s=LAYERS_S)


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
    # The speed after ten minutes without a rest, and when the device began to throttle.
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
