"""Joules by every kind of meter against a truth that is known: how far off, and how often the stated interval holds it.

A device rests, infers for ten seconds (3 W idle; a burst of 3 W on top for each inference, on for 40 to 80 % of 40 to
80 ms, another network in each job; inferences differ by 10 %), rests, five times a job, on a clock that is 50 ms off
and 100 ppm fast. The meters play their own protocols (tests/support/played_meters.py) to the real drivers; integration,
clocks and intervals are those of `deploy`. A meter's lag differs from job to job, and its answers are late by chance.

`python -m benchmarks.meters [windows [first seed]]` prints the table: 200 windows of each kind by default, on a virtual
clock. Exits with 3 if a share of intervals that hold the truth is not what 95 % may give by chance.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.energy import CLOCK_DRIFT, CLOCK_OFFSET_S, DUTIES, JITTER, PERIODS_S, Load, device_s, exchanges
from benchmarks.report import conditions, print_table
from device_agents.python import edges
from device_agents.python.meters import _sampler, nvml, rapl
from edgebench.device import journal
from edgebench.energy import per_inference
from edgebench.energy.meters import _clock, ppk2
from edgebench.energy.meters._windows import MeteredWindows
from edgebench.schema.energy_reading import ClockAlignment, EnergyReading, EnergyWindow, Flag, IdleWindow, Instrument
from tests.support import played_meters
from tests.support.played_meters import Faults, VirtualClock

IDLE_W, BURST_W = 3.0, 3.0
WINDOW_S, REST_S, ROUNDS = 10.0, 1.5, 5
# A device wakes before its first inference and answers after the last, for up to so long; what it draws meanwhile is
# anywhere between rest and work, as the agent takes it to be.
BESIDE_S = 2e-3
# A chip converts up to a tenth slower than its data sheet's typical time (INA226: SBOS547; an INA3221 is taken to be
# like it).
CHIP_SLOWER = 0.1
# A PPK2 sees 1 A at most.
SCALE = {"ppk2": 0.4}
# What the way to each of them takes: (constant in a job, up to; by chance, up to).
WAYS_S = {"um": (0.05, 0.05), "tc": (0.0, 0.01), "cs": (0.0, 0.02), "pp": (0.01, 0.002), "fn": (0.01, 0.004)}
# A PPK2 says a tenth of its words, in values of 10 ms as well: all of them take hours.
THIN_HZ = 10_000
HELD = 0.95
POWERS_APART = 0.01


@dataclass(frozen=True)
class Job:
    """spans: (event, round, start, end, inferences) on the meter's clock; net_j: of an inference, on average."""

    load: Load
    spans: list[tuple[str, int, float, float, int]]
    net_j: float


def make_job(seed: int, scale: float = 1.0, beside_s: float = 0.0) -> Job:
    """beside_s: for so long the device is half awake on both sides of each window of inferences."""
    rng = np.random.default_rng(seed)
    period_s, duty = rng.uniform(*PERIODS_S), rng.uniform(*DUTIES)
    scale *= 1 + POWERS_APART * float(rng.random())  # or all of them would be rounded alike
    now_s, spans = 1000.0 + float(rng.random()), []
    starts_s, watts = [now_s - 60], [IDLE_W]
    for number in range(ROUNDS + 1):
        now_s += REST_S * (1 + rng.random())
        idle_s = WINDOW_S * (1 + 0.1 * rng.random())
        spans.append(("idle", number, now_s, now_s + idle_s, 0))
        now_s += idle_s + REST_S * (1 + rng.random())
        if number == ROUNDS:
            break
        begun_s, least_s, count = now_s, WINDOW_S * (1 + 0.1 * rng.random()), 0
        half_awake_w = IDLE_W + BURST_W * duty * rng.random(2)
        starts_s.append(now_s - beside_s)
        watts.append(half_awake_w[0])
        while now_s < begun_s + least_s:
            takes_s = period_s * (1 + JITTER * float(rng.standard_normal()))
            starts_s += [now_s, now_s + duty * takes_s]
            watts += [IDLE_W + BURST_W, IDLE_W]
            now_s, count = now_s + takes_s, count + 1
        spans.append(("energy", number, begun_s, now_s, count))
        starts_s += [now_s, now_s + beside_s]
        watts += [half_awake_w[1], IDLE_W]
    load = Load(np.array([*starts_s, now_s + 60]), scale * np.array([*watts, IDLE_W]))
    return Job(load, spans, scale * BURST_W * duty * period_s)


def entries(job: Job) -> Iterator[journal.AnyLine]:
    """As the agent journals them, on its clock."""
    for event, number, start_s, end_s, inferences in job.spans:
        start_ns, end_ns = round(device_s(start_s) * 1e9), round(device_s(end_s) * 1e9)
        window = {"round": number, "start_ns": start_ns, "duration_s": (end_ns - start_ns) / 1e9}
        line: dict[str, Any] = {"n": 0, "t_ns": 0, "event": event, "throttled": None, "readings": {}, "window": window}
        if event == "energy":
            line["artifact"], window["inferences"] = 0, inferences
        yield journal.decode(json.dumps(line).encode(), "here", artifacts=1)


