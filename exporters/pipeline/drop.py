"""How much accuracy an INT8 file loses, whether that is more than was asked for, and what to say then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgebench.analysis.stats import Estimate
    from edgebench.schema.arrays import Float32Array, Int64Array

# Names of notes: what was asked for and lost; and, only where that is more, a sentence about it.
ASKED, MISSED = "max_drop", "max_drop_missed"


@dataclass(frozen=True)
class Drop:
    """lost: of the parent's accuracy, a fraction, with its 95 % interval image by image. of: the images' name."""

    lost: Estimate
    images: int
    of: str

    def __str__(self) -> str:
        low, high = (100 * (end or 0) for end in (self.lost.low, self.lost.high))
        return f"{100 * self.lost.value:.2f} points ({low:.2f} to {high:.2f}) on {self.images:,} {self.of}"


def measured(answers: Float32Array, reference: Float32Array, labels: Int64Array, of: str) -> Drop:
    from edgebench.analysis.stats import Estimate, paired_difference

    won = paired_difference(answers.argmax(1) == labels, reference.argmax(1) == labels)
    assert won.low is not None
    assert won.high is not None
    return Drop(Estimate(0.0 - won.value, -won.high, -won.low), len(labels), of)


def notes(asked: float, chosen_on: Drop | None, test: Drop, tried: str) -> dict[str, str]:
    """asked: the largest loss, a fraction. chosen_on: what the choice was made by, None where there was no choice.

    Kept is what the validation images say, unless the test images contradict by more than chance.
    """
    shown = [str(drop) for drop in (chosen_on, test) if drop is not None]
    found = {ASKED: f"at most {100 * asked:g} points asked for; lost: {', '.join(shown)}"}
    broken = chosen_on is not None and chosen_on.lost.value > asked
    contradicted = test.lost.low is not None and test.lost.low > asked
    if broken or contradicted:
        worst = chosen_on if broken else test
        found[MISSED] = (
            f"it loses {worst} and was to lose at most {100 * asked:g}"
            f"{'' if broken or chosen_on is None else f', though only {chosen_on}'}; tried: {tried}"
        )
    return found
