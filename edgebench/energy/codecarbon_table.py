"""CodeCarbon's emissions.csv of any version, read line by line, and what follows from its numbers.

The columns are CodeCarbon's (github.com/mlco2/codecarbon, `output_methods/emissions_data.py`): energies in kWh,
emissions in kg CO2, durations in s, powers in W. The versions write:

    1.0      12 columns: duration, emissions and energy as a whole
    2.0      29: power and energy of each component
    2.2      codecarbon_version, pue (power usage effectiveness: energies are multiplied by it, powers were not)
    2.8      experiment_id, 32 in all
    3.0.8    water_consumed, wue
    3.2      utilisation; a power is the mean of the run's samples, where it was the last sample before

No column says whether a figure was measured or modelled; `is_cpu_constant` and `modelled_share` are what the numbers
reveal. Damaged lines are left out, and counted with the reason.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from edgebench.errors import BadFile
from edgebench.files import untrusted

Component = Literal["cpu", "gpu", "ram"]
COMPONENTS: tuple[Component, ...] = ("cpu", "gpu", "ram")

_JOULES_PER_KWH = 3.6e6
# Grams of CO2 per kWh: the world's mean of 2000-2017, as in the PLOS study (pruned MLPs).
INTENSITY_G_PER_KWH = 527.93
# CodeCarbon's assumption for unknown processors: half of a thermal design power of 85 W.
CPU_FALLBACK_W = 42.5
MEAN_POWERS_FROM = (3, 2)

_ESSENTIAL = ("duration", "emissions", "energy_consumed")
_NUMBERS = _ESSENTIAL + tuple(f"{component}_{what}" for component in COMPONENTS for what in ("power", "energy"))
# Limits of plausible amounts, within which quotients stay finite.
_LEAST, _MOST = 1e-30, 1e15
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})")
_ADVICE = "Name the emissions.csv that CodeCarbon wrote"
_KIND = untrusted.Kind("a table of CodeCarbon", 1, _ADVICE, 2**30)
_SHOWN = 60


class Emission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run: a line of the file. power_w: the columns unchanged. component_kwh: only of components that the file has.
    pue: 1 without such a column. mean_powers: whether a power is the run's mean; None if the version is unknown.
    """

    table: str
    number: int
    project: str
    run: str
    country: str
    region: str
    version: str
    duration_s: float
    emissions_kg: float
    energy_kwh: float
    power_w: dict[Component, float]
    component_kwh: dict[Component, float]
    pue: float
    mean_powers: bool | None

    @property
    def where(self) -> str:
        return f"{self.table}, run {self.number}"

    @property
    def name(self) -> str:
        return self.project or self.run or f"run {self.number}"

    @property
    def intensity_g_per_kwh(self) -> float:
        """As implied by the file's emissions and energy."""
        return self.emissions_kg * 1000 / self.energy_kwh

    @property
    def energy_j(self) -> float:
        return self.energy_kwh * _JOULES_PER_KWH

    def mean_power_w(self, component: Component) -> float | None:
        energy_kwh = self.component_kwh.get(component)
        return None if energy_kwh is None else energy_kwh * _JOULES_PER_KWH / self.duration_s

    def emissions_g(self, intensity_g_per_kwh: float = INTENSITY_G_PER_KWH) -> float:
        return self.energy_kwh * intensity_g_per_kwh

    @property
    def is_cpu_constant(self) -> bool:
        """Whether the processor's power is CodeCarbon's fallback, which is a constant and not measured."""
        return self.power_w.get("cpu") == CPU_FALLBACK_W

    @property
    def modelled(self) -> tuple[Component, ...]:
        """Components that were not measured. Memory never is: its power is computed from its size."""
        return ("cpu", "ram") if self.is_cpu_constant else ("ram",)

    @property
    def modelled_share(self) -> float | None:
        """The least share of the energy that is modelled; other processor powers may be modelled too.

        None if the file does not separate the components.
        """
        if not self.component_kwh:
            return None
        return sum(self.component_kwh.get(component, 0.0) for component in self.modelled) / self.energy_kwh


@dataclass(frozen=True)
class SkippedLines:
    """Lines that are not runs, all for the same reason. seen, number: of the first of them."""

    seen: str
    count: int
    number: int


@dataclass(frozen=True)
class EmissionsTable:
    path: Path
    runs: tuple[Emission, ...]
    left_out: tuple[SkippedLines, ...]


