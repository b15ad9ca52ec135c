"""Do the layers of a network add up to an inference? For files of any kind, in every runtime that reads them.

    python -m benchmarks.layers bundles/*/*.onnx bundles/*/*.tflite --seconds 5

An inference is the median of those without a profiler, in turns with those with it. On a machine with other work the
times of layers, means of their middle half, are interrupted less often than whole inferences: the last column holds
their sum against the quickest quarter of inferences.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from device_agents.python import layers, runtimes

HEADINGS = (
    "file", "runtime", "layers", "inference ms", "with the profiler", "sum ms", "sum / inference", "/ quickest quarter",
    "with parents",
)  # fmt: skip


def row(path: Path, name: str, seconds: float, shapes: dict[str, list[int]]) -> list[str]:
    module = runtimes.module(name)
    shapes = shapes if path.suffix == ".param" else {}
    options = {"threads": 1, "device": "cpu", "cpus": [], "shapes": shapes, "precision": "file"}
    plain = module.load(str(path), options)
    fed = [_made_up(one) for one in plain.inputs()]
    for index, data in enumerate(fed):
        plain.feed(index, data)
    taken: list[int] = []
    invoke = plain.invoke

    def timed() -> None:
        started = time.perf_counter_ns()
        invoke()
        taken.append(time.perf_counter_ns() - started)

    plain.invoke = timed
    with tempfile.TemporaryDirectory() as scratch:
        found = layers.profile(module, plain, fed, (str(path), options, scratch), seconds)
    shown = f"{path.parent.name.removeprefix('models-')}/{path.stem}"
    if found.get("reason"):
        return [shown, name, found["reason"]]
    total = sum(one["ns"] for one in found["layers"])
    whole, quick = found["plain_ns"], sorted(taken)[len(taken) // 4]
    named = sum(bool(one.get("parents")) for one in found["layers"])
    return [
        shown, name, str(len(found["layers"])), f"{whole / 1e6:.2f}", f"{found['profiled_ns'] / whole:.2f}",
        f"{total / 1e6:.2f}", f"{total / whole:.3f}", f"{total / quick:.3f}", str(named),
    ]  # fmt: skip


def _made_up(spec: dict[str, Any]) -> bytes:
    if spec["dtype"] == "float32":
        return (b"\0\0\0\x3f" * (spec["bytes"] // 4))[: spec["bytes"]]
    return bytes(spec["bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--shape", action="append", default=[], metavar="NAME=1x3x224x224", help="of .param files")
    asked = parser.parse_args()
    shapes = {one.partition("=")[0]: [int(size) for size in one.partition("=")[2].split("x")] for one in asked.shape}
    print("| " + " | ".join(HEADINGS) + " |\n|" + "---|" * len(HEADINGS), flush=True)
    folder = Path(runtimes.__file__).parent
    names = [one.stem for one in sorted(folder.glob("*.py")) if "\ndef profiled(" in one.read_text()]
    for path in asked.files:
        for name in names:
            try:
                if path.suffix in runtimes.module(name).SUFFIXES:
                    print("| " + " | ".join(row(path, name, asked.seconds, shapes)) + " |", flush=True)
            except Exception as error:  # of one runtime and one file; the others are of interest as well
                print(f"| {path.stem} | {name} | {type(error).__name__}: {str(error)[:200]} |", flush=True)


if __name__ == "__main__":
    main()
