"""A made-up runtime on a made-up device: every latency, degree and joule is prescribed by the artifact (simulation.py).

For trying edgebench without a device, and for testing what its statistics claim: here the truth is known.
"""

from __future__ import annotations

import array
import math
from pathlib import Path

from .. import simulation
from . import Fallback
from .litert import check_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

SUFFIXES = (".sim",)
WHEELS: dict[str, str] = {}
# {"latency_ns": 1000}
TINY_MODEL = "eyJsYXRlbmN5X25zIjogMTAwMH0="


def facts(options: dict[str, Any]) -> dict[str, str]:
    check_device(options)
    return {"version": "1"}


def open_device(paths: Sequence[Path], folder: Path) -> simulation.SimulatedDevice:
    """The device of a job, from the first of its artifacts that can be read; the others have to describe it too."""
    simulation.create_state(Path(folder) / "simulation.state")
    for path in paths:
        try:
            return simulation.SimulatedDevice(simulation.read(path).device)
        except ValueError:
            continue  # it will fail in its worker, with this reason
    return simulation.SimulatedDevice(simulation.SimulatedBoard())


def clock_ns() -> int:
    return simulation.state().clock_ns()


def load(path: str, options: dict[str, Any]) -> _SimulatedSession:
    model = simulation.read(path)
    if model.fallback_nodes:
        raise Fallback("%d of %d nodes would run elsewhere" % (model.fallback_nodes, model.nodes))
    return _SimulatedSession(model)


class _SimulatedSession:
    def __init__(self, model: simulation.SimulatedModel) -> None:
        self._model = model
        self._device = simulation.SimulatedDevice(model.device)
        self._random = self._device.random
        self._latency_s = model.latency_ns * 1e-9 * math.exp(self._random.gauss(0, model.placement))
        self._wander = self._random.gauss(0, model.wander)
        self._input = 0
        self._busy_s = self._awake_s = 0.0
        self._last_s = self._device.now_s()
        self._device.infer(model.load_s)

    def invoke(self) -> None:
        device = self._device
        started_s = device.now_s()
        if started_s > self._last_s:  # something else ran here, or nothing
            self._awake_s = 0.0
        device.infer(self._drawn_s(started_s - self._last_s))
        self._last_s = device.now_s()
        self._busy_s += self._last_s - started_s
        self._awake_s += self._last_s - started_s

    def _drawn_s(self, gap_s: float) -> float:
        """What this inference takes on an undisturbed device."""
        model, source = self._model, self._random
        factor = math.exp(source.gauss(0, model.noise))
        if model.wander:
            elapsed_s = gap_s + self._latency_s
            self._wander = simulation.wandered(self._wander, elapsed_s, model.wander, model.wander_s, source)
            factor *= math.exp(self._wander)
        if model.outlier_share and source.random() < model.outlier_share:
            factor *= model.outlier_factor
        factor *= 1 + model.startup_excess * math.exp(-self._busy_s / model.startup_s)
        factor *= 1 + model.waking_excess * math.exp(-self._awake_s / model.waking_s)
        return self._latency_s * factor

    def sleep(self, seconds: float) -> None:
        self._device.sleep(seconds)

    def inputs(self) -> list[dict[str, Any]]:
        return [{"name": "number", "shape": [1], "dtype": "uint8", "bytes": 1}]

    def feed(self, index: int, data: bytes) -> None:
        self._input = data[0]

    def arrays(self) -> list[Any]:
        answers = array.array("f", self._model.answers[self._input % len(self._model.answers)])
        try:
            import numpy
        except ImportError:
            return [answers]
        return [numpy.array([answers], "float32")]

    def notes(self) -> dict[str, Any]:
        return {"nodes": {"simulated": self._model.nodes}}
