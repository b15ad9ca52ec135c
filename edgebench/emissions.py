"""CodeCarbon's emissions.csv: read strictly, and what follows from its numbers.

The columns are CodeCarbon's (github.com/mlco2/codecarbon, `output_methods/emissions_data.py`): energies in kWh,
emissions in kg CO2, durations in s, powers in W. 2.8.3 writes 32 of them; from 3 on there are water, utilisation and
`wue` besides, and a power is the mean over the run where it was the last sample before. No column says
whether a figure was measured or is a model: `is_cpu_constant` and `modelled_share` say what the numbers betray.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from edgebench.errors import BadFile

Component = Literal["cpu", "gpu", "ram"]
COMPONENTS: tuple[Component, ...] = ("cpu", "gpu", "ram")

_JOULES_PER_KWH = 3.6e6
# Grams of CO2 for one kWh: the world's mean of 2000-2017, as the PLOS study (pruned MLPs) has it.
INTENSITY_G_PER_KWH = 527.93
# What CodeCarbon takes where it knows nothing of the processor: 85 W of thermal design power, half of it used.
CPU_FALLBACK_W = 42.5

_NUMBERS = ("duration", "emissions", "energy_consumed") + tuple(
    f"{component}_{what}" for component in COMPONENTS for what in ("power", "energy")
)
_WORDS = ("project_name", "run_id", "country_name", "region", "codecarbon_version")
_ADVICE = "Name the emissions.csv that CodeCarbon wrote"


class Emission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run: a line of the file. power_w: the columns as they stand; energy_kwh: by component."""

    where: str
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

    @property
    def name(self) -> str:
        return self.project or self.run

    @property
    def intensity_g_per_kwh(self) -> float:
        """What the file's emissions and energy imply."""
        return self.emissions_kg * 1000 / self.energy_kwh

    @property
    def energy_j(self) -> float:
        return self.energy_kwh * _JOULES_PER_KWH

    def mean_power_w(self, component: Component) -> float:
        return self.component_kwh[component] * _JOULES_PER_KWH / self.duration_s

    def emissions_g(self, intensity_g_per_kwh: float = INTENSITY_G_PER_KWH) -> float:
        return self.energy_kwh * intensity_g_per_kwh

    @property
    def is_cpu_constant(self) -> bool:
        """Whether the processor's power is CodeCarbon's fallback: it was not measured, whatever ran."""
        return self.power_w["cpu"] == CPU_FALLBACK_W

    @property
    def modelled(self) -> tuple[Component, ...]:
        """Components that are no measurement: memory never is, it is watts for its size."""
        return ("cpu", "ram") if self.is_cpu_constant else ("ram",)

    @property
    def modelled_share(self) -> float:
        """Of the energy, at least: another processor power may come out of a model too, the file does not say."""
        return sum(self.component_kwh[component] for component in self.modelled) / self.energy_kwh


def load(path: Path) -> list[Emission]:
    """Raises BadFile for what is no such file, lacks a column, or has something else than a number in one."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            header = reader.fieldnames or ()
            lines = list(reader)
    except OSError as error:
        raise BadFile(str(path), f"it cannot be read ({error.strerror})", "Check the path") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadFile(str(path), f"it is not a CSV file ({error})", _ADVICE) from error
    _check_header(path, header)
    for number, line in enumerate(lines, start=1):
        if None in line or None in line.values():
            raise BadFile(f"{path}, run {number}", "it has not as many fields as the header", "Take the line out")
    if not lines:
        raise BadFile(str(path), "it has a header and no run", "Let the tracker stop, then it writes one")
    return [_emission(f"{path}, run {number}", line) for number, line in enumerate(lines, start=1)]


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise BadFile(str(path), "it is empty", _ADVICE)
    missing = [name for name in (*_NUMBERS, *_WORDS) if name not in header]
    if len(missing) == len(_NUMBERS) + len(_WORDS):
        raise BadFile(str(path), "it has none of CodeCarbon's columns", _ADVICE)
    if missing:
        raise BadFile(str(path), f"it lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}", _ADVICE)


def _emission(where: str, line: dict[str, str | None]) -> Emission:
    number = {name: _number(where, name, line[name]) for name in _NUMBERS}
    for name in ("duration", "energy_consumed"):
        if number[name] == 0:
            raise BadFile(where, f"{name} is 0, so nothing was tracked", "Take the line out, or track a longer run")
    words = {name: line[name] or "" for name in _WORDS}
    return Emission(
        where=where,
        project=words["project_name"],
        run=words["run_id"],
        country=words["country_name"],
        region=words["region"],
        version=words["codecarbon_version"],
        duration_s=number["duration"],
        emissions_kg=number["emissions"],
        energy_kwh=number["energy_consumed"],
        power_w={component: number[f"{component}_power"] for component in COMPONENTS},
        component_kwh={component: number[f"{component}_energy"] for component in COMPONENTS},
    )


def _number(where: str, name: str, text: str | None) -> float:
    if not text:
        raise BadFile(where, f"{name} is empty", "Take the line out, or mend it from the tracker's log")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise BadFile(where, f"{name} is '{text}', which is no amount", "Mend the value")
    return number
