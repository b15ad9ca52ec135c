"""CodeCarbon's model of processor and memory: rated power times load, and watts per memory module. Not a meter.

Opened only on request, and labelled as a model whatever it found to read. It works offline and writes nothing. Its
first task is discarded: it begins before the package has found out what machine this is, and is off by half.
"""

from __future__ import annotations

import logging

from . import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Joules

WHY = "codecarbon's model: rated power times load for the processor, watts per module for the memory"
NOT_MEASURED = {"cpu_package": ["modelled", WHY], "ram": ["modelled", WHY]}
TAKES = ("country",)
J_PER_KWH = 3.6e6


def open_meter(country: str = "") -> CodeCarbonModel:
    """country: whose grid it is, as an ISO code of three letters."""
    if not country:
        raise Unavailable("a model, not a meter; used only when asked for: deploy --carbon DEU (or another country)")
    try:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.input import DataSource
    except ImportError:
        raise Unavailable("codecarbon is not installed on the device: pip install codecarbon") from None
    grid = DataSource().get_global_energy_mix_data().get(country)  # type: ignore[no-untyped-call]
    if grid is None:
        raise Unavailable("codecarbon does not know country %s; it would silently use the world's mean" % country)
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it logs before it reads its own log_level
    tracker = OfflineEmissionsTracker(
        country_iso_code=country, output_methods=[], log_level="critical", allow_multiple_runs=True
    )
    return CodeCarbonModel(tracker, "%s: %g g CO2e per kWh (%s)" % (country, grid["carbon_intensity"], grid["year"]))


class CodeCarbonModel:
    def __init__(self, tracker: Any, note: str) -> None:
        from importlib.metadata import version

        self.note = note
        self.instrument = {"sampling": "average", "period_s": 0.0, "version": "codecarbon " + version("codecarbon")}
        self._tracker = tracker
        self._joules = dict.fromkeys(NOT_MEASURED, 0.0)
        self._tasks = 0
        self._begin()
        self._tracker.stop_task()
        self._begin()

    def _begin(self) -> None:
        self._tasks += 1
        self._tracker.start_task("window %d" % self._tasks)

    def read(self) -> Joules:
        """{scope: joules so far}: ends the running task and begins another."""
        spent = self._tracker.stop_task()
        self._begin()
        self._joules["cpu_package"] += spent.cpu_energy * J_PER_KWH
        self._joules["ram"] += spent.ram_energy * J_PER_KWH
        return dict(self._joules)

    def joules(self, before: Joules, after: Joules) -> Joules:
        return {scope: after[scope] - before[scope] for scope in after}

    def u_joules(self, before: Joules, after: Joules) -> Joules:
        """A model's error is not known; differences between windows are smaller than it."""
        return dict.fromkeys(after, 0.0)

    def close(self) -> None:
        self._tracker.stop_task()
