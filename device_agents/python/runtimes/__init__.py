"""One file per runtime; the file's name is what targets.yaml and records call it.

    SUFFIXES        of the files it loads
    WHEELS          what deploy sends, without dependencies, where the device lacks it: {"package": "version rule"}
    TINY_MODEL      a complete model of a few bytes, base64, with the first suffix, which the probe loads; "" if none
    facts(options)  import it and check that it has the device; {"version": ..., ...}
    load(path, options) -> a session

options: {"threads": n, "device": "cpu" | "cuda" | "gpu", "provider": "" or its name, "cpus": [...],
"precision": "file" | "fast"}; file: compute in what the file was made in, whatever the runtime's default; fast: that
default. For load also "shapes" ({input: sizes}) and "signature" if asked for, and "golden", files that begin with a
golden input each, or none; the worker is already pinned. load raises Fallback if an accelerator does not take every
node. Where the wheels do not hold all that the options may ask for, needs_own_build(options) says so. A runtime for
GPUs has two more functions:

    gpu_allocated()            {"gpu_allocated_bytes", "gpu_allocated_high_water_bytes"} of its allocator
    reset_gpu_high_water()

One with a profiler has `profiled(path, options, scratch)`: a session that also has

    begin_layers()  inferences count from now on
    layers(count)   [{"name", "kind", "kernel", "precision", "parents", "shape", "ns"}] of so many, in the order in
                    which they ran; ns: a mean, or the values of single inferences; parents, shape: may be absent
    collect()       read what the profiler has, outside the timed spans; may be absent
    CUT             True: no profiler, the network runs layer by layer instead; may be absent

One for files of which peak_models.py has none has `product(kind, size, options, scratch)`: what computes a product of
two matrices of `size` x `size` once, in "float" or "int8", or None if it does not.

A session holds one loaded model, fed and ready:

    inputs()        [{"name", "shape", "dtype", "bytes"}]
    feed(i, data)   raw bytes of input i, in the model's own dtype and layout
    invoke()        one inference, result in host memory; an attribute prebound to whatever is quickest, because
                    each attribute look-up inside it would be charged to the model
    arrays()        the outputs of the last inference as numpy's arrays, dequantised
    notes()         what was really built: providers, delegates, {provider: nodes}; "precision", where the runtime has a
                    say in it: {"asked": {its own option: value}, "reported": {precision: layers}}, either may be absent
    helpers         how many of the threads that it started take no part in inferences; may be absent
    signature       which of the file's signatures runs, "" if it has only one; may be absent

A runtime whose device is not the agent's own machine (simulated) has three more:

    clock_ns()      what inferences are timed by, in ns; else time.perf_counter_ns
    session.sleep(seconds)      between the inferences of a plan with a pace; else time.sleep
    open_device(paths, folder) -> a device   (device.Device says what it can do); folder: the job's

A runtime that is a program, not a library (benchmark_model), has these instead of facts and load:

    start_worker(stderr_path, environment)  -> an ArtifactWorker (process.py)
    PROGRAM         its file in the runtime's folder; the target's key of the same name says where it comes from
    ANSWERS         False: its outputs cannot be read, so golden inputs and test sets are left out
    VALUES_MAX      how many values a round may have
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any, Protocol

    class RuntimeSession(Protocol):
        """One loaded model, fed and ready; see above."""

        @property
        def invoke(self) -> Callable[[], object]: ...
        def inputs(self) -> list[dict[str, Any]]: ...
        def feed(self, index: int, data: bytes) -> None: ...
        def arrays(self) -> list[Any]: ...
        def notes(self) -> dict[str, Any]: ...


class Fallback(RuntimeError):
    """Some nodes would run on a processor other than the one asked for: the times would be of neither."""

    kind = "fallback"


def fed_shape(name: str, shape: Sequence[int | str | None], given: dict[str, Sequence[int]]) -> list[int]:
    """The sizes that an input is fed with. shape: as in the file; an open size is None, a name, or less than 1.

    given: {input: sizes}, from the host. Without it only an open batch, the first of several axes, has a size: 1.
    """
    if name in given:
        sizes = [int(size) for size in given[name]]
        fixed = [own for own in shape if isinstance(own, int) and own > 0]
        fits = [size for own, size in zip(shape, sizes) if isinstance(own, int) and own > 0]
        if len(sizes) != len(shape) or fits != fixed:
            raise ValueError("input '%s' is %s, not %s" % (name, _shown(shape), _shown(sizes)))
        return sizes
    sizes = [size if isinstance(size, int) and size > 0 else 1 for size in shape]
    inner = shape[1:] if len(shape) > 1 else [] if _is_batch(shape) else shape
    if any(not isinstance(size, int) or size < 1 for size in inner):
        raise ValueError("input '%s' leaves sizes open, %s: give them with --shape" % (name, _shown(shape)))
    return sizes


def _is_batch(shape: Sequence[int | str | None]) -> bool:
    return bool(shape) and "batch" in str(shape[0]).lower()


def _shown(shape: Sequence[int | str | None]) -> str:
    sizes = [size if isinstance(size, str) or (size is not None and size > 0) else "?" for size in shape]
    return "[%s]" % ", ".join(map(str, sizes))


def module(name: str) -> ModuleType:
    """The runtime of this name."""
    return importlib.import_module("." + name.replace("-", "_"), __package__)
