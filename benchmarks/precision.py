"""How often the computed precision that records name is right: networks run in a known one, and what is made of it.

    .venv/bin/python -m benchmarks.precision                 # networks that had no part in the calibration
    .venv/bin/python -m benchmarks.precision --fit           # the calibration: prints USUAL of precision_errors.py

Right: the precision that it was computed in is among those that are named. Named alone: no other is. Exits with 3 if
fewer than 99 % are right, or if one that is not fp32 is called fp32.
"""

from __future__ import annotations

import argparse
import base64
import logging
import math
import statistics
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmarks import precision_networks, precision_runs, report
from benchmarks.precision_runs import PrecisionRun
from edgebench.analysis import computed_precision, precision_errors
from edgebench.analysis.computed_precision import ComputedPrecision, SeenOutput

CALIBRATION = range(120)
HELD_OUT = range(5000, 5060)
REAL = ("ultralight", "mobilenet_v2", "resnet18", "efficientnet_b0", "shufflenet_v2_x0_5", "squeezenet1_1")
_LEAST_RIGHT = 0.99


def runs(seeds: Iterable[int], real: Sequence[str]) -> Iterator[PrecisionRun]:
    for seed in seeds:
        yield from precision_runs.runs(precision_networks.draw(seed))
    for name in real:
        yield from precision_runs.runs(precision_networks.real(name, HELD_OUT[0]))


def seen(run: PrecisionRun) -> list[SeenOutput]:
    """As a record has it."""
    grids = [computed_precision.grid_of(_base64(one)) for one in run.answers]
    return [SeenOutput(*one) for one in zip(run.reference_errors, run.exporter_errors, grids, strict=True)]


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def named(run: PrecisionRun) -> ComputedPrecision:
    """By the answers alone; tf32 is among the possible ones where it was emulated, as it would be on a GPU."""
    found, unknown = computed_precision.likelihoods(seen(run), run.file, gpu=run.precision == "tf32")
    return ComputedPrecision({}, {}, found, unknown)


def fit(found: Iterable[PrecisionRun]) -> list[str]:
    """Lines of USUAL."""
    points: dict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
    for run in found:
        if run.file == "fp16":
            continue  # its own rounding: the exporter's error says what is usual
        worst = computed_precision.worst(seen(run))
        stored = worst.grid not in ("none", "few")
        exporter = worst.exporter if run.file == "fp32" else None
        points[run.precision, stored].append((_log(worst.error), _log(exporter or 0.0)))
    return [_usual(*key, np.array(values)) for key, values in points.items() if len(values) >= 20]


def _log(error: float) -> float:
    return math.log10(max(error, precision_errors.LEAST))


def _usual(precision: str, stored: bool, values: np.ndarray) -> str:
    errors, known = values[:, 0], values[values[:, 1] > math.log10(precision_errors.LEAST)]
    slope, constant, around = 0.0, errors.mean(), errors.std()
    if len(known):
        slope, constant = np.polyfit(known[:, 1], known[:, 0], 1)
        around = np.std(known[:, 0] - slope * known[:, 1] - constant)
    numbers = (errors.mean(), errors.std(), constant, slope, around)
    shown = ", ".join(f"{float(one):.2f}" for one in numbers)
    return f'    Usual("{precision}", {stored}, {shown}),  # {len(errors)} runs'


def table(found: Iterable[PrecisionRun]) -> tuple[list[list[str]], float, int]:
    """Rows by way, the share that is right, and how many are wrongly called fp32."""
    by_way: dict[tuple[str, str], list[tuple[PrecisionRun, ComputedPrecision]]] = defaultdict(list)
    for run in found:
        by_way[run.precision, run.way].append((run, named(run)))
    rows, right, count, called_fp32 = [], 0, 0, 0
    for (precision, way), every in sorted(by_way.items()):
        hits = [one for _, one in every if precision in one.names]
        alone = [one for one in hits if len(one.names) == 1]
        worst = [one.reference_errors for one, _ in every]
        errors = [max(one) for one in worst]
        others = sorted({other for _, one in every for other in one.names if other != precision})
        right, count = right + len(hits), count + len(every)
        called_fp32 += sum(one.names == ("fp32",) and precision != "fp32" for _, one in every)
        rows.append(
            [
                precision, way, str(len(every)), f"{min(errors):.1e} to {max(errors):.1e}",
                f"{statistics.median(errors):.1e}", f"{len(hits) / len(every):.1%}", f"{len(alone) / len(every):.0%}",
                ", ".join(others),
            ]
        )  # fmt: skip
    return rows, right / count, called_fp32


HEADER = ("computed in", "by", "runs", "error", "median", "right", "named alone", "others that were named")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="print what the calibration's networks show")
    parser.add_argument("--networks", type=int, help="only so many random ones")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    seeds = (CALIBRATION if asked.fit else HELD_OUT)[: asked.networks]
    found = list(runs(seeds, () if asked.fit else REAL))
    print(report.conditions(("torch", "onnxruntime", "openvino", "ncnn")) + "\n")
    if asked.fit:
        print("\n".join(fit(found)))
        return
    rows, right, called_fp32 = table(found)
    report.print_table(HEADER, rows)
    print(f"\nRight: {right:.1%} of {len(found)} runs; {called_fp32} in another precision were called fp32.")
    sys.exit(0 if right >= _LEAST_RIGHT and not called_fp32 else 3)


if __name__ == "__main__":
    main()
