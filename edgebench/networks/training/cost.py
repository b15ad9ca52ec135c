"""The cost of a training: time, memory and energy of the windows in which the network learns, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgebench.energy import carbon
from edgebench.energy.codecarbon_table import INTENSITY_G_PER_KWH
from edgebench.networks.training import energy
from edgebench.schema.history import EnergyShare, Provenance, TrainingCost

if TYPE_CHECKING:
    import torch

WORLD_SOURCE = "world mean 2000-2017 (Our World in Data), as in the PLOS study"
# RAPL's counters take at least some minutes to wrap around.
TICK_S = 60.0
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Costing:
    """modelled: use CodeCarbon's model where there is no counter. The intensity is that of the electricity used."""

    modelled: bool = False
    intensity_g_per_kwh: float = INTENSITY_G_PER_KWH
    intensity_source: str = WORLD_SOURCE


def costing(country: str | None = None, *, intensity_g_per_kwh: float | None = None) -> Costing:
    """The given intensity, else the country's, else the world's mean. A country (ISO code) asks for the model as well.

    Raises UnknownName, MissingPackage.
    """
    grid = carbon.grid(country) if country else None
    if intensity_g_per_kwh is not None:
        return Costing(grid is not None, intensity_g_per_kwh, "given by the user")
    return Costing(True, grid.g_per_kwh, grid.source) if grid else Costing()


def emissions_g(cost: TrainingCost) -> dict[Provenance, float]:
    """Grams of CO2 by provenance, which are never added; empty without energy."""
    grams: dict[Provenance, float] = {}
    for share in cost.energy:
        more = carbon.grams(share.joules, cost.intensity_g_per_kwh or 0.0)
        grams[share.provenance] = grams.get(share.provenance, 0.0) + more
    return grams if cost.intensity_g_per_kwh is not None else {}


class TrainingMeter:
    """Adds up windows. cost: of all windows so far; after a kill it is set to that of the windows before."""

    def __init__(self, costing: Costing, where: torch.device) -> None:
        self._where = where
        self._ticked = 0.0
        self._sources, no_energy = energy.sources(where, modelled=costing.modelled)
        self.cost = TrainingCost(
            seconds=0.0,
            images=0,
            no_energy=no_energy,
            intensity_g_per_kwh=costing.intensity_g_per_kwh,
            intensity_source=costing.intensity_source,
        )

    @contextmanager
    def window(self, images: int) -> Iterator[None]:
        """Around the training on so many images. On a GPU the work must be finished, not just queued, when it ends."""
        key = _reset_high_water(self._where)
        for source in self._sources:
            source.start()
        self._ticked = started = time.perf_counter()
        try:
            yield
            seconds = time.perf_counter() - started
        finally:
            shares = [share for source in self._sources for share in source.stop()]
        self.cost = msgspec.structs.replace(
            self.cost,
            seconds=self.cost.seconds + seconds,
            images=self.cost.images + images,
            peak_memory_bytes=_larger(self.cost.peak_memory_bytes, _peaks(key, self._where)),
            energy=_added(self.cost.energy, shares),
        )

    def tick(self) -> None:
        """To be called often inside a window."""
        if time.perf_counter() - self._ticked >= TICK_S:
            self._ticked = time.perf_counter()
            for source in self._sources:
                source.tick()


def _added(before: tuple[EnergyShare, ...], more: list[EnergyShare]) -> tuple[EnergyShare, ...]:
    """One share for each component and source."""
    together: dict[tuple[str, str], EnergyShare] = {}
    for share in (*before, *more):
        known = together.get((share.component, share.source))
        joules = share.joules + (known.joules if known else 0.0)
        together[share.component, share.source] = msgspec.structs.replace(share, joules=joules)
    return tuple(together.values())


def _larger(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {key: max(before.get(key, 0), now.get(key, 0)) for key in {**before, **now}}


def _reset_high_water(where: torch.device) -> str:
    """Reset the high-water marks; returns the name of the process's, which not every system lets one reset."""
    if where.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(where)
    try:
        _CLEAR.write_text("5")  # proc(5): resets VmHWM
    except OSError:
        return "process high water since its start"
    return "process high water"


def _peaks(key: str, where: torch.device) -> dict[str, int]:
    peaks = {key: _high_water_bytes()}
    if where.type == "cuda":
        import torch

        peaks["cuda allocated"] = torch.cuda.max_memory_allocated(where)
    return peaks


def _high_water_bytes() -> int:
    import resource

    try:
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
