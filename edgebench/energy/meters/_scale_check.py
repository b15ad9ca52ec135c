"""Whether a meter is what it says it is: its voltage times its current has to be its power."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edgebench.errors import UserError

# Beside the steps of the display: a meter that averages all three apart is off by as much as its supply sags.
TOLERANCE = 0.02
# So many in a row that are wrong by one and the same factor are no slips of the line: it is another scale.
WRONG_IN_A_ROW = 5
SAME = 0.1


@dataclass
class ScaleCheck:
    """Of one meter. where: for the error; steps of the display in V, A and W."""

    where: str
    step_v: float
    step_a: float
    step_w: float
    _factors: deque[float] = field(default_factory=lambda: deque(maxlen=WRONG_IN_A_ROW))

    def fits(self, volts: float, amperes: float, watts: float) -> bool:
        """False for a value to be left out, as a garbled one is. Raises UserError for a scale that is not its own."""
        rounding_w = abs(volts) * self.step_a + abs(amperes) * self.step_v + self.step_w
        if abs(volts * amperes - watts) <= rounding_w + TOLERANCE * abs(watts):
            self._factors.clear()
            return True
        self._factors.append(volts * amperes / watts if watts else 0.0)
        low, high = min(self._factors), max(self._factors)
        if len(self._factors) == WRONG_IN_A_ROW and high > 0 and high - low <= SAME * high:
            raise UserError(
                self.where,
                f"its {volts:g} V times {amperes:g} A are not the {watts:g} W that it shows: it is not the model that "
                "it says it is",
                "Look at its display and its name plate; `edgebench meters` lists the models that are known",
            )
        return False