def by_host(kind: str, seed: int, faults: Faults | None = None) -> tuple[Job, EnergyReading]:
    """A job as a meter on this machine sees it."""
    rng = np.random.default_rng(seed + 10**6)
    job = make_job(seed, SCALE.get(kind, 1.0))
    start_s, end_s = job.spans[0][2] - 5, job.spans[-1][3] + 5
    lag_s, jitter_s = WAYS_S[kind[:2]]
    usual = Faults(late_s=lag_s * float(rng.random()), jitter_s=jitter_s)
    with mock.patch.multiple(ppk2, RATE_HZ=THIN_HZ, BIN=ppk2.BIN * THIN_HZ // ppk2.RATE_HZ, ALIGNED_BY=50):
        trace, meter = played_meters.record(kind, job.load, start_s, end_s, faults or usual, seed)
    told = list(entries(job))
    there = rng.random()
    alignment = _clock.align(list(exchanges(rng, start_s, there)), list(exchanges(rng, end_s, there)))
    metered = MeteredWindows(trace, meter.sensor, alignment)
    idle, windows, refused = metered.windows(0, told)
    if not windows:
        return job, EnergyReading(kind, "unavailable", refused[0].reason, "board_input", refused=tuple(refused))
    instrument = Instrument(meter.sensor.kind, meter.sensor.period_s)
    return job, EnergyReading(
        kind, "measured", "", "board_input", meter.note, instrument, ClockAlignment("rtt"), tuple(idle.values()),
        tuple(windows), tuple(refused), dropped=meter.tally.dropped, duplicates=meter.tally.duplicates,
        late_s=metered.late_s,
    )  # fmt: skip


# ---------------------------------------------------------------------- meters that the device reads itself


def _counter_of(module: Any, job: Job, clock: VirtualClock, period_s: float) -> Any:
    """The real meter over a counter that moves every period."""

    def joules() -> float:
        return float(job.load.joules(np.array([math.floor(clock.now_s / period_s) * period_s]))[0])

    if module is nvml:
        boards = SimpleNamespace(names=lambda: "made up", energies_j=lambda: {"gpu_board": round(joules() * 1e3) / 1e3})
        meter: Any = nvml.Nvml(boards)
        meter._period_s = period_s
        return meter
    meter = rapl.Rapl.__new__(rapl.Rapl)
    meter.instrument, meter.age_s = {"sampling": "counter"}, period_s
    meter._zones, meter._range_uj = {"zone": "cpu_package"}, {"zone": 262_143_328_850}
    counter = mock.patch.object(rapl, "_counter", lambda zone: int(joules() * 1e6 / 61) * 61)
    counter.start()
    meter.close = counter.stop
    return meter


def _sampler_of(kind: str, job: Job, clock: VirtualClock, period_s: float) -> Any:
    """The real sampler, looked at by nobody's thread."""
    chip_s = period_s * (1 + CHIP_SLOWER * float(np.random.default_rng(len(job.load.watts)).random()))

    def power_w() -> dict[str, float]:
        if kind == "point":
            return {"soc_rails": float(job.load.power_w(np.array([clock.now_s]))[0])}
        done_s = math.floor(clock.now_s / chip_s) * chip_s  # the chip converts at its own pace
        low_j, high_j = job.load.joules(np.array([done_s - chip_s, done_s]))
        return {"rail:5V": float(high_j - low_j) / chip_s}

    meter: Any = _sampler.Sampler(power_w, period_s, kind)
    meter._thread = SimpleNamespace(join=lambda: None)
    meter.period_s = 1.003 * period_s
    return meter


DEVICE: dict[str, Callable[[Job, VirtualClock], Any]] = {
    "rapl": lambda job, clock: _counter_of(rapl, job, clock, 0.001),
    "nvml": lambda job, clock: _counter_of(nvml, job, clock, 0.1),
    "hwmon (INA226)": lambda job, clock: _sampler_of("average", job, clock, 0.035),
    "ina3221": lambda job, clock: _sampler_of("average", job, clock, 0.1),
    "rpi-pmic": lambda job, clock: _sampler_of("point", job, clock, 0.2),
}


def by_device(kind: str, seed: int) -> tuple[Job, EnergyReading]:
    job = make_job(seed, beside_s=BESIDE_S)
    clock = VirtualClock(job.spans[0][2] - 1)
    rng = np.random.default_rng(seed + 10**6)
    fake = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep)
    idle: list[IdleWindow] = []
    windows: list[EnergyWindow] = []
    with (
        mock.patch.object(nvml, "time", fake),
        mock.patch.object(rapl, "time", fake),
        mock.patch.object(_sampler, "time", fake),
    ):
        meter = DEVICE[kind](job, clock)
        for event, number, start_s, end_s, inferences in job.spans:
            early_s, late_s = BESIDE_S * rng.random(2)
            before = _read_at(meter, clock, start_s - early_s)
            after = _read_at(meter, clock, end_s + late_s)
            ((scope, joules),) = meter.joules(before, after).items()
            ((_, u_j),) = meter.u_joules(before, after).items()
            if event == "idle":
                u_j = edges.rest_u_j(meter, u_j, joules, end_s - start_s)
                idle.append(IdleWindow(number, end_s - start_s, joules, u_j))
                continue
            *told, is_in_step = edges.window_j(
                meter, scope, joules, u_j, (start_s, end_s), inferences, early_s + late_s, idle[-1].mean_w
            )
            flags: tuple[Flag, ...] = ("aliasing",) if is_in_step else ()
            windows.append(EnergyWindow(number, end_s - start_s, *told, inferences=inferences, flags=flags))
        getattr(meter, "close", lambda: None)()
    reading = EnergyReading(
        kind, "measured", "", "board_input", "", Instrument("counter", 0.1), ClockAlignment("same_clock"), tuple(idle),
        tuple(windows),
    )  # fmt: skip
    return job, reading


