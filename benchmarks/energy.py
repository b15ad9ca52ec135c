"""How well the energy of a window is known: integration and clock alignment against a made-up truth.

A load that a device switches on for ten seconds (3 W idle; bursts of 3 W on top, 40 to 80 ms apart with 10 % jitter,
on for 40 to 80 % of the time) is seen by a meter on another machine, whose clock is 50 ms off and runs 100 ppm apart.
The device says when its window began and ended on its own clock; the exchanges of the two clocks take milliseconds each
way.

`python -m benchmarks.energy` prints the table; no hardware and no waiting. Exits with 3 if a gate is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.report import conditions, print_table
from edgebench.energy.meters import _clock, _integration
from edgebench.energy.meters._clock import Exchange
from edgebench.energy.meters._integration import WindowContext
from edgebench.energy.meters._sensor import Sensor
from edgebench.schema.arrays import Floats

WINDOW_S = 10.0
IDLE_W, BURST_W = 3.0, 3.0
# Of each trial its own, as every network is another one.
PERIODS_S, DUTIES, JITTER = (0.04, 0.08), (0.4, 0.8), 0.1
CLOCK_OFFSET_S, CLOCK_DRIFT = 0.05, 100e-6
# Both ways of a message: this much at least, of which each of the ways may take any part; and as much again on average
# as the network takes, each way.
WAYS_MIN_S, WAY_MORE_S = 0.6e-3, 2e-3
MARGIN_S = 30.0

SENSORS = {
    "100 Hz point": Sensor("point", 0.01, latency_s=2e-3),
    "2 Hz averaging": Sensor("average", 0.5, latency_s=0.1),
    "10 Hz point": Sensor("point", 0.1, latency_s=2e-3),
    "100 Hz counter": Sensor("counter", 0.01, latency_s=2e-3, step=1e-3),
}


# The meters that have to know the energy of nearly every window (95 %) to this; all have to know how well they do.
GATED = ("100 Hz point", "2 Hz averaging")
ERROR_GATE, UNDERSTATED_GATE = 0.01, 0.065


@dataclass(frozen=True)
class Load:
    """Power in steps, on the meter's clock: watts[i] holds from starts_s[i] on."""

    starts_s: Floats
    watts: Floats

    def power_w(self, at_s: Floats) -> Floats:
        return self.watts[np.searchsorted(self.starts_s, at_s, side="right") - 1]

    def joules(self, at_s: Floats) -> Floats:
        """Since the first step; exact."""
        so_far_j = np.concatenate([[0.0], np.cumsum(self.watts[:-1] * np.diff(self.starts_s))])
        return np.interp(at_s, self.starts_s, so_far_j)


def make_load(rng: np.random.Generator, start_s: float, end_s: float) -> Load:
    """Idle, bursts between the two instants, idle."""
    period_s, duty = rng.uniform(*PERIODS_S), rng.uniform(*DUTIES)
    count = int(2 * (end_s - start_s) / period_s)
    periods_s = period_s * (1 + JITTER * rng.standard_normal(count))
    begins_s = start_s + np.concatenate([[0.0], np.cumsum(periods_s)])[:-1]
    edges_s = np.ravel(np.column_stack([begins_s, begins_s + duty * periods_s]))
    watts = np.tile([IDLE_W + BURST_W, IDLE_W], count)
    within = edges_s < end_s
    starts_s = np.concatenate([[start_s - 2 * MARGIN_S], edges_s[within], [end_s, end_s + 2 * MARGIN_S]])
    return Load(starts_s, np.concatenate([[IDLE_W], watts[within], [IDLE_W, IDLE_W]]))


def observe(
    rng: np.random.Generator, load: Load, sensor: Sensor, start_s: float, end_s: float
) -> tuple[Floats, Floats]:
    """(times_s, values) as they arrive at the reader."""
    first_s = start_s - 2 - sensor.period_s * rng.random()
    ticks_s = np.arange(first_s, end_s + 2, sensor.period_s)
    if sensor.kind == "point":
        values = load.power_w(ticks_s)
    elif sensor.kind == "average":
        values = (load.joules(ticks_s) - load.joules(ticks_s - sensor.period_s)) / sensor.period_s
    else:
        values = np.floor(load.joules(ticks_s) / sensor.step) * sensor.step
    return ticks_s + sensor.latency_s * rng.random(len(ticks_s)), values


