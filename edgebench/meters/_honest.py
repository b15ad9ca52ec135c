"""Whether a meter is what it says it is: its voltage times its current has to be its power."""

from __future__ import annotations

from dataclasses import dataclass

from edgebench.errors import UserError

# Beside the steps of the display; more is another scale, or another meter.
TOLERANCE = 0.05
# So many in a row are no slips of the line.
LIES = 5


@dataclass
class Honesty:
    """Of one meter. where: for the error; steps of the display in V, A and W."""

    where: str
    step_v: float
    step_a: float
    step_w: float
    _odd: int = 0

    def fits(self, volts: float, amperes: float, watts: float) -> bool:
        """False for a value to be left out. Raises UserError when it goes on like that."""
        rounding_w = abs(volts) * self.step_a + abs(amperes) * self.step_v + self.step_w
        if abs(volts * amperes - watts) <= rounding_w + TOLERANCE * abs(watts):
            self._odd = 0
            return True
        self._odd += 1
        if self._odd >= LIES:
            raise UserError(
                self.where,
                f"its {volts:g} V times {amperes:g} A are not the {watts:g} W that it shows: it is not the model that "
                "it says it is",
                "Look at its display and its name plate; `edgebench meters` lists the models that are known",
            )
        return False
