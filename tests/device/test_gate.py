"""The gate before a measurement: how long it waits for a device to cool, and what it records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from device_agents.python import gate
from tests.support.machine import Notebook


class Board:
    """A device that cools by a degree a second, whose clock limit and bits change; with simulated time."""

    def __init__(self, celsius: float | None, *, limits_hz: tuple[int | None, ...] = (None,), bits: int = 0) -> None:
        self._celsius, self._limits_hz, self._bits, self._now_s = celsius, limits_hz, bits, 0.0

    def now_s(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds

    def temperature_c(self) -> float | None:
        return None if self._celsius is None else self._celsius - self._now_s

    def clock_limit_hz(self) -> int | None:
        return self._limits_hz[min(int(self._now_s), len(self._limits_hz) - 1)]

    def throttled(self) -> int:
        return self._bits if self._now_s < 2 else self._bits & 0xF0000


def through_gate(board: Board, celsius: float | None = 40.0, *, limit_hz: int | None = None, s: float = 5) -> Any:
    notebook, start = Notebook(), SimpleNamespace(temperature_c=celsius, clock_limit_hz=limit_hz)
    gate.gate({"gate_margin_c": 3.0, "gate_max_s": s}, start, notebook, board)
    (line,) = notebook.lines
    return {"open": line["open"], **line["cooling"]}


def test_the_gate_waits_until_the_device_is_as_cool_as_before_and_keeps_the_curve() -> None:
    line = through_gate(Board(45.0))
    assert (line["open"], line["waited_s"], line["limit_c"]) == (True, 2.0, 43.0)
    assert line["curve"] == [[0.0, 45.0, None], [1.0, 44.0, None], [2.0, 43.0, None]]


def test_the_gate_gives_up_and_says_where_it_was() -> None:
    line = through_gate(Board(60.0))
    assert (line["open"], line["waited_s"], line["curve"][-1]) == (False, 5.0, [5.0, 55.0, None])


def test_the_gate_waits_for_the_clock_as_well() -> None:
    cool, fast = 40.0, 1_800_000_000
    line = through_gate(Board(cool, limits_hz=(fast // 2, fast // 2, fast)), limit_hz=fast)
    assert (line["open"], line["waited_s"], line["curve"][-1][2]) == (True, 2.0, fast)
    assert through_gate(Board(cool, limits_hz=(fast // 2,)), limit_hz=fast)["open"] is False
    assert through_gate(Board(cool, limits_hz=(round(0.995 * fast),)), limit_hz=fast)["waited_s"] == 0


def test_the_gate_waits_while_anything_is_throttled_but_not_for_what_was() -> None:
    assert through_gate(Board(40.0, bits=0x4))["waited_s"] == 2.0
    assert through_gate(Board(40.0, bits=0x40000))["waited_s"] == 0


def test_a_sensor_that_stops_answering_does_not_end_the_job() -> None:
    """thermal_zone*/temp may answer EAGAIN or EINVAL at any moment."""
    line = through_gate(Board(None))
    assert line["open"] and line["curve"] == [[0.0, None, None]]
    assert through_gate(Board(50.0), None)["open"]