def exchanges(rng: np.random.Generator, at_s: float, there: float, count: int = 16) -> Iterator[Exchange]:
    """there: share of the least time that is spent on the way there."""
    for number in range(count):
        there_s, back_s = WAYS_MIN_S * np.array([there, 1 - there]) + rng.exponential(WAY_MORE_S, size=2)
        t1_s = at_s + 0.05 * number
        t2_s, t4_s = t1_s + there_s, t1_s + there_s + 100e-6 + back_s
        here = int(t1_s * 1e9), int(t4_s * 1e9)
        other = int(device_s(t2_s) * 1e9), int(device_s(t2_s + 100e-6) * 1e9)
        yield Exchange(here[0], other[0], other[1], here[1])


def device_s(here_s: float) -> float:
    return here_s * (1 + CLOCK_DRIFT) + CLOCK_OFFSET_S


@dataclass(frozen=True)
class Trial:
    """Errors as fractions of the true energy."""

    error: float
    stated_u95: float


def trial(seed: int, sensor: Sensor, *, idle_known: bool = True) -> Trial:
    """One window: made up, seen, aligned and integrated. idle_known: from the idle window that comes before it."""
    rng = np.random.default_rng(seed)
    start_s = 1000.0 + rng.random()
    end_s = start_s + WINDOW_S
    load = make_load(rng, start_s, end_s)
    times_s, values = observe(rng, load, sensor, start_s, end_s)
    there = rng.random()
    alignment = _clock.align(
        *(list(exchanges(rng, at_s, there)) for at_s in (start_s - MARGIN_S, end_s + MARGIN_S - 1))
    )
    told_ns = [int(device_s(instant_s) * 1e9) for instant_s in (start_s, end_s)]
    here_s = [alignment.here_s(instant_ns) for instant_ns in told_ns]
    u_edge_s = max(alignment.u_s(instant_ns) for instant_ns in told_ns)
    around = WindowContext(u_edge_s, alignment.u_length_s(*told_ns), IDLE_W if idle_known else None, room_s=MARGIN_S)
    found = _integration.integrate(times_s, values, *here_s, sensor, around)
    true_j = float(np.diff(load.joules(np.array([start_s, end_s])))[0])
    return Trial(found.energy_j / true_j - 1, found.u95_j / true_j)


def row(name: str, trials: list[Trial]) -> list[str]:
    errors = np.abs([one.error for one in trials])
    stated = np.array([one.stated_u95 for one in trials])
    return [
        name,
        f"{np.median(errors):.2%}",
        f"{np.quantile(errors, 0.95):.2%}",
        f"{errors.max():.2%}",
        f"{np.median(stated):.2%}",
        f"{(errors > stated).mean():.1%}",
    ]


def missed(name: str, trials: list[Trial]) -> list[str]:
    """The gates that these trials miss, in words."""
    errors = np.abs([one.error for one in trials])
    understated = float((errors > [one.stated_u95 for one in trials]).mean())
    found = []
    if name in GATED and np.quantile(errors, 0.95) > ERROR_GATE:
        found.append(f"{name}: error {np.quantile(errors, 0.95):.2%}, allowed {ERROR_GATE:.0%}")
    if understated > UNDERSTATED_GATE:
        found.append(f"{name}: stated too small in {understated:.1%}, allowed {UNDERSTATED_GATE:.0%}")
    return found


def main(count: int = 1000) -> int:
    header = ["meter", "error, median", "p95", "largest", "stated ±, median", "stated too small"]
    clocks = f"clocks {CLOCK_OFFSET_S * 1e3:g} ms and {CLOCK_DRIFT * 1e6:g} ppm apart"
    print(f"{conditions()}\n{count} windows of {WINDOW_S:g} s, {clocks}\n")
    trials = {name: [trial(seed, sensor) for seed in range(count)] for name, sensor in SENSORS.items()}
    averaging = SENSORS["2 Hz averaging"]
    trials["2 Hz averaging, idle power unknown"] = [trial(seed, averaging, idle_known=False) for seed in range(count)]
    print_table(header, [row(name, found) for name, found in trials.items()])
    gates = [gate for name, found in trials.items() for gate in missed(name, found)]
    print("\n" + ("\n".join(f"MISSED {gate}" for gate in gates) or "all gates met"))
    return 3 if gates else 0


if __name__ == "__main__":
    sys.exit(main())