class _DamagedLine(ValueError):
    """kind: the same for all lines with the same kind of damage."""

    def __init__(self, kind: str, seen: str = "") -> None:
        super().__init__(seen or kind)
        self.kind = kind


def load(path: Path) -> EmissionsTable:
    """Raises BadFile for another kind of file, or one without an essential column or a whole run."""
    lines = untrusted.read(path, _KIND).decode("utf-8-sig", "replace").splitlines()
    cells = ((number, _cells(line)) for number, line in enumerate(lines) if line.strip())
    header = next((found or () for _, found in cells), ())
    _check_header(path, header)
    runs: list[Emission] = []
    reasons: dict[str, list[SkippedLines]] = {}
    for number, found in cells:
        if found and _is_header(found):
            header = found  # the file is several tables in one, perhaps of several versions
            continue
        try:
            runs.append(_emission(str(path), number, header, found))
        except _DamagedLine as error:
            reasons.setdefault(error.kind, []).append(SkippedLines(str(error), 1, number))
    left_out = tuple(replace(alike[0], count=len(alike)) for alike in reasons.values())
    if not runs and not left_out:
        raise BadFile(str(path), "it has a header but no run", "CodeCarbon writes a run when its tracker stops")
    if not runs:
        first = left_out[0]
        raise BadFile(f"{path}, run {first.number}", f"{first.seen}, and no other run is usable", _ADVICE)
    return EmissionsTable(path, tuple(runs), left_out)


def _cells(line: str) -> list[str] | None:
    """Each line by itself, so that an open quote does not swallow the following lines. None if it is not CSV."""
    try:
        return next(csv.reader([line], strict=True))
    except (csv.Error, StopIteration):
        return None


def _is_header(cells: Sequence[str]) -> bool:
    return all(name in cells for name in _ESSENTIAL)


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise BadFile(str(path), "it is empty", _ADVICE)
    missing = [name for name in _ESSENTIAL if name not in header]
    if len(missing) == len(_ESSENTIAL):
        raise BadFile(str(path), "it has none of CodeCarbon's columns", _ADVICE)
    if missing:
        raise BadFile(str(path), f"it lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}", _ADVICE)


def _emission(table: str, number: int, header: Sequence[str], cells: Sequence[str] | None) -> Emission:
    """Raises _DamagedLine."""
    if cells is None:
        raise _DamagedLine("it is not a line of CSV")
    if len(cells) != len(header):
        raise _DamagedLine("fields", f"it has {len(cells)} fields, but the header has {len(header)}")
    line = dict(zip(header, cells, strict=True))
    numbers = dict(_numbers(line))
    for name in ("duration", "energy_consumed"):
        if numbers[name] == 0:
            raise _DamagedLine(f"{name} is 0, so nothing was tracked")
    version = line.get("codecarbon_version", "")
    return Emission(
        table=table,
        number=number,
        project=line.get("project_name", ""),
        run=line.get("run_id", ""),
        country=line.get("country_name", ""),
        region=line.get("region", ""),
        version=version,
        duration_s=numbers["duration"],
        emissions_kg=numbers["emissions"],
        energy_kwh=numbers["energy_consumed"],
        power_w=_by_component(numbers, "power"),
        component_kwh=_by_component(numbers, "energy"),
        pue=_pue(line),
        mean_powers=_has_mean_powers(version) if "codecarbon_version" in line else False,
    )


def _by_component(numbers: dict[str, float], what: str) -> dict[Component, float]:
    named: dict[Component, str] = {component: f"{component}_{what}" for component in COMPONENTS}
    return {component: numbers[name] for component, name in named.items() if name in numbers}


def _numbers(line: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Empty fields are skipped, except essential ones."""
    for name in _NUMBERS:
        text = line.get(name, "")
        if text:
            yield name, _number(name, text)
        elif name in _ESSENTIAL:
            raise _DamagedLine(f"{name} is empty")


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number == 0 or _LEAST <= number <= _MOST):
        raise _DamagedLine(name, f"{name} is '{text[:_SHOWN]}', which is not an amount")
    return abs(number)  # -0.0


def _pue(line: dict[str, str]) -> float:
    try:
        pue = float(line.get("pue") or 1)
    except ValueError:
        return 1.0
    return pue if 1 <= pue <= 100 else 1.0


def _has_mean_powers(version: str) -> bool | None:
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) >= MEAN_POWERS_FROM if found else None
