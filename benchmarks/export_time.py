"""How long and how much memory exporting a trained network in six formats takes, against the tools one after another.

Turns: `edgebench export` of ONNX and TFLite in fp32, fp16 and INT8, without its cache, then the same six files by
`benchmarks.peer_tools` (a process for each step; without onnx2tf, which would make three of them a second time).
edgebench also tries every way to find ranges, and runs each file over the whole test split; the tools do neither.
Exit 3 if it takes more than 0.7 of their time, or more than 3 GB.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import peer_tools, report
from edgebench import checkpoint, data
from edgebench.errors import UserError

FORMATS = "onnx-fp32,onnx-fp16,onnx-int8,tflite-fp32,tflite-fp16,tflite-int8"
STEPS = tuple(step for step in peer_tools.STEPS if step != "onnx2tf")
LARGEST_SHARE = 0.7
LARGEST_BYTES = 3_000_000_000
LOOK_S = 0.1
HEADER = ("what", "seconds", "share of the tools' time", "peak memory, GB")


@dataclass(frozen=True)
class Cost:
    seconds: float
    peak_bytes: int


def cost(commands: Sequence[Sequence[str]]) -> Cost:
    """Of running these one after another. peak_bytes: proportional set size of all processes together, looked at often.

    Raises UserError for one that fails.
    """
    started, peak = time.perf_counter(), 0
    for command in commands:
        with tempfile.TemporaryFile() as log:
            process = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            while process.poll() is None:
                peak = max(peak, _held(process))
                time.sleep(LOOK_S)
            if process.returncode:
                log.seek(0)
                raise UserError(" ".join(command[:4]), log.read()[-500:].decode(errors="replace"), "Run it by hand")
    return Cost(time.perf_counter() - started, peak)


def _held(process: psutil.Popen) -> int:
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_full_info().pss
    except psutil.Error:
        return 0  # one of them ended meanwhile; the next look counts
    return total


def turn(source: Path, calibration: Path, folder: Path) -> tuple[Cost, Cost]:
    ours = [
        sys.executable,
        "-c",
        "from edgebench.cli import main; main()",
        "export",
        str(source),
        "--formats",
        FORMATS,
        "--no-cache",
    ]
    tools = folder / "tools"
    tools.mkdir()
    return (
        cost([[*ours, "--out", str(folder / "bundle")]]),
        cost([peer_tools.command(step, source, calibration, tools) for step in STEPS]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_time", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a trained network, e.g. resnet18")
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args(arguments)
    print(report.conditions() + "\n", flush=True)
    about = checkpoint.load(chosen.checkpoint).about
    images = data.load(about.dataset)
    turns = []
    try:
        for _ in range(chosen.turns):
            with tempfile.TemporaryDirectory() as folder:
                calibration = Path(folder) / "calibration.npy"
                np.save(calibration, about.preprocessing.apply(images.calibration().images))
                turns.append(turn(chosen.checkpoint, calibration, Path(folder)))
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    share = statistics.median(ours.seconds / tools.seconds for ours, tools in turns)
    rows = []
    for position, name in enumerate(("edgebench export", "the tools, one after another")):
        seconds = statistics.median(pair[position].seconds for pair in turns)
        peak = max(pair[position].peak_bytes for pair in turns)
        rows.append([name, f"{seconds:.1f}", "1.00" if position else f"{share:.2f}", f"{peak / 1e9:.2f}"])
    print(
        f"{about.model} on {about.dataset}: {len(images.validation):,} validation, {len(images.test):,} test images\n"
    )
    report.print_table(HEADER, rows)
    held = share <= LARGEST_SHARE and max(ours.peak_bytes for ours, _ in turns) <= LARGEST_BYTES
    return 0 if held else 3


if __name__ == "__main__":
    sys.exit(main())
