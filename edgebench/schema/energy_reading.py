"""EnergyReading: the joules that one meter measured for one scope, with what is needed to judge them.

It holds raw windows; joules per inference, intervals and net energy are computed when it is read
(`energy.per_inference`). Readings are never added up: there is no `+`, and nothing sums over scopes or provenances.
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
# `short_window`, `baseline_drift` and `scope_mismatch` follow from the windows and are determined when it is read.
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
    """Limits from a data sheet or a calibration, taken as rectangular. source: which of the two.

    gain: a fraction of the reading; offset_w: at any reading.
    """

    gain: Amount
    offset_w: Amount
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The meter at the time. period_s: between new values; latency_s: largest delay of a value.

    accuracy: None if not stated. device_id: as reported by the meter; version: of what reads it.
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
    """How the times of windows were converted to the meter's clock.

    same_clock: device and meter share one. rtt: by exchanges over the link (RFC 5905); offset_s: device minus meter at
    the first window; u_s: standard uncertainty of a window's ends; delay_s: of the best exchange.
    """

    method: Literal["same_clock", "rtt"]
    offset_s: Real = 0.0
    u_s: Uncertainty = 0.0
    drift: Real | None = None
    delay_s: Real = 0.0


class IdleWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The device at rest before round `round`, or after the last one. start_ns: the device's monotonic clock.

    u_j: standard uncertainty of this window; u_common_j: its part that all windows of the reading share, such as the
    meter's lag; values, max_gap_s: of the meter in the window. temperature_c: of the device, as last read in it.
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
    """A window of consecutive inferences. clock_hz: the device's lowest, read once a second."""

    inferences: Count
    clock_hz: Hertz | None = None


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A window without energy. code: outside | gaps | reset | saturated | frozen | counter | backwards; reason: in
    numbers, with the remedy if there is one.
    """

    round: Index
    code: Text
    reason: Text


class EnergyReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The values of one meter for one scope, and where they come from.

    Windows and `unavailable` exclude each other; what was not measured, or ended early, has a reason. duplicates,
    dropped: values that came twice, or were lost or garbled on the way. late_s: by how much values were shifted that
    came later than usual for the meter.
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
            raise ValueError(f"meter {self.meter} is {self.provenance} without a reason")
        if self.windows and (not self.scope or self.instrument is None or self.alignment is None):
            raise ValueError(f"meter {self.meter} has windows without a scope, an instrument or a clock")

    @property
    def source(self) -> str:
        return f"{self.meter} {self.scope}".strip()

    @property
    def temperatures_c(self) -> tuple[float, ...]:
        """Temperatures of the device in its windows, idle and inferring, in order of time; empty if it reports none."""
        windows = sorted((*self.idle, *self.windows), key=lambda window: window.start_ns or 0)
        return tuple(window.temperature_c for window in windows if window.temperature_c is not None)

    @property
    def clocks_hz(self) -> tuple[int, ...]:
        """The device's lowest clock in each window of inferences; empty if it reports none."""
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
