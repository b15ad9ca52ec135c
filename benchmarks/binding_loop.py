"""A bare loop over a runtime's binding in Python, for wheels without a library that C can call: see timed_loop.h.

python -m benchmarks.binding_loop RUNTIME MODEL THREADS INPUT
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np


def _ncnn(model: str, threads: int, given: str) -> tuple[str, Callable[[], object], Callable[[], Any]]:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, name, False)
    net.load_param(model)
    net.load_model(str(Path(model).with_suffix(".bin")))
    fed, asked = net.input_indexes()[0], net.output_indexes()[0]
    values = np.fromfile(given, "f4").reshape(_sizes(model))  # held: a Mat does not own it
    mat = ncnn.Mat(values).clone()
    held: list[Any] = [None]

    def infer() -> None:
        extractor = net.create_extractor()
        extractor.input(fed, mat)
        _, held[0] = extractor.extract(asked)

    return ncnn.__version__, infer, lambda: np.array(held[0])


def _sizes(model: str) -> list[int]:
    from device_agents.python.runtimes import _ncnn_param

    layers = _ncnn_param.layers(Path(model).read_text("utf-8"))
    ((_, shape, _),) = _ncnn_param.inputs(layers)
    return list(shape or ())[1:]


LOOPS = {"ncnn": _ncnn}


def main() -> None:
    runtime, model, threads, given = sys.argv[1:]
    version, infer, answers = LOOPS[runtime](model, int(threads), given)
    infer()
    print("ready", version, *(f"{one:.9g}" for one in answers().ravel()), flush=True)
    for line in sys.stdin:
        values = [0] * int(line)
        for index in range(len(values)):
            before = perf_counter_ns()
            infer()
            values[index] = perf_counter_ns() - before
        print(*values, flush=True)


if __name__ == "__main__":
    main()
