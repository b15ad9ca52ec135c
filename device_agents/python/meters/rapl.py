"""Intel and AMD processors' energy counters (RAPL) through powercap sysfs.

Source: Linux Documentation/power/powercap/powercap.rst. Scopes: cpu_package is the sum over packages; dram is
outside of it on servers. psys contains the packages and is never added to them; core and uncore are inside.
"""

from ..facts import ROOT
from . import Unavailable

PROVENANCE = "measured"
ZONES = "sys/class/powercap"


def open_meter():
    return Rapl(_zones())


def _zones():
    """{path of the zone: scope} of the packages and their DRAM."""
    folder = ROOT / ZONES
    packages = [p for p in sorted(folder.glob("intel-rapl:*")) if p.name.count(":") == 1]
    if not packages:
        raise Unavailable("no RAPL counters in /%s (none on ARM, and usually hidden in virtual machines)" % ZONES)
    zones = {}
    for package in packages:
        if _text(package / "name").startswith("package"):
            zones[package] = "cpu_package"
            for part in sorted(package.glob("intel-rapl:*")):
                if _text(part / "name") == "dram":
                    zones[part] = "dram"
    if not zones:
        raise Unavailable("RAPL has no package zone here")
    for zone in zones:
        try:
            (zone / "energy_uj").read_text()
        except PermissionError:
            raise Unavailable("RAPL is readable by root only; sudo chmod a+r %s/*/energy_uj" % folder) from None
        except OSError as error:
            raise Unavailable("RAPL cannot be read: %s" % error) from None
    return zones


class Rapl:
    def __init__(self, zones):
        self._zones = zones
        self._range_uj = {zone: int(_text(zone / "max_energy_range_uj") or 0) for zone in zones}

    def read(self):
        return {zone: int((zone / "energy_uj").read_text()) for zone in self._zones}

    def joules(self, before, after):
        """One wrap per zone is mended; at 300 W a counter takes 15 minutes to wrap, a window is seconds."""
        totals = {}
        for zone, scope in self._zones.items():
            difference = after[zone] - before[zone]
            if difference < 0:
                difference += self._range_uj[zone]
            totals[scope] = totals.get(scope, 0) + difference / 1e6
        return totals


def _text(path):
    try:
        return path.read_text().strip()
    except OSError:
        return ""
