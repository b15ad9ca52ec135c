"""edgebench's INT8 files against those that the tools make by themselves, at their defaults.

Speed: images of 224 x 224, random weights, one thread, processor time, the files of a network and format taking turns
in one process. Ours is the file that export would choose. Right: trained networks (--checkpoints), the same calibration
images, the whole test split. A network that fails does not keep the others from being looked at. Exit 3 if ours is more
than 2 % slower or 0.1 points less accurate than the best of them, if INT8 loses more than 0.3 points, or if fp32 is not
the network it came from; 1 if a network failed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import networks, peer_tools, report, right
from benchmarks.export import NETWORKS, PLUGINS, SHAPE, int8_files
from exporters.pipeline.candidates import FASTER_BY
from exporters.workers.messages import RaceTask
from exporters.workers.process import WorkerPool

SLOWER_BY = 1.02
SPEED_HEADER = ("network", "format", "file", "processor ms", "times as fast as fp32", "against the best peer")
SPEED_WIDTHS = (15, 6, 34, 12, 20, 21)


def speed(network: str, *, folder: Path, seconds: float) -> Iterator[tuple[list[str], bool]]:
    """Rows, and whether each holds what is asked of it."""
    workers = WorkerPool(folder)
    ours = {plugin: int8_files(network, plugin, folder, workers) for plugin in PLUGINS}
    job = networks.job(network, SHAPE, folder)
    assert job.preprocessing
    calibration = folder / "prepared.npy"
    np.save(calibration, job.preprocessing.apply(np.load(job.calibration)))
    made = list(peer_tools.make_int8(Path(job.source), calibration, folder / "tools"))
    for plugin in PLUGINS:
        peers = [(tool.name, tool.file) for tool in made if tool.plugin == plugin and not tool.failure]
        for tool in made:
            if tool.failure and tool.plugin == plugin:
                yield [network, plugin, tool.name, "not made", tool.failure.seen, ""], True
        files = [*ours[plugin], *peers]
        latencies = workers.race(plugin, RaceTask(tuple(str(path) for _, path in files), seconds))
        times = {name: latency for (name, _), latency in zip(files, latencies, strict=True)}
        candidates = [name for name, _ in ours[plugin] if name != "fp32"]
        chosen = _chosen({name: times[name] for name in candidates})
        best = min((times[name] for name, _ in peers), default=math.inf)
        for name in ("fp32", chosen, *(name for name, _ in peers)):
            called = f"edgebench ({name})" if name == chosen else name
            ratio = f"{times[name] / best:.2f}" if name == chosen else ""
            row = [network, plugin, called, f"{times[name] * 1e3:.2f}", f"{times['fp32'] / times[name]:.2f}", ratio]
            yield row, name != chosen or times[name] <= SLOWER_BY * best


def _chosen(times: dict[str, float]) -> str:
    """As export does where all agree equally well with the parent: the first, unless another is clearly faster."""
    plain = next(iter(times))
    fastest = min(times, key=lambda name: times[name])
    return fastest if times[fastest] < (1 - FASTER_BY) * times[plain] else plain


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="for the speed; none to leave it out")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each file")
    parser.add_argument("--checkpoints", nargs="*", type=Path, default=[], help="trained networks, for the accuracy")
    parser.add_argument("--max-drop", type=float, help="as for `edgebench export`")
    chosen = parser.parse_args(arguments)
    print(report.conditions(), flush=True)
    speeds = {name: partial(speed, name, seconds=chosen.seconds) for name in chosen.networks}
    rights = {path.stem: partial(right.rows, path, max_drop_points=chosen.max_drop) for path in chosen.checkpoints}
    states = [
        *report.printed(SPEED_HEADER, SPEED_WIDTHS, speeds),
        *report.printed(right.HEADER, right.WIDTHS, rights),
    ]
    return 1 if None in states else 0 if all(states) else 3


if __name__ == "__main__":
    sys.exit(main())
