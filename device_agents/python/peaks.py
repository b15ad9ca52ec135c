"""What the device can do at most, for comparison with what a network attains: operations a second and bytes a second.

By a large matrix product in the runtime that is measured, and by copying memory; with one thread, with those of the
job, and with one for each processor that it may use. In a process of its own, after everything else.
"""

from __future__ import annotations

import base64
import ctypes
import os
import re
import threading
import time
import zlib
from pathlib import Path

from . import series
from .peak_models import PEAK_MODELS, SIZE
from .process import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType
    from typing import Any

    from .artifact_run import ArtifactRun
    from .journal import Notebook

    Plan = Mapping[str, Any]

# A rate is the best of what fits into this part of the plan's time for layers. What takes four times as long runs once.
SHARE = 1 / 8
MOST_REPEATS = 100
LEAST_REPEATS = 5
_KB = 1024
# A copy is larger than the largest cache by this factor, within these bounds and a part of the free memory.
BEYOND_CACHE = 4
LEAST_COPIED, MOST_COPIED = 16 << 20, 256 << 20
FREE_SHARE = 8
# Of a runtime's options: those that say how it computes, not those of one file.
_HOW = ("threads", "device", "provider", "cpus", "precision")


def measure_peaks(artifacts: Sequence[ArtifactRun], plan: Plan, journal: Notebook) -> None:
    """Once for each runtime and its options; every artifact that was measured so is told. What cannot be probed is
    absent.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for artifact in artifacts:
        if not plan["layers_s"] or artifact.worker is None or artifact.worker.pid is None:
            continue
        alike = repr((artifact.spec["runtime"], _how(artifact.spec["options"])))
        if alike not in found:
            found[alike] = _peaks(artifact, plan)
        if found[alike]:
            journal.write("peaks", artifact=artifact.index, peaks=found[alike])


def _peaks(artifact: ArtifactRun, plan: Plan) -> list[dict[str, Any]]:
    """In a worker of its own: whatever the probe breaks, the artifact keeps its numbers."""
    try:
        with artifact.start_worker("peaks") as worker:
            artifact.import_runtime(worker, plan["worker_timeout_s"])
            asked: dict[str, Any] = {"options": _how(artifact.spec["options"]), "scratch": str(artifact.folder)}
            asked["seconds"] = SHARE * plan["layers_s"]
            found: list[dict[str, Any]] = worker.ask("peaks", plan["worker_timeout_s"], **asked)
            return found
    except WorkerFailed:
        return []


def probe(runtime: ModuleType, options: dict[str, Any], scratch: str, seconds: float) -> list[dict[str, Any]]:
    """In the worker, which is pinned. seconds: for each rate. scratch: a folder for files. [] for a GPU, and for a
    device that is not the agent's machine: neither's memory is what would be copied here.
    """
    if options["device"] != "cpu" or hasattr(runtime, "open_device"):
        return []
    counts = sorted({1, options["threads"], len(os.sched_getaffinity(0))})
    return [_peak(runtime, {**options, "threads": count}, scratch, seconds) for count in counts]


def _how(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _HOW if name in options}


def _peak(runtime: ModuleType, options: dict[str, Any], scratch: str, seconds: float) -> dict[str, Any]:
    name = runtime.__name__.rpartition(".")[2].replace("_", "-")
    threads = options["threads"]
    found: dict[str, Any] = {"threads": threads}
    how = "%s: product of %d x %d matrices, 2 operations a multiply-accumulate" % (name, SIZE, SIZE)
    for kind, field in (("float", "float_flops"), ("int8", "int8_ops")):
        try:
            product = _product(runtime, kind, options, Path(scratch))
            if product is not None:
                found[field] = _rate(product, 2 * SIZE**3, how, seconds)
        except Exception:  # a build without INT8, say: what it cannot do is absent
            continue
    found["bytes_per_s"] = copy_rate(threads, seconds)
    return found


def _product(runtime: ModuleType, kind: str, options: dict[str, Any], scratch: Path) -> Callable[[], object] | None:
    """What computes it once; None where the runtime has none of this kind."""
    if hasattr(runtime, "product"):
        own: Callable[[], object] | None = runtime.product(kind, SIZE, options, scratch)
        return own
    suffix = next((one for one in runtime.SUFFIXES if one in PEAK_MODELS), "")
    if kind not in PEAK_MODELS.get(suffix, ()):
        return None
    path = scratch / ("peak-%s%s" % (kind, suffix))
    path.write_bytes(zlib.decompress(zlib.decompress(base64.b64decode(PEAK_MODELS[suffix][kind]))))
    try:
        session = runtime.load(str(path), options)
        session.feed(0, bytes(session.inputs()[0]["bytes"]))
    finally:
        path.unlink()
    invoke: Callable[[], object] = session.invoke
    return invoke


def copy_rate(threads: int, seconds: float) -> dict[str, Any]:
    """Each thread copies its part of a block of memory, by the C library, which lets the others run meanwhile."""
    part = _copied_bytes() // threads // 4096 * 4096
    held = [((ctypes.c_char * part)(), (ctypes.c_char * part)()) for _ in range(threads)]
    for source, _ in held:
        ctypes.memset(source, 1, part)  # else it would be one page of zeros

    def copy() -> None:
        helpers = [threading.Thread(target=ctypes.memmove, args=(to, source, part)) for source, to in held[1:]]
        for one in helpers:
            one.start()
        ctypes.memmove(held[0][1], held[0][0], part)
        for one in helpers:
            one.join()

    how = "copies of %.0f MB, read and written" % (part * threads / 1e6)
    return _rate(copy, 2 * part * threads, how, seconds)


def _rate(run: Callable[[], object], work: int, how: str, seconds: float) -> dict[str, Any]:
    """The best of several, and how far their median is below it."""
    run()
    values: list[int] = []
    end = time.perf_counter() + seconds
    while not values or (len(values) < MOST_REPEATS and (time.perf_counter() < end or _soon(values, seconds))):
        before = time.perf_counter_ns()
        run()
        values.append(max(1, time.perf_counter_ns() - before))
    best = min(values)
    return {
        "best": work * 1e9 / best, "spread": 1.0 - best / series.median(values), "repeats": len(values), "how": how,
    }  # fmt: skip


def _soon(values: Sequence[int], seconds: float) -> bool:
    return len(values) < LEAST_REPEATS and sum(values) < 4e9 * seconds


def _copied_bytes() -> int:
    wanted = max(LEAST_COPIED, min(MOST_COPIED, BEYOND_CACHE * _cache_bytes()))
    try:
        known = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return wanted
    return min(wanted, int(known.group(1)) * _KB // FREE_SHARE) if known else wanted


def _cache_bytes() -> int:
    """Of the largest cache that the first processor sees; 0 where the kernel does not say."""
    sizes = [0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        if text.endswith("K") and text[:-1].isdigit():
            sizes.append(int(text[:-1]) * _KB)
    return max(sizes)
