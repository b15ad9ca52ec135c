"""A made-up meter, the agent of a device whose clock is off, and a host that measures with both."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgebench.device import journal
from edgebench.device.agent import Clock
from edgebench.device.job_store import JobRequest, JobStore, StoredJob
from edgebench.energy import host_meter
from edgebench.energy.host_meter import HostMeter
from edgebench.energy.meters import Sample, Tally, um25c
from edgebench.energy.meters._sensor import Sensor
from edgebench.errors import LinkLost, UserError
from edgebench.progress import Silent
from edgebench.schema import plan
from edgebench.schema.energy_reading import EnergyReading
from edgebench.schema.targets import Target
from tests.support.records import make_artifact

BOARD = Target(name="board", transport="ssh", host="board", meter="um25c:/dev/fake")
PLAN = plan.with_energy(plan.named("quick"))
IDLE_W, ACTIVE_W = 3.0, 6.0
OFFSET_S, DRIFT = 777.05, 100e-6  # the device's clock is so far ahead, and so much faster


def device_ns(here_s: float) -> int:
    return round((here_s * (1 + DRIFT) + OFFSET_S) * 1e9)


class FakeMeter:
    """Says a trace that is known beforehand, then nothing; or fails."""

    device_id, firmware, note, serial = "FAKE", "1.0", "", ""

    def __init__(self, times_s: Any, watts: Any, sensor: Sensor, failure: str = "") -> None:
        self.sensor, self.tally, self.flags = sensor, Tally(duplicates=3, dropped=1), ()
        self._trace = list(zip(times_s, watts, strict=True))
        self._failure = failure

    def samples(self) -> Iterator[Sample]:
        for at_s, watts in self._trace:
            yield Sample(float(at_s), float(watts))
        if self._failure:
            raise UserError("meter", self._failure, "Plug it in")

    def close(self) -> None:
        pass


class FakeAgent:
    """A device whose clock is off; each way of a message takes a millisecond."""

    def __init__(self, here_s: float = 0.0) -> None:
        self.here_s = here_s
        self.said: list[str] = []
        self.lost = False

    def clock(self) -> Clock:
        if self.lost:
            raise LinkLost("board", "the link broke", "Again")
        self.here_s += 1e-3
        answer = Clock(device_ns(self.here_s), device_ns(self.here_s))
        self.here_s += 1e-3
        return answer

    def enough(self, job: str) -> None:
        self.said.append(job)


@dataclasses.dataclass
class Scene:
    """Rounds of one artifact on the meter's clock: ten seconds idle, ten inferring, a second between."""

    rounds: int = 5
    period_s: float = 0.1

    @property
    def starts_s(self) -> list[tuple[float, float]]:
        return [(100.0 + 22 * number, 111.0 + 22 * number) for number in range(self.rounds)]

    def lines(self) -> list[bytes]:
        entries: list[dict[str, Any]] = []
        for number, (idle_s, active_s) in enumerate(self.starts_s):
            entries.append(self._line("idle", number, idle_s))
            entries.append({**self._line("energy", number, active_s), "artifact": 0})
            entries[-1]["window"]["inferences"] = 1000
        entries.append(self._line("idle", self.rounds, 100.0 + 22 * self.rounds))
        return [json.dumps({"n": n, "t_ns": n, **entry}).encode() for n, entry in enumerate(entries)]

    def _line(self, event: str, number: int, start_s: float) -> dict[str, Any]:
        duration_s = (device_ns(start_s + 10) - device_ns(start_s)) / 1e9
        window = {"round": number, "start_ns": device_ns(start_s), "duration_s": duration_s}
        return {"event": event, "window": window, "throttled": None, "readings": {}}

    def trace(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Averages over `period_s` of idle power with the artifact's on top."""
        fine_s = np.arange(95.0, 100.0 + 22 * self.rounds + 15, 1e-3)
        watts = np.full(len(fine_s), IDLE_W)
        for _, start_s in self.starts_s:
            watts[(fine_s >= start_s) & (fine_s < start_s + 10)] = ACTIVE_W
        step = round(self.period_s / 1e-3)
        phase = int(np.random.default_rng(seed).integers(0, step))
        whole = (len(watts) - phase) // step
        means = watts[phase : phase + whole * step].reshape(whole, step).mean(axis=1)
        return fine_s[phase] + self.period_s * np.arange(1, whole + 1), means


class Host:
    """A HostMeter over a fake meter, as deploy uses it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, meter: Any, target: Target = BOARD) -> None:
        self.agent = FakeAgent(here_s=99.0)
        monkeypatch.setattr(host_meter, "time", SimpleNamespace(monotonic_ns=lambda: round(self.agent.here_s * 1e9)))
        monkeypatch.setattr(um25c, "open_meter", lambda port, volts: meter)
        self.said: list[str] = []
        progress = Silent()
        progress.say = self.said.append  # type: ignore[method-assign]
        self.job = open_job(folder)
        self.meter = HostMeter(target, PLAN, folder / "meters.yaml", progress)

    def run(self, scene: Scene, *, count: int | None = None) -> EnergyReading:
        with self.meter as meter:
            meter.start(self.job, self.agent)  # type: ignore[arg-type]
            recorder = meter._recorder
            if recorder and count:
                while len(recorder.trace().times_s) < count and not recorder.problem:
                    time.sleep(0.005)
            self.agent.here_s = 100.0 + 22 * scene.rounds + 12
            meter.align(self.agent)  # type: ignore[arg-type]
            entries = [journal.decode(line, "here", artifacts=1) for line in scene.lines()]
            return meter.reading(0, entries)


def open_job(folder: Path) -> StoredJob:
    book = JobStore(folder, "board")
    known = book.find("key")
    request = JobRequest(
        "id", "key", "now", BOARD, PLAN, (make_artifact("net-onnx-fp32"),), ({"runtime": "onnxruntime"},)
    )
    return known or book.add(request)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene, keep: Any = None, **changes: Any
) -> EnergyReading:
    """What a 10 Hz averaging meter sees of a scene. keep: of its values, by number or mask."""
    times_s, watts = scene.trace()
    if keep is not None:
        times_s, watts = times_s[keep], watts[keep]
    meter = FakeMeter(times_s, watts, Sensor("average", scene.period_s), **changes)
    return Host(tmp_path, monkeypatch, meter).run(scene, count=len(times_s))