def _read_at(meter: Any, clock: VirtualClock, at_s: float) -> Any:
    while hasattr(meter, "period_s") and clock.now_s + meter.period_s < at_s:
        clock.now_s += meter.period_s
        meter._look()
    clock.now_s = at_s
    return meter.read()


# ---------------------------------------------------------------------- what comes of it


@dataclass
class Found:
    """Errors of windows and of net joules as fractions of the truth; whether the stated interval holds it."""

    kind: str
    window_errors: list[float]
    windows_held: list[bool]
    net_errors: list[float]
    nets_held: list[bool]
    refused: int = 0

    def row(self) -> list[str]:
        return [
            self.kind,
            f"{len(self.window_errors)}",
            f"{np.median(self.window_errors):.2%}",
            f"{np.quantile(self.window_errors, 0.95):.2%}",
            f"{np.mean(self.windows_held):.1%}",
            f"{np.quantile(self.net_errors, 0.95):.2%}",
            f"{np.mean(self.nets_held):.1%} of {len(self.nets_held)}",
            f"{self.refused}",
        ]

    def missed(self) -> Iterator[str]:
        """Fewer held than three standard deviations of chance allow."""
        for what, held in (("windows", self.windows_held), ("net joules", self.nets_held)):
            least = HELD - 3 * math.sqrt(HELD * (1 - HELD) / len(held))
            if np.mean(held) < least:
                yield f"{self.kind}: the intervals of {np.mean(held):.1%} of the {what} hold the truth"


def judge(kind: str, windows: int, see: Callable[[str, int], tuple[Job, EnergyReading]], first_seed: int = 0) -> Found:
    found = Found(kind, [], [], [], [])
    for seed in range(first_seed, first_seed + math.ceil(windows / ROUNDS)):
        job, reading = see(kind, seed)
        found.refused += len(reading.refused)
        spans = {number: (start_s, end_s) for event, number, start_s, end_s, _ in job.spans if event == "energy"}
        for window in reading.windows:
            true_j = float(np.diff(job.load.joules(np.array(spans[window.round])))[0])
            error_j = abs(window.energy_j - true_j)
            found.window_errors.append(error_j / true_j)
            found.windows_held.append(error_j <= per_inference.window_u95_j(window))
        one = per_inference.per_inference(reading)
        if one and one.net_j and one.net_j.half_width is not None:
            error_j = abs(one.net_j.value - job.net_j)
            found.net_errors.append(error_j / job.net_j)
            found.nets_held.append(error_j <= one.net_j.half_width)
    return found


HEADER = ["meter", "windows", "error, median", "p95", "interval holds", "net J, p95", "interval holds", "refused"]


def main(windows: int = 200, first_seed: int = 0, kinds: tuple[str, ...] = ()) -> int:
    """first_seed: other jobs than those that the stated uncertainties were set with, which begin at 0."""
    clocks = f"clocks {CLOCK_OFFSET_S * 1e3:g} ms and {CLOCK_DRIFT * 1e6:g} ppm apart"
    print(f"{conditions()}\n{windows} windows of {WINDOW_S:g} to {1.1 * WINDOW_S:g} s, {clocks}\n", flush=True)
    every = [(kind, by_host) for kind in played_meters.kinds()] + [(kind, by_device) for kind in DEVICE]
    seen = [judge(kind, windows, see, first_seed) for kind, see in every if not kinds or kind in kinds]
    print_table(HEADER, [found.row() for found in seen])
    missed = [gate for found in seen for gate in found.missed()]
    print("\n" + ("\n".join(f"MISSED {gate}" for gate in missed) or "all gates met"))
    return 3 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3]), kinds=tuple(sys.argv[3:])))
