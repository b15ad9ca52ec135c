"""Calibration of a meter without a specification, from two readings at known power.

true = gain * shown + offset. The file is `meters.yaml` beside the results, with an entry for each unit, because units
of a model differ. A unit is identified by its serial number if it reports one (tc66c:2026), else by its port
(um25c:/dev/rfcomm0).
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Annotated

import msgspec

from edgebench.energy.meters import Meter, Sample
from edgebench.errors import BadFile, UserError
from edgebench.files import output, yaml_file
from edgebench.schema.energy_reading import Accuracy

FILE = Path("meters.yaml")
# Least ratio of the two powers; below it the gain is a guess.
APART = 1.5

Positive = Annotated[float, msgspec.Meta(gt=0)]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """date: ISO 8601. error: limit of the reference's own error as a fraction, from the reference's data sheet."""

    date: str
    gain: Positive
    offset_w: float
    error: Annotated[float, msgspec.Meta(ge=0, lt=1)]

    def apply(self, sample: Sample) -> Sample:
        """The sample with its power and counter corrected; voltage and current stay as shown."""
        counter_j = sample.counter_j
        if counter_j is not None:
            counter_j = self.gain * counter_j + self.offset_w * sample.t_s
        return dataclasses.replace(sample, power_w=self.gain * sample.power_w + self.offset_w, counter_j=counter_j)

    def accuracy(self) -> Accuracy:
        return Accuracy(self.error, 0.0, f"user_calibration:{self.date}")


def from_two_points(shown_w: tuple[float, float], true_w: tuple[float, float], error: float, date: str) -> Calibration:
    """Raises UserError for unusable points."""
    low, high = sorted(zip(shown_w, true_w, strict=True))
    usable = all(math.isfinite(value) and value > 0 for value in (*low, *high)) and high[0] > low[0]
    if not usable or high[1] < APART * low[1]:
        raise UserError(
            "calibration",
            f"the points {low[0]:g}:{low[1]:g} and {high[0]:g}:{high[1]:g} W are not two different loads",
            f"Take two loads whose powers differ by a factor of {APART:g} or more, such as 10 and 4.7 ohm at 5 V",
        )
    gain = (high[1] - low[1]) / (high[0] - low[0])
    return Calibration(date, gain, low[1] - gain * low[0], error)


def load(file: Path = FILE, meter: str = "") -> dict[str, Calibration]:
    """By NAME:SERIAL or NAME:PORT; empty if the file does not exist.

    meter: the model in use. Raises BadFile if an entry names that model without a unit, as files of earlier versions
    do.
    """
    known = yaml_file.load(file, dict[str, Calibration]) if file.exists() else {}
    if meter and meter in known:
        raise BadFile(
            str(file),
            f"'{meter}' does not say which unit was calibrated, and units differ",
            f"Rename that entry to {meter}:PORT, as in --meter {meter}:PORT, or to {meter}:SERIAL if it reports "
            "one; or delete it",
        )
    return known


def of_unit(known: dict[str, Calibration], name: str, port: str, meter: Meter) -> Calibration | None:
    """The entry of this unit; its serial number takes precedence over its port."""
    by_port = known.get(f"{name}:{port}")
    return known.get(f"{name}:{meter.serial}", by_port) if meter.serial else by_port


def save(unit: str, calibration: Calibration, file: Path = FILE) -> None:
    """unit: NAME:SERIAL or NAME:PORT. Replaces its entry and keeps the others, even if the disk is full."""
    import yaml

    known = {**load(file), unit: calibration}
    output.write(file, yaml.safe_dump(msgspec.to_builtins(known), sort_keys=True))
