"""Intel and AMD processors' energy counters (RAPL) through powercap sysfs.

Source: Linux Documentation/power/powercap/powercap.rst. Scopes: cpu_package is the sum over packages; dram is
outside of it on servers (AMD has none). psys contains the packages and is never added to them; core and uncore are
inside. intel-rapl-mmio shows the same packages through another window: it is used where it is the only one. Where
powercap cannot be read, perf events may show the same counters (_rapl_perf.py).
"""

from __future__ import annotations

import time

from ..facts import ROOT
from . import Unavailable, _rapl_perf, counter_u_j
from ._sysfs import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from . import Joules

    Reading = tuple[float, dict[Path, int]]

NOT_MEASURED: dict[str, list[str]] = {}
ZONES = "sys/class/powercap"
# The counter moves about every millisecond, in microjoules as the kernel shows it (Haehnel et al. 2012).
PERIOD_S = 0.001
STEP_J = 61e-6
# A package always draws power: a counter that stands still for longer is broken.
STILL_S = 1.0
# The most that a package or its memory draws: after range / this, a counter may have wrapped twice.
MOST_W = {"cpu_package": 500, "dram": 100}


def open_meter() -> Rapl | _rapl_perf.PerfRapl:
    try:
        return Rapl(_zones())
    except Unavailable as refused:
        try:
            through_perf = _rapl_perf.open_counters()
        except Unavailable as also:
            raise Unavailable("%s; %s" % (refused, also)) from None
        if through_perf is None:
            raise
        return through_perf


def _zones() -> dict[Path, str]:
    """{path of the zone: scope} of the packages and their DRAM, each physical counter once."""
    folder = ROOT / ZONES
    top = _top_zones(folder, "intel-rapl") or _top_zones(folder, "intel-rapl-mmio")
    if not top:
        raise Unavailable(_why_none())
    packages = [zone for zone in top if text(zone / "name").startswith("package")]
    if not packages:
        raise Unavailable("RAPL has no package zone here (%s only)" % ", ".join(text(zone / "name") for zone in top))
    zones = {}
    for package in packages:
        zones[package] = "cpu_package"
        for part in sorted(package.glob(package.name + ":*")):
            if text(part / "name") == "dram":
                zones[part] = "dram"
    for zone in zones:
        _try(zone)
    return {zone: scope for zone, scope in zones.items() if not _is_mirror(zone, zones)}


def _top_zones(folder: Path, control: str) -> list[Path]:
    return [zone for zone in sorted(folder.glob(control + ":*")) if zone.name.count(":") == 1]


def _why_none() -> str:
    reason = "no RAPL counters in /%s" % ZONES
    if (ROOT / ".dockerenv").exists() or (ROOT / "run/.containerenv").exists():
        return reason + ": containers hide them; run outside, or docker run --security-opt systempaths=unconfined"
    return reason + " (none on ARM, and usually hidden in virtual machines)"


def _try(zone: Path) -> None:
    try:
        _counter(zone)
    except PermissionError:
        cure = "sudo chmod a+r /%s/*/energy_uj /%s/*/*/energy_uj (until reboot)" % (ZONES, ZONES)
        raise Unavailable("RAPL is readable by root only; " + cure) from None
    except (OSError, ValueError) as error:
        raise Unavailable("RAPL cannot be read: %s" % error) from None


def _is_mirror(zone: Path, zones: dict[Path, str]) -> bool:
    """Some multi-die processors show one counter under several packages: its value then lies between two reads of
    an earlier zone's.
    """
    for earlier, scope in zones.items():
        if earlier == zone:
            return False
        if scope == zones[zone] and _counter(earlier) <= _counter(zone) <= _counter(earlier):
            return True
    return False


class Rapl:
    def __init__(self, zones: dict[Path, str]) -> None:
        self._zones = zones
        names = ", ".join(text(zone / "name") for zone in zones)
        self.instrument = {"sampling": "counter", "period_s": PERIOD_S, "device_id": names}
        self.age_s = PERIOD_S
        self._range_uj = {zone: int(text(zone / "max_energy_range_uj") or 0) for zone in zones}

    def read(self) -> Reading:
        try:
            return time.monotonic(), {zone: _counter(zone) for zone in self._zones}
        except (OSError, ValueError) as error:
            raise Unavailable("RAPL cannot be read any more: %s" % error) from None

    def joules(self, before: Reading, after: Reading) -> Joules:
        """One wrap per zone is corrected; windows that may have had two are refused, and so is a package that draws
        nothing. Memory that draws nothing is left out: some processors list a counter that never moves.
        """
        totals: dict[str, float] = {}
        for zone, scope in self._zones.items():
            difference = after[1][zone] - before[1][zone] + self._wrapped_uj(zone, before, after)
            totals[scope] = totals.get(scope, 0) + difference / 1e6
        span_s = after[0] - before[0]
        if span_s > STILL_S and not totals["cpu_package"]:
            raise Unavailable("its counter stood still for %.1f s" % span_s)
        return {scope: joules for scope, joules in totals.items() if joules or span_s <= STILL_S}

    def u_joules(self, before: Reading, after: Reading) -> Joules:
        return {scope: counter_u_j(STEP_J) for scope in self.joules(before, after)}

    def _wrapped_uj(self, zone: Path, before: Reading, after: Reading) -> int:
        """What to add for a counter that wrapped."""
        range_uj, span_s = self._range_uj[zone], after[0] - before[0]
        if range_uj and span_s * MOST_W[self._zones[zone]] * 1e6 > range_uj:
            raise Unavailable("its counter may have wrapped more than once in %.0f s" % span_s)
        if after[1][zone] >= before[1][zone]:
            return 0
        if not range_uj:
            raise Unavailable("its counter went back, and the kernel does not say where it wraps")
        return range_uj


def _counter(zone: Path) -> int:
    return int((zone / "energy_uj").read_text())
