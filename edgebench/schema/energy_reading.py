"""EnergyReading: the joules that one meter saw of one scope, and all that is needed to judge them.

Raw windows; joules for an inference, intervals and net energy are computed when it is read (`energy.per_inference`).
Readings are not added up: there is no `+`, and nothing sums over scopes or provenances.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgebench.schema.limits import (
    Amount,
    Celsius,
    Count,
    Hertz,
    Index,
    Instant,
    Joules,
    LongText,
    Real,
    Seconds,
    Text,
    Uncertainty,
    Wait,
)

Provenance = Literal["measured", "estimated", "modelled", "unavailable"]
Sampling = Literal["counter", "average", "point"]
# `short_window`, `baseline_drift` and `scope_mismatch` follow from the windows: they are found when read.
Flag = Literal[
    "undervoltage", "freq_capped", "throttled", "soft_temp", "charging", "wrapped", "gap", "saturated",
    "edge_extrapolated", "voltage_assumed", "column_map_guessed", "aliasing", "late",
]  # fmt: skip
# What joules can cover. `device` is a simulated one; `rail:NAME` and numbered boards are parts.
Scope = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(wall|board_input|battery|soc_rails|cpu_package|dram|ram|gpu_board(:\d+)?|rail:.{1,60}|device)\Z"
    ),
]


class Accuracy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that a datasheet or a calibration gives, taken as rectangular. source: which of them.

    gain: a fraction of the reading; offset_w: at any reading.
    """

    gain: Amount
    offset_w: Amount
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The meter as it was. period_s: between new values; latency_s: one arrives so late at most.

    accuracy: None where nobody states it. device_id: what it says it is; version: of what reads it.
    """

    sampling: Sampling
    period_s: Wait
    latency_s: Wait = 0.0
    accuracy: Accuracy | None = None
    device_id: Text = ""
    firmware: Text = ""
    version: Text = ""
    port: Text = ""

    @property
    def accuracy_source(self) -> str:
        return self.accuracy.source if self.accuracy else "none"


class ClockAlignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the instants of windows got onto the meter's clock.

    same_clock: device and meter have one. rtt: by exchanges over the link (RFC 5905); offset_s: device minus meter at
    the first window; u_s: standard uncertainty of a window's ends; delay_s: of the best exchange.
    """

    method: Literal["same_clock", "rtt"]
    offset_s: Real = 0.0
    u_s: Uncertainty = 0.0
    drift: Real | None = None
    delay_s: Real = 0.0


class IdleWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The device at rest before round `round`, or after the last one. start_ns: the device's monotonic clock.

    u_j: standard uncertainty that reading leaves in this window; u_common_j: that of what is the same in all windows of
    the reading, as a meter's lag is; values, max_gap_s: of the meter in it.
    temperature_c: of the device, at the last look in it.
    """

    round: Index
    duration_s: Seconds
    energy_j: Joules
    u_j: Uncertainty = 0.0
    u_common_j: Uncertainty = 0.0
    start_ns: Instant | None = None
    values: Index | None = None
    max_gap_s: Wait | None = None
    temperature_c: Celsius | None = None
    flags: tuple[Flag, ...] = ()

    @property
    def mean_w(self) -> float:
        return self.energy_j / self.duration_s


class EnergyWindow(IdleWindow, frozen=True, kw_only=True):
    """So many inferences one after the other. clock_hz: the device's lowest, looked at once a second."""

    inferences: Count
    clock_hz: Hertz | None = None


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A window that has no energy. code: outside | gaps | reset | saturated | frozen | counter | backwards; reason: the
    same in numbers, and the cure where there is one.
    """

    round: Index
    code: Text
    reason: Text


class EnergyReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one meter said of one scope, and where its numbers come from.

    Windows and `unavailable` exclude each other; what is not measured has a reason, and so has what ended early.
    duplicates, dropped: values that the meter said twice, or that got lost or garbled on the way. late_s: by so much
    values were moved that came later than the meter is known for.
    """

    meter: Text
    provenance: Provenance
    reason: LongText = ""
    scope: Scope | Literal[""] = ""
    note: Text = ""
    instrument: Instrument | None = None
    alignment: ClockAlignment | None = None
    idle: tuple[IdleWindow, ...] = ()
    windows: tuple[EnergyWindow, ...] = ()
    refused: tuple[Refusal, ...] = ()
    flags: tuple[Flag, ...] = ()
    duplicates: Index = 0
    dropped: Index = 0
    late_s: Uncertainty = 0.0

    def __post_init__(self) -> None:
        if (self.provenance == "unavailable") == bool(self.windows):
            raise ValueError(f"meter {self.meter} is {self.provenance} and has {len(self.windows)} windows")
        if self.provenance != "measured" and not self.reason:
            raise ValueError(f"meter {self.meter} is {self.provenance} and says not why")
        if self.windows and (not self.scope or self.instrument is None or self.alignment is None):
            raise ValueError(f"meter {self.meter} has windows without a scope, an instrument or a clock")

    @property
    def source(self) -> str:
        return f"{self.meter} {self.scope}".strip()

    @property
    def temperatures_c(self) -> tuple[float, ...]:
        """Of the device in its windows, at rest and inferring, in the order of time; empty where it tells none."""
        windows = sorted((*self.idle, *self.windows), key=lambda window: window.start_ns or 0)
        return tuple(window.temperature_c for window in windows if window.temperature_c is not None)

    @property
    def clocks_hz(self) -> tuple[int, ...]:
        """The device's lowest in each window of inferences; empty where it tells none."""
        return tuple(window.clock_hz for window in self.windows if window.clock_hz is not None)

    @property
    def all_flags(self) -> frozenset[str]:
        windows: list[IdleWindow] = [*self.idle, *self.windows]
        return frozenset(self.flags).union(*(window.flags for window in windows))


def upgrade_1(reading: dict[str, object]) -> list[dict[str, object]]:
    """Readings of schema 1 had the joules of all scopes together and an idle window before each window."""
    windows: list[dict] = reading.pop("windows", [])  # type: ignore[type-arg, assignment]
    if not windows:
        return [reading]
    sampling = "counter" if reading["meter"] in ("rapl", "nvml", "simulated") else "average"
    if reading["provenance"] != "measured" and not reading.get("reason"):
        reading["reason"] = "its record does not say"
    return [
        {
            **reading,
            "scope": scope,
            "instrument": {"sampling": sampling, "period_s": 0.0},
            "alignment": {"method": "same_clock"},
            "idle": [
                {"round": number, "duration_s": one["idle_s"], "energy_j": one["idle_j"][scope]}
                for number, one in enumerate(windows)
            ],
            "windows": [
                {
                    "round": number,
                    "duration_s": one["active_s"],
                    "energy_j": one["active_j"][scope],
                    "inferences": one["inferences"],
                }
                for number, one in enumerate(windows)
            ],
        }
        for scope in sorted(windows[0]["active_j"])
    ]
