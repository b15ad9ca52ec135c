"""Whether the energy windows so far say what an inference costs as precisely as the plan asks.

What decides is what will be shown: the joules of an inference without idle power.
"""

from __future__ import annotations

import math

from . import series

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Scopes = Mapping[str, Mapping[str, Any]]
    # (round, scope, seconds, inferences, joules, their standard uncertainty)
    Window = tuple[int, str, float, int, float, float]

# Net joules that are a smaller share of the gross ones cannot be known to a few percent: the gross ones decide.
NET_SHARE = 0.02


class WindowsSoFar:
    """Of each artifact by each meter, in the scope that draws most."""

    def __init__(self) -> None:
        # {(meter, scope, round): (watts, their standard uncertainty)}
        self._rests: dict[tuple[str, str, int], tuple[float, float]] = {}
        self._windows: dict[tuple[int, str], list[Window]] = {}

    def rested(self, number: int, duration_s: float, readings: Mapping[str, Scopes]) -> None:
        for meter, scopes in readings.items():
            for scope, seen in scopes.items():
                self._rests[meter, scope, number] = seen["energy_j"] / duration_s, seen["u_j"] / duration_s

    def rest_w(self, meter: str, scope: str, number: int) -> float:
        """Power at rest before this round. A scope that is missing there draws nothing at rest."""
        return self._rests.get((meter, scope, number), (0.0, 0.0))[0]

    def add(
        self, artifact: int, number: int, duration_s: float, inferences: int, readings: Mapping[str, Scopes]
    ) -> None:
        """u_common_j is not looked at: more windows do not lower it."""
        for meter, scopes in readings.items():
            most = max(scopes, key=lambda scope: scopes[scope]["energy_j"])
            window = number, most, duration_s, inferences, scopes[most]["energy_j"], scopes[most]["u_j"]
            self._windows.setdefault((artifact, meter), []).append(window)

    def enough(self, rounds: int, artifacts: set[int], plan: Mapping[str, Any]) -> bool:
        if rounds < plan["energy_windows"]:
            return False
        kept = [self._values(meter, windows) for (one, meter), windows in self._windows.items() if one in artifacts]
        return all(series.is_mean_precise(values, left, plan["energy_precision"]) for values, left in kept)

    def _values(self, meter: str, windows: Sequence[Window]) -> tuple[list[float], list[float]]:
        """(joules of an inference, what reading leaves uncertain in each)."""
        net, gross = [], []
        for number, scope, duration_s, inferences, joules, u_j in windows:
            beside = [self._rests.get((meter, scope, at)) for at in (number, number + 1)]
            known = [rest for rest in beside if rest]
            idle_w = sum(watts for watts, _ in known) / len(known) if known else 0.0
            u_idle_w = math.sqrt(sum(u_w * u_w for _, u_w in known)) / len(known) if known else 0.0
            left_j = math.hypot(u_j, u_idle_w * duration_s)
            net.append(((joules - idle_w * duration_s) / inferences, left_j / inferences))
            gross.append((joules / inferences, u_j / inferences))
        is_lost = abs(sum(value for value, _ in net)) < NET_SHARE * abs(sum(value for value, _ in gross))
        kept = gross if is_lost else net
        return [value for value, _ in kept], [left for _, left in kept]
