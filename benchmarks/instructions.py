"""What fp32 and INT8 files cost in instructions of ARM cores, on emulated boards.

Random weights, one thread. The counts are those that `edgebench export --for` goes by: --write puts them there, each
network's as soon as it is counted, in place of what was there of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks import networks, report
from edgebench import deploy
from edgebench.device.emulator import BOARDS
from edgebench.errors import UserError
from edgebench.networks.models import InputShape
from edgebench.progress import Terminal
from edgebench.recommend import counting, counts
from edgebench.recommend.advice import kind_of
from edgebench.recommend.counts import Count, CountTable
from edgebench.schema import checkpoint
from exporters import ConversionJob, Kernels
from exporters.inspect import LookTask
from exporters.workers.process import WorkerPool

SHAPES: dict[str, InputShape] = {
    "mlp-small": (1, 28, 28),
    "mlp-medium": (1, 28, 28),
    "ultralight": (3, 32, 32),
    "res-se-30k": (3, 32, 32),
    "mobilenetv2": (3, 32, 32),
    "efficientnet-b0": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "vgg16": (3, 32, 32),
}
FORMS = (Kernels(x86=False), Kernels(signed=True, x86=False), Kernels())
VARIANTS = ("onnx-fp32", *(f"onnx-int8-{one.form}" for one in FORMS), "tflite-fp32", "tflite-int8")
HEADER = ("network", "board", "ONNX fp32", "U8S8", "S8S8", "U8S8 wide", "TFLite fp32", "TFLite INT8")


def count_of(name: str, shape: InputShape, boards: Sequence[str], folder: Path) -> Iterator[Count]:
    workers = WorkerPool(folder)
    job = networks.job(name, shape, folder)
    files = {f"{name}-{variant}": path for variant, path in _files(job, workers)}
    size = checkpoint.load(Path(job.source)).about.size
    kind = kind_of(workers.look(LookTask(str(files[f"{name}-onnx-fp32"]), "onnx", "read", str(folder))))
    sources = []
    for called, path in files.items():
        (source,) = deploy.artifacts_at([path])
        sources.append(deploy.LocalArtifact(msgspec.structs.replace(source.artifact, name=called), source.folder))
    for board in boards:
        counted = counting.count(sources, board, progress=Terminal(Console(stderr=True)))
        for source in sources:
            number, runtime = counted[source.artifact.name]
            variant = source.artifact.name.removeprefix(f"{name}-")
            format_, precision, *form = variant.split("-", 2)
            yield msgspec.convert(
                {
                    "board": board, "network": name, "input_shape": shape, "macs": size.macs, "kind": kind,
                    "format": format_, "precision": precision, "form": "".join(form), "runtime": runtime,
                    "instructions": number,
                },
                Count,
            )  # fmt: skip


def _files(job: ConversionJob, workers: WorkerPool) -> Iterator[tuple[str, Path]]:
    forms = tuple(msgspec.structs.replace(networks.PLAIN, kernels=form) for form in FORMS)
    for plugin, schemes in (("onnx", forms), ("tflite", (networks.PLAIN,))):
        with workers.start("convert", plugin) as converter:
            for line in converter.answers(msgspec.structs.replace(job, schemes=schemes)):
                assert line.made
                form = f"-{line.made.scheme.kernels.form}" if plugin == "onnx" and line.made.scheme else ""
                yield f"{plugin}-{line.made.precision}{form}", Path(line.made.file)


def rows(found: Sequence[Count]) -> Iterator[list[str]]:
    """Millions of instructions; a row for each network and board."""
    for network, board in dict.fromkeys((one.network, one.board) for one in found):
        numbers = {
            "-".join(filter(None, (one.format, one.precision, one.form))): one.instructions
            for one in found
            if (one.network, one.board) == (network, board)
        }
        yield [network, board, *(f"{numbers[variant] / 1e6:.3g}" for variant in VARIANTS)]


def keep(counted: Sequence[Count]) -> None:
    """In the table that `edgebench export --for` reads; counts of other networks and boards stay."""
    table = counts.table()
    again = {(one.network, one.board) for one in counted}
    others = [one for one in table.counts if (one.network, one.board) not in again]
    both = sorted([*others, *counted], key=lambda one: (list(SHAPES).index(one.network), one.board))
    table = CountTable(f"{datetime.now(UTC):%Y-%m-%d}", tuple(both))
    counts.TABLE.write_bytes(msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n")
    counts.table.cache_clear()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--boards", nargs="*", default=list(BOARDS), choices=BOARDS)
    parser.add_argument("--write", action="store_true", help=f"keep them in {counts.TABLE.name}")
    chosen = parser.parse_args(arguments)
    print(report.conditions() + "\n")
    found: list[Count] = []
    try:
        for name in chosen.networks:
            with tempfile.TemporaryDirectory() as folder:
                these = list(count_of(name, SHAPES[name], chosen.boards, Path(folder)))
            found += these
            if chosen.write:
                keep(these)
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    report.print_table(HEADER, list(rows(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
