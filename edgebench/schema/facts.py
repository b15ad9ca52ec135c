"""Facts that a device reports about itself, before and after a job."""

from __future__ import annotations

import msgspec

from edgebench.schema.limits import Amount, Bytes, Celsius, Count, Fraction, Hertz, Index, Processor, Span, Text


class MeterFound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a meter of the device can be read; note: why not and how to fix it, or what to know about it."""

    available: bool
    note: Text = ""


class CoreClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Processors that are alike. speed: the kernel's capacity (1024: the fastest), else the highest clock in Hz."""

    cpus: tuple[Processor, ...]
    speed: Count


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fact that the device could not read is absent. Source: device_agents/python/facts.py."""

    model: Text | None = None
    emulated: bool | None = None
    virtual_machine: bool | None = None
    cpu: Text | None = None
    cpu_features: tuple[Text, ...] = ()
    cores: Count | None = None
    # Processors that this process may use, by how fast they are, the fastest first.
    core_classes: tuple[CoreClass, ...] = ()
    gpus: tuple[Text, ...] = ()
    ram_bytes: Bytes | None = None
    os: Text | None = None
    kernel: Text | None = None
    machine: Text | None = None
    libc: Text | None = None
    python: Text | None = None
    clock_step_ns: Span | None = None
    clock_resolution_ns: Span | None = None
    governor: Text | None = None
    clock_hz: Hertz | None = None
    clock_max_hz: Hertz | None = None
    temperature_c: Celsius | None = None
    throttled: Index | None = None
    on_battery: bool | None = None
    supply_a: Amount | None = None
    load_1min: Amount | None = None
    available_bytes: Bytes | None = None
    uptime_s: Amount | None = None
    battery_fraction: Fraction | None = None
    charging: bool | None = None
    # For a phone measured through its browser; `isolated` pages get threads and a fine clock.
    browser: Text | None = None
    secure_context: bool | None = None
    isolated: bool | None = None
    meters: dict[Text, MeterFound] = {}

    @property
    def system(self) -> str:
        """In one line, as far as known."""
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
