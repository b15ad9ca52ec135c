"""Carbon: energy times the carbon intensity of the electricity. It ranks files exactly as their energy does.

The intensities are CodeCarbon's. Unknown countries are errors here, where CodeCarbon silently takes the world's mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebench.errors import MissingPackage, UnknownName

J_PER_KWH = 3.6e6


def grams(joules: float, intensity_g_per_kwh: float) -> float:
    """CO2e of operation only; the emissions of making the device (M of ISO/IEC 21031, SCI) are not included."""
    return joules / J_PER_KWH * intensity_g_per_kwh


@dataclass(frozen=True)
class Grid:
    """The electricity of a country (three-letter ISO code). source: of the intensity, with its year."""

    country: str
    g_per_kwh: float
    source: str


def grid(code: str) -> Grid:
    """Raises UnknownName for a country that codecarbon lacks, and MissingPackage."""
    try:
        from codecarbon.input import DataSource
    except ModuleNotFoundError as error:
        raise MissingPackage("--carbon", "codecarbon", "carbon") from error
    from importlib.metadata import version

    known: dict[str, dict[str, Any]] = DataSource().get_global_energy_mix_data()  # type: ignore[no-untyped-call]
    if code not in known:
        raise UnknownName("country (ISO, three letters)", code, known)
    year = known[code].get("year", "unknown year")
    return Grid(code, float(known[code]["carbon_intensity"]), f"{code} {year}, codecarbon {version('codecarbon')}")
