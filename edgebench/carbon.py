"""Carbon: energy times the intensity of the electricity. It ranks files as their energy does, and says no more.

And the countries whose grid CodeCarbon knows: a typing slip there would silently become the world's mean.
"""

from __future__ import annotations

from edgebench.errors import MissingPackage, UnknownName

J_PER_KWH = 3.6e6


def grams(joules: float, intensity_g_per_kwh: float) -> float:
    """CO2e of the use alone; what making the device emitted (M of ISO/IEC 21031, SCI) is not in it."""
    return joules / J_PER_KWH * intensity_g_per_kwh


def check_country(code: str) -> str:
    """The ISO code (three letters). Raises UnknownName for one that codecarbon has not, MissingPackage."""
    try:
        from codecarbon.input import DataSource
    except ModuleNotFoundError as error:
        raise MissingPackage("--carbon", "codecarbon", "carbon") from error
    known: dict[str, object] = DataSource().get_global_energy_mix_data()  # type: ignore[no-untyped-call]
    if code not in known:
        raise UnknownName("country (ISO, three letters)", code, known)
    return code
