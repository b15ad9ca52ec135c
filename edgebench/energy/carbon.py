"""Carbon: energy times the intensity of the electricity. It ranks files as their energy does, and says no more.

And the grids of the countries that CodeCarbon knows: a typing slip there would silently become the world's mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebench.errors import MissingPackage, UnknownName

J_PER_KWH = 3.6e6


def grams(joules: float, intensity_g_per_kwh: float) -> float:
    """CO2e of the use alone; what making the device emitted (M of ISO/IEC 21031, SCI) is not in it."""
    return joules / J_PER_KWH * intensity_g_per_kwh


@dataclass(frozen=True)
class Grid:
    """Of a country (ISO code of three letters). source: who says so, of which year."""

    country: str
    g_per_kwh: float
    source: str


def grid(code: str) -> Grid:
    """Raises UnknownName for a country that codecarbon has not, MissingPackage."""
    try:
        from codecarbon.input import DataSource
    except ModuleNotFoundError as error:
        raise MissingPackage("--carbon", "codecarbon", "carbon") from error
    from importlib.metadata import version

    known: dict[str, dict[str, Any]] = DataSource().get_global_energy_mix_data()  # type: ignore[no-untyped-call]
    if code not in known:
        raise UnknownName("country (ISO, three letters)", code, known)
    year = known[code].get("year", "a year that it does not say")
    return Grid(code, float(known[code]["carbon_intensity"]), f"{code} {year}, codecarbon {version('codecarbon')}")
