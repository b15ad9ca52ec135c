"""What the device does at most, as its probe found, with the threads that a record was measured with."""

from __future__ import annotations

from dataclasses import dataclass

from edgebench.schema.record import Record


@dataclass(frozen=True)
class Peaks:
    """float_macs_per_s, int8_macs_per_s: None if the probe had no kernel for it; 1 MAC is 2 operations."""

    threads: int
    bytes_per_s: float
    float_macs_per_s: float | None
    int8_macs_per_s: float | None

    def macs_per_s(self, *, integer: bool) -> float | None:
        return self.int8_macs_per_s if integer else self.float_macs_per_s

    def words(self) -> str:
        rates = {"float": self.float_macs_per_s, "int8": self.int8_macs_per_s}
        known = [f"{rate / 1e9:.1f} GMAC/s in {name}" for name, rate in rates.items() if rate]
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"Peaks by the device's probe, {threads}: {', '.join([*known, f'{self.bytes_per_s / 1e9:.1f} GB/s'])}."


def peaks_of(record: Record) -> Peaks | None:
    """None if nothing, or no bandwidth, was probed with that many threads."""
    found = next((one for one in record.peaks if one.threads == record.target.threads), None)
    if found is None or found.bytes_per_s is None or not found.bytes_per_s.best:
        return None
    rates = [one.best / 2 if one is not None and one.best else None for one in (found.float_flops, found.int8_ops)]
    return Peaks(found.threads, found.bytes_per_s.best, *rates)
