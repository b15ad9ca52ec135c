"""How long and how much memory exporting a trained network in six formats takes, against the tools one after another.

Turns: `edgebench export` of ONNX and TFLite in fp32, fp16 and INT8, without its cache, then the same six files by
`benchmarks.peer_tools`, a process for each step: onnxruntime's tools, litert-torch with ai-edge-quantizer, and onnx2tf,
which makes three of the files a second time, as its users do; the share without it is shown too. edgebench also tries
every way to find ranges, and runs each file over the whole test split; the tools do neither.
Exit 3 if it takes more than 0.7 of their time, or more than 3 GB.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks import peer_tools, report
from edgebench.errors import UserError
from edgebench.networks import data
from edgebench.schema import checkpoint

FORMATS = "onnx-fp32,onnx-fp16,onnx-int8,tflite-fp32,tflite-fp16,tflite-int8"
AGAIN = "onnx2tf"  # makes what is there already
LARGEST_SHARE = 0.7
LARGEST_BYTES = 3_000_000_000
LOOK_S = 0.2
HEADER = ("turn", "what", "seconds", "edgebench's share", "peak memory, GB")
WIDTHS = (4, 16, 7, 17, 15)


@dataclass(frozen=True)
class Cost:
    seconds: float
    peak_bytes: int


def cost(command: Sequence[str]) -> Cost:
    """peak_bytes: proportional set size of the process and all that it starts, together, looked at often.

    Raises UserError if it fails.
    """
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as log:
        process = psutil.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                peak = max(peak, _held(process))
                time.sleep(LOOK_S)
        finally:
            _end(process)
        if process.returncode:
            log.seek(0)
            raise UserError(" ".join(command[:4]), log.read()[-500:].decode(errors="replace"), "Run it by hand")
    return Cost(time.perf_counter() - started, peak)


def _end(process: psutil.Popen) -> None:
    """If it still runs, this benchmark was interrupted: it takes its workers with it."""
    if process.poll() is None:
        process.terminate()
        process.wait()


def _held(process: psutil.Popen) -> int:
    total = 0
    with suppress(psutil.Error):  # it ended meanwhile
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += one.memory_full_info().pss
    return total


def turn(source: Path, calibration: Path, folder: Path, table: report.Table, number: int) -> tuple[Cost, Cost]:
    """edgebench, then the tools, a row for each command as it ends."""
    command = [sys.executable, "-c", "from edgebench.cli import main; main()", "export", str(source)]
    ours = cost([*command, "--formats", FORMATS, "--no-cache", "--out", str(folder / "bundle")])
    table.add([str(number), "edgebench export", f"{ours.seconds:.1f}", "", f"{ours.peak_bytes / 1e9:.2f}"])
    made = folder / "tools"
    made.mkdir()
    steps: dict[str, Cost] = {}
    for step in peer_tools.STEPS:
        steps[step] = one = cost(peer_tools.command(step, source, calibration, made))
        table.add([str(number), step, f"{one.seconds:.1f}", "", f"{one.peak_bytes / 1e9:.2f}"])
    for name, left_out in (("all tools", ""), (f"without {AGAIN}", AGAIN)):
        some = [one for step, one in steps.items() if step != left_out]
        tools = Cost(sum(one.seconds for one in some), max(one.peak_bytes for one in some))
        share = f"{ours.seconds / tools.seconds:.2f}"
        table.add([str(number), name, f"{tools.seconds:.1f}", share, f"{tools.peak_bytes / 1e9:.2f}"])
    return ours, Cost(sum(one.seconds for one in steps.values()), max(one.peak_bytes for one in steps.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_time", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="a trained network, e.g. resnet18")
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args(arguments)
    print(report.conditions() + "\n", flush=True)
    try:
        turns = list(_turns(chosen.checkpoint, chosen.turns))
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    share = statistics.median(ours.seconds / tools.seconds for ours, tools in turns)
    peak = max(ours.peak_bytes for ours, _ in turns)
    print(f"\nmedian share {share:.2f}, largest peak {peak / 1e9:.2f} GB")
    return 0 if share <= LARGEST_SHARE and peak <= LARGEST_BYTES else 3


def _turns(source: Path, count: int) -> Iterator[tuple[Cost, Cost]]:
    """Each printed as soon as it is over."""
    about = checkpoint.load(source).about
    images = data.load(about.dataset)
    print(
        f"{about.model} on {about.dataset}: {len(images.validation):,} validation, {len(images.test):,} test images\n"
    )
    table = report.Table(HEADER, WIDTHS)
    for number in range(1, count + 1):
        with tempfile.TemporaryDirectory() as folder:
            calibration = Path(folder) / "calibration.npy"
            np.save(calibration, about.preprocessing.apply(images.calibration().images))
            ours, tools = turn(source, calibration, Path(folder), table, number)
        yield ours, tools


if __name__ == "__main__":
    sys.exit(main())
