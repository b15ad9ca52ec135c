"""What the device does at most, as its probe found, with the threads that a record was measured with."""

from __future__ import annotations

from dataclasses import dataclass

from edgebench.schema.record import Record

# Repeats of the probe that differ by more met other programs.
_DISTURBED = 0.3


@dataclass(frozen=True)
class Peaks:
    """float_macs_per_s, int8_macs_per_s: None if the probe had no kernel for it; 1 MAC is 2 operations. spread: the
    largest of the probe's.
    """

    threads: int
    bytes_per_s: float
    float_macs_per_s: float | None
    int8_macs_per_s: float | None
    spread: float = 0.0

    def macs_per_s(self, *, integer: bool) -> float | None:
        return self.int8_macs_per_s if integer else self.float_macs_per_s

    def words(self) -> str:
        rates = {"float": self.float_macs_per_s, "int8": self.int8_macs_per_s}
        known = [f"{rate / 1e9:.1f} GMAC/s in {name}" for name, rate in rates.items() if rate]
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        disturbed = f" (disturbed: its repeats differ by {self.spread:.0%})" if self.spread > _DISTURBED else ""
        figures = ", ".join([*known, f"{self.bytes_per_s / 1e9:.1f} GB/s"])
        return f"Peaks by the device's probe, {threads}: {figures}{disturbed}."


def peaks_of(record: Record) -> Peaks | None:
    """None if nothing, or no bandwidth, was probed with that many threads."""
    found = next((one for one in record.peaks if one.threads == record.target.threads), None)
    if found is None or found.bytes_per_s is None or not found.bytes_per_s.best:
        return None
    float_rate, int8_rate = (
        one.best / 2 if one is not None and one.best else None for one in (found.float_flops, found.int8_ops)
    )
    spread = max(one.spread for one in (found.float_flops, found.int8_ops, found.bytes_per_s) if one is not None)
    return Peaks(found.threads, found.bytes_per_s.best, float_rate, int8_rate, spread)
