"""What edgebench's timed loop adds to an inference: its median latency over that of a bare loop in C.

    model A   | pair of fresh processes 1      | pair 2 ...
    worker      T...T....T.T...                           T: `count` timed inferences (~0.15 s), the other one sleeps
    C program   .T.T..T.T...T..                           a round is one T of each, in random order

onnxruntime: `run_with_iobinding`, as device_agents/python/runtimes/onnxruntime.py calls it, against RunWithBinding
of the C API, both with input and output bound once. The wheel holds the runtime twice, in libonnxruntime.so, which C
can load, and linked into the Python module: same sources, two builds, so the ratio holds their difference too.

OpenVINO: the same with libopenvino_c.so. ncnn: its wheel has no such library, and the other side is a bare loop over
its binding in Python (binding_loop.py).

LiteRT: `Interpreter.invoke()` against LiteRtRunCompiledModel of libLiteRt.so. The wheel's Interpreter cannot be driven
from C (its library exports only module initialisers); the compiled model runs the same file through the same XNNPACK
delegate, but behind LiteRT's own front, whose cost is part of the baseline.

Both run one thread on the same input, their outputs are compared before anything is timed, each inference is timed
by CLOCK_MONOTONIC (what `time.perf_counter_ns` reads), and both series lose their cold start as in a record.

Ratio: median over all rounds of the ratio of the two medians of a round. Interval: 95 %, batch means over pairs of
processes, because what a process got (addresses, pages) stays with it and moves all its rounds alike.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import models, report
from benchmarks.loops import Loop, NativeLoop, WorkerLoop
from benchmarks.models import Model
from device_agents.python import series
from edgebench.errors import UserError

# Highest ratio allowed for models of at least so many ns in C.
GATES = ((100_000, 1.03), (50_000, 1.06), (20_000, 1.10))


@dataclass(frozen=True)
class Effort:
    pairs: int
    rounds: int
    round_s: float
    warmup_s: float


FULL = Effort(pairs=10, rounds=5, round_s=0.15, warmup_s=0.3)
QUICK = Effort(pairs=2, rounds=3, round_s=0.03, warmup_s=0.1)


@dataclass(frozen=True)
class Round:
    """Medians in ns."""

    worker_ns: float
    native_ns: float

    @property
    def ratio(self) -> float:
        return self.worker_ns / self.native_ns


@dataclass(frozen=True)
class Overhead:
    model: Model
    pairs: Sequence[Sequence[Round]]

    @property
    def rounds(self) -> list[Round]:
        return [round_ for pair in self.pairs for round_ in pair]

    @property
    def native_ns(self) -> float:
        return statistics.median(round_.native_ns for round_ in self.rounds)

    @property
    def worker_ns(self) -> float:
        return statistics.median(round_.worker_ns for round_ in self.rounds)

    @property
    def ratio(self) -> float:
        return statistics.median(round_.ratio for round_ in self.rounds)

    @property
    def half_width(self) -> float | None:
        """None below three pairs."""
        return series.mean_half_width([statistics.median(round_.ratio for round_ in pair) for pair in self.pairs])

    @property
    def gate(self) -> float | None:
        return next((limit for least_ns, limit in GATES if self.native_ns >= least_ns), None)


def measure(model: Model, effort: Effort, seed: int = 0) -> Overhead:
    order = random.Random(seed)
    return Overhead(model, [_measure_pair(model, effort, order) for _ in range(effort.pairs)])


def _measure_pair(model: Model, effort: Effort, order: random.Random) -> list[Round]:
    """Both loops in fresh processes, which end with it."""
    with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
        loops: dict[str, Loop] = {}
        try:
            loops["worker"] = WorkerLoop(model, Path(folder))
            loops["native"] = NativeLoop(model, Path(folder))
            check_same_answer(model, loops["worker"].outputs, loops["native"].outputs)
            count = _warm_up(loops.values(), effort)
            return [_measure_round(loops, count, order) for _ in range(effort.rounds)]
        finally:
            for loop in loops.values():
                loop.close()


def check_same_answer(model: Model, worker: Sequence[float], native: Sequence[float]) -> None:
    """Two loops that compute different things are not compared."""
    scale = max(map(abs, worker), default=0.0)
    same = len(worker) == len(native) > 0
    if not same or any(not math.isclose(a, b, abs_tol=1e-2 * scale) for a, b in zip(worker, native, strict=True)):
        raise RuntimeError(f"{model.path.name}: the two loops answer differently: {worker[:4]}, {native[:4]}")


def _warm_up(loops: Iterable[Loop], effort: Effort) -> int:
    """Let each run for a while. Returns how many inferences fill a round, the same for both."""
    typical_ns = [_run_for(loop, effort.warmup_s) for loop in loops]
    return max(10, math.ceil(effort.round_s * 1e9 / min(typical_ns)))


def _run_for(loop: Loop, seconds: float) -> float:
    """Returns the median latency in ns at the end."""
    typical_ns = statistics.median(loop.time(20))
    values_ns = loop.time(max(20, math.ceil(seconds * 1e9 / typical_ns)))
    return statistics.median(values_ns[len(values_ns) // 2 :])


def _measure_round(loops: dict[str, Loop], count: int, order: random.Random) -> Round:
    medians = {name: _settled_median(loops[name].time(count)) for name in order.sample(sorted(loops), len(loops))}
    return Round(medians["worker"], medians["native"])


def _settled_median(values_ns: Sequence[int]) -> float:
    return statistics.median(values_ns[series.cold_prefix(values_ns) :])


HEADER = ("runtime", "model", "C µs", "edgebench µs", "ratio", "95 % interval", "rounds", "gate", "met")


def row(overhead: Overhead) -> list[str]:
    half, gate = overhead.half_width, overhead.gate
    return [
        overhead.model.runtime,
        overhead.model.name,
        f"{overhead.native_ns / 1e3:.1f}",
        f"{overhead.worker_ns / 1e3:.1f}",
        f"{overhead.ratio:.3f}",
        f"{overhead.ratio - half:.3f} - {overhead.ratio + half:.3f}" if half is not None else "too few pairs",
        str(len(overhead.rounds)),
        f"<= {gate}" if gate else "none",
        "" if gate is None else ("yes" if overhead.ratio <= gate else "NO"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke run of two models: no trustworthy numbers")
    parser.add_argument("--only", default="", metavar="TEXT", help="only models with this in runtime:name")
    arguments = parser.parse_args()
    only = "conv100-fp32" if arguments.quick else arguments.only
    try:
        measured = list(_measure_all(only, QUICK if arguments.quick else FULL))
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    print(report.conditions() + "\n")
    report.print_table(HEADER, [row(overhead) for overhead in measured])
    missed = [overhead for overhead in measured if overhead.gate is not None and overhead.ratio > overhead.gate]
    return 3 if missed else 0


def _measure_all(only: str, effort: Effort) -> Iterator[Overhead]:
    for model in models.all_models():
        if only in f"{model.runtime}:{model.name}":
            overhead = measure(model, effort)
            print(f"{model.runtime} {model.name}: {overhead.ratio:.3f}, load {report.load():.1f}", file=sys.stderr)
            yield overhead


if __name__ == "__main__":
    sys.exit(main())
