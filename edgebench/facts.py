"""What a device says about itself, before and after a job."""

from __future__ import annotations

import msgspec


class MeterFound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a meter of the device can be read; note: why not and how to mend it, or what to know of it."""

    available: bool
    note: str = ""


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fact that the device could not read is absent. Source: device_agents/python/facts.py."""

    model: str | None = None
    emulated: bool | None = None
    virtual_machine: bool | None = None
    cpu: str | None = None
    cpu_features: tuple[str, ...] = ()
    cores: int | None = None
    gpus: tuple[str, ...] = ()
    ram_bytes: int | None = None
    os: str | None = None
    kernel: str | None = None
    machine: str | None = None
    libc: str | None = None
    python: str | None = None
    clock_step_ns: int | None = None
    clock_resolution_ns: int | None = None
    governor: str | None = None
    clock_hz: int | None = None
    clock_max_hz: int | None = None
    temperature_c: float | None = None
    throttled: int | None = None
    on_battery: bool | None = None
    supply_a: float | None = None
    load_1min: float | None = None
    available_bytes: int | None = None
    uptime_s: float | None = None
    battery_fraction: float | None = None
    charging: bool | None = None
    # Of a phone that is measured through its browser; `isolated` is what gives threads and a fine clock.
    browser: str | None = None
    secure_context: bool | None = None
    isolated: bool | None = None
    meters: dict[str, MeterFound] = {}

    @property
    def system(self) -> str:
        """In one line, as far as it is known."""
        parts = (
            self.os, self.kernel and f"kernel {self.kernel}", self.machine, self.libc,
            self.python and f"Python {self.python}",
        )  # fmt: skip
        return ", ".join(part for part in parts if part)

    @property
    def battery(self) -> str:
        if self.battery_fraction is None:
            return ""
        return f"{self.battery_fraction:.0%}{', charging' if self.charging else ''}"
