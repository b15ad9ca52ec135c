"""For the tests of the meters that a device reads itself: a machine without any, a clock, and a meter's readings."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_agents.python import facts
from device_agents.python.meters import Unavailable, _sampler, nvml, rapl


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setattr(facts, "ROOT", folder)
    monkeypatch.setattr(rapl, "ROOT", folder)
    monkeypatch.setattr(nvml, "LIBRARY", "libnone.so")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return folder


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the meters; it advances when one of them sleeps."""
    made_up = Clock()
    for module in (nvml, _sampler):
        monkeypatch.setattr(module, "time", made_up)
    return made_up


def why_not(open_meter: Callable[[], Any]) -> str:
    with pytest.raises(Unavailable) as caught:
        open_meter()
    return str(caught.value)


def joules_of(meter: Any, *, seconds: float = 0.0) -> dict[str, float]:
    before = meter.read()
    time.sleep(seconds)
    return meter.joules(before, meter.read())
