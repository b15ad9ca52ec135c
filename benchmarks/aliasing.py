"""A meter of instants that the device reads itself, in step with its load: how far windows are off, and what is stated.

Windows of ten seconds (3 W idle; bursts of 3 W on top, on for 60 % of each inference) are seen by the real sampler of a
Raspberry Pi 5's power chip, five looks a second that take 5 ms, on a clock of its own. Inferences fit into the interval
of the looks so many times. The truth is the simulation's own.

`python -m benchmarks.aliasing [windows]` prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.energy import BURST_W, IDLE_W, Load
from benchmarks.report import conditions, print_table
from device_agents.python import edges
from device_agents.python.meters import _sampler, rpi_pmic
from edgebench.energy import coverage
from tests.support.played_meters import VirtualClock

WINDOW_S, DUTY = 10.0, 0.6
LOOK_S, LOOK_JITTER_S = 0.005, 0.0002
PACE_S = rpi_pmic.PERIOD_S + LOOK_S


@dataclass(frozen=True)
class Scene:
    """repeats: inferences between two looks; jitter: what they differ by, as a share."""

    name: str
    repeats: float
    jitter: float


SCENES = (
    Scene("2 inferences between two looks", 2.0, 0.0005),
    Scene("2.003", 2.003, 0.0005),
    Scene("1.5: looks at two points of each", 1.5, 0.0005),
    Scene("2.37: out of step", 2.37, 0.0005),
    Scene("2, but they differ by 10 %", 2.0, 0.1),
)


@dataclass(frozen=True)
class Seen:
    """error: fraction of the true joules. stated: the 95 % interval, with and without what aliasing leaves open."""

    error: float
    stated: float
    stated_without: float
    is_in_step: bool


def window(scene: Scene, seed: int) -> Seen:
    rng = np.random.default_rng(seed)
    repeat_s = PACE_S / scene.repeats
    count = int(WINDOW_S / repeat_s)
    takes_s = repeat_s * (1 + scene.jitter * rng.standard_normal(count))
    begins_s = 100 + rng.random() + np.concatenate([[0.0], np.cumsum(takes_s)])
    edges_s = np.ravel(np.column_stack([begins_s[:-1], begins_s[:-1] + DUTY * takes_s]))
    load = Load(
        np.concatenate([[0.0], edges_s, begins_s[-1:]]),
        np.concatenate([[IDLE_W], np.tile([IDLE_W + BURST_W, IDLE_W], count), [IDLE_W]]),
    )
    start_s, end_s = float(begins_s[0]), float(begins_s[-1])
    true_j = float(np.diff(load.joules(np.array([start_s, end_s])))[0])
    u_without_j, (joules, u_j, _, is_in_step) = _look(load, start_s, end_s, count, rng)
    stated = [coverage.half_width(one_j) / true_j for one_j in (u_j, u_without_j)]
    return Seen(joules / true_j - 1, *stated, is_in_step)


def _look(load: Load, start_s: float, end_s: float, count: int, rng: np.random.Generator) -> Any:
    """(what the spread of the readings says alone, all that the agent makes of the window)."""
    clock = VirtualClock(start_s - 5 + float(rng.random()))
    fake = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep)
    with mock.patch.object(_sampler, "time", fake):
        meter: Any = _sampler.Sampler(
            lambda: {"soc_rails": float(load.power_w(np.array([clock.now_s]))[0])}, rpi_pmic.PERIOD_S, "point"
        )
        meter._thread = SimpleNamespace(join=lambda: None)
        for last_s in _looks_s(clock.now_s, start_s, rng):
            clock.now_s = last_s
            meter._look()
        clock.now_s = start_s
        before = meter.read()
        for at_s in _looks_s(last_s, end_s, rng):
            clock.now_s = at_s
            meter._look()
        clock.now_s = end_s
        after = meter.read()
    joules, u_j = meter.joules(before, after)["soc_rails"], meter.u_joules(before, after)["soc_rails"]
    told = meter, "soc_rails", joules, u_j, (start_s, end_s), count, 0.0, IDLE_W
    return u_j, edges.window_j(*told)


def _looks_s(from_s: float, to_s: float, rng: np.random.Generator) -> Iterator[float]:
    at_s = from_s
    while (at_s := at_s + PACE_S + LOOK_JITTER_S * float(rng.standard_normal())) < to_s:
        yield at_s


def row(scene: Scene, windows: int) -> list[str]:
    seen = [window(scene, seed) for seed in range(windows)]
    errors = np.abs([one.error for one in seen])
    return [
        scene.name,
        f"{np.median(errors):.1%}",
        f"{np.quantile(errors, 0.95):.1%}",
        f"{np.mean(errors <= [one.stated_without for one in seen]):.1%}",
        f"{np.mean(errors <= [one.stated for one in seen]):.1%}",
        f"{np.mean([one.is_in_step for one in seen]):.1%}",
    ]


def main(windows: int = 200) -> int:
    print(f"{conditions()}\n{windows} windows of {WINDOW_S:g} s, five looks a second\n")
    header = ["inferences between two looks", "error, median", "p95", "held without", "held with", "said in"]
    print_table(header, [row(scene, windows) for scene in SCENES])
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
