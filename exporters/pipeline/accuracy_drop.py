"""How much accuracy an INT8 file loses, whether that is more than the user allows, and what to say then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array, Int64Array
    from edgebench.schema.estimate import Estimate

# Names of notes: what was allowed and lost; and, only where more was lost, a sentence about it.
ALLOWED, MISSED = "max_drop", "max_drop_missed"


@dataclass(frozen=True)
class AccuracyDrop:
    """points: lost against the parent, with the 95 % interval image by image. of: what the images are called."""

    points: Estimate
    images: int
    of: str

    def __str__(self) -> str:
        low, high = self.points.low or 0, self.points.high or 0
        return f"{self.points.value:.2f} points ({low:.2f} to {high:.2f}) on {self.images:,} {self.of}"


def measured(answers: Float32Array, reference: Float32Array, labels: Int64Array, of: str) -> AccuracyDrop:
    from edgebench.analysis.stats import paired_difference
    from edgebench.schema.estimate import Estimate

    won = paired_difference(answers.argmax(1) == labels, reference.argmax(1) == labels)
    assert won.low is not None
    assert won.high is not None
    return AccuracyDrop(Estimate(_points(-won.value), _points(-won.high), _points(-won.low)), len(labels), of)


def _points(share: float) -> float:
    """Rounded, so that 0.7 points of 1,000 images are not more than 0.7; never -0."""
    return round(100 * share, 9) + 0.0


def notes(max_points: float, validation: AccuracyDrop | None, test: AccuracyDrop, tried: str) -> dict[str, str]:
    """max_points: the largest loss allowed. validation: what the choice was based on, None where there was no choice.

    The validation images decide whether the limit is kept, unless the test images contradict them by more than chance.
    """
    shown = [str(drop) for drop in (validation, test) if drop is not None]
    found = {ALLOWED: f"at most {max_points:g} points allowed; lost: {', '.join(shown)}"}
    broken = validation is not None and validation.points.value > max_points
    contradicted = test.points.low is not None and test.points.low > max_points
    if broken or contradicted:
        worst = validation if broken else test
        but = "" if broken or validation is None else f", although only {validation}"
        found[MISSED] = f"it loses {worst}, more than the {max_points:g} allowed{but}; tried: {tried}"
    return found
