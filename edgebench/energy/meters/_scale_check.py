"""Whether a meter is the model it claims to be: its voltage times its current must equal its power."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edgebench.errors import UserError

# Besides the resolution: a meter that averages all three separately deviates as its supply sags.
TOLERANCE = 0.02
# So many in a row that are wrong by the same factor are not transmission errors but another scale.
WRONG_IN_A_ROW = 5
SAME = 0.1


@dataclass
class ScaleCheck:
    """For one meter. where: for the error. step_v, step_a, step_w: its resolution."""

    where: str
    step_v: float
    step_a: float
    step_w: float
    _factors: deque[float] = field(default_factory=lambda: deque(maxlen=WRONG_IN_A_ROW))

    def fits(self, volts: float, amperes: float, watts: float) -> bool:
        """False for a garbled value, which is to be left out. Raises UserError for the scale of another model."""
        rounding_w = abs(volts) * self.step_a + abs(amperes) * self.step_v + self.step_w
        if abs(volts * amperes - watts) <= rounding_w + TOLERANCE * abs(watts):
            self._factors.clear()
            return True
        self._factors.append(volts * amperes / watts if watts else 0.0)
        low, high = min(self._factors), max(self._factors)
        if len(self._factors) == WRONG_IN_A_ROW and high > 0 and high - low <= SAME * high:
            raise UserError(
                self.where,
                f"it shows {volts:g} V, {amperes:g} A and {watts:g} W, which do not fit together: it is not the "
                "model it claims to be",
                "Look at its display and label; `edgebench meters` lists the supported models",
            )
        return False
