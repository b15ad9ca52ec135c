"""Holds one runtime and one model, and does nothing else: the process whose time and memory are measured.

It answers requests from its job and sleeps in between.
"""

from __future__ import annotations

import array
import base64
import contextlib
import gc
import os
import resource
import sys
import time
import traceback
from pathlib import Path

from . import pressure, runtimes, series
from .channel import Channel, Closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from .runtimes import RuntimeSession


SPIN_S = 0.05
WATCHED = 5


def main(arguments: list[str]) -> None:
    channel = Channel.stdio()
    worker = ModelWorker()
    gc.disable()  # a collection inside a timed call would be charged to the model
    try:
        while True:
            request = channel.receive()
            try:
                answer = getattr(worker, "do_" + request.pop("do"))(**request)
            except Exception as error:  # whatever a runtime raises is a finding about the artifact
                traceback.print_exc()
                said = "%s: %s" % (type(error).__name__, str(error).strip()[:2000])
                channel.send({"error": said, "kind": getattr(error, "kind", "error")})
            else:
                channel.send({"ok": answer}, *worker.take_values())
    except Closed:
        pass


class ModelWorker:
    def __init__(self) -> None:
        # What `time` has measured, until it is sent: a line of its own that the job copies without parsing it.
        self.values_ns: list[int] | None = None
        self._period_ns = 0
        self._session: RuntimeSession
        self._fed: list[bytes] = []
        self._refaults = pressure.refaults()

    def take_values(self) -> list[dict[str, list[int]]]:
        """What follows the answer, on a line of its own."""
        values_ns, self.values_ns = self.values_ns, None
        return [] if values_ns is None else [{"values_ns": values_ns}]

    def do_runtime(self, name: str, folder: str, options: dict[str, Any]) -> dict[str, Any]:
        """Import the runtime, from `folder` if the agent installed it there. Returns its facts.

        Processors are pinned first: threads inherit that from the one that starts them.
        """
        if options.get("cpus"):
            _pin(options["cpus"])
        if folder:
            sys.path.insert(0, folder)
        self._runtime = runtimes.module(name)
        self._device = options["device"]
        self._clock_ns = getattr(self._runtime, "clock_ns", time.perf_counter_ns)
        found: dict[str, Any] = self._runtime.facts(options)
        return found

    def do_load(self, path: str, options: dict[str, Any], golden: Sequence[str] = ()) -> dict[str, Any]:
        """Load the model and run it once, on the first of the golden inputs or on made-up ones. Returns what a record
        says of that. golden: a file for each input, or ().

        threads: those started by loading and inferring, and this one, which works too; idle_threads: all others of this
        process; cpus: where they may run.
        spun_s: of the runtime's pool, if it has one.
        """
        clock = self._clock_ns
        others = _threads()
        started = clock()
        self._session = self._runtime.load(path, {**options, "golden": golden})
        loaded = clock()
        specs = self._session.inputs()
        self._feed([_first(golden[index], spec) if golden else _made_up(spec) for index, spec in enumerate(specs)])
        ready = clock()
        self._session.invoke()
        inferred = clock()
        helpers: int = getattr(self._session, "helpers", 0)
        spun_s = _spun_s() if options["threads"] > 1 else None
        running, cpus = _threads(), sorted(os.sched_getaffinity(0))
        threads = max(1, 1 + len(running - others) - helpers)
        if threads > options["threads"]:  # some may have been for loading only
            threads = max(options["threads"], 1 + self._working(running - others))
        inputs = self._session.inputs()
        return {
            "load_ns": loaded - started,
            "first_inference_ns": inferred - ready,
            "runtime": {
                "notes": self._session.notes(),
                "threads": threads,
                "idle_threads": len(running) - threads,
                "cpus": cpus,
                "spun_s": spun_s,
            },
            "fed": [{name: one[name] for name in ("name", "shape", "dtype")} for one in inputs],
            "signature": getattr(self._session, "signature", ""),
        }

    def _working(self, threads: set[str]) -> int:
        """How many of them the processor ran in a few more inferences; all of them where the kernel does not say."""
        before = {one: _ran_ns(one) for one in threads}
        for _ in range(WATCHED):
            self._session.invoke()
        return sum(_ran_ns(one) != before[one] or not before[one] for one in threads)

    def do_golden(self, inputs: list[str], count: int) -> dict[str, Any]:
        """Run each golden sample once. Returns the numbers of every output, in order: base64 of float32 ("f") or of
        whole numbers, int64 ("q").

        inputs: for each input a file of `count` samples in the model's own dtype and layout; the last one stays fed, so
        that what is timed afterwards is a real image.
        """
        outputs: list[array.array[Any]] = []
        for _ in self._inferred(inputs, count):
            answers = [_numbers(one) for one in self._session.arrays()]
            outputs = outputs or [array.array(one.typecode) for one in answers]
            for output, values in zip(outputs, answers):
                output.extend(values)
        return {"outputs": [[one.typecode, base64.b64encode(one.tobytes()).decode()] for one in outputs]}

    def do_classify(self, inputs: list[str], count: int) -> list[int]:
        """Run each of `count` samples once. Returns the places of the largest numbers of the first output, the first of
        equal ones.
        """
        logits = (_numbers(self._session.arrays()[0]) for _ in self._inferred(inputs, count))
        return [one.index(max(one)) for one in logits]

    def do_reduce(
        self, inputs: list[str], count: int, how: dict[str, Any], pixels: dict[str, Any] | None
    ) -> list[dict[str, Any]]:
        """Run each of `count` samples once. Returns what is kept of the answers (reductions.py).

        pixels: how bytes of images become the input (pixels.py); None: the file holds samples as the model takes them.
        """
        from . import reductions  # not in processes whose memory is measured

        inferred = self._of_pixels(inputs[0], count, pixels) if pixels else self._inferred(inputs, count)
        return reductions.packed([reductions.reduced(self._session.arrays(), how) for _ in inferred])

    def _of_pixels(self, images: str, count: int, how: dict[str, Any]) -> Iterator[None]:
        from .pixels import prepared

        height, width, channels = how["shape"]
        with Path(images).open("rb") as stream:
            for _ in range(count):
                self._session.feed(0, prepared(stream.read(height * width * channels), how))
                self._session.invoke()
                yield

    def _inferred(self, inputs: list[str], count: int) -> Iterator[None]:
        specs = self._session.inputs()
        if len(inputs) != len(specs):
            raise ValueError("samples for %d inputs, the model has %d" % (len(inputs), len(specs)))
        with contextlib.ExitStack() as held:
            streams = [held.enter_context(Path(one).open("rb")) for one in inputs]
            for stream, spec in zip(streams, specs):
                size = os.fstat(stream.fileno()).st_size
                if size != count * spec["bytes"]:
                    raise ValueError("a sample has %d bytes, the model takes %d" % (size // count, spec["bytes"]))
            for _ in range(count):
                self._feed([stream.read(spec["bytes"]) for stream, spec in zip(streams, specs)])
                self._session.invoke()
                yield

    def _feed(self, inputs: list[bytes]) -> None:
        for index, data in enumerate(inputs):
            self._session.feed(index, data)
        self._fed = inputs

    def do_layers(self, path: str, options: dict[str, Any], scratch: str, seconds: float) -> dict[str, Any]:
        """How long each layer takes with what is fed now, in a second session; what a record says of that."""
        from . import layers  # not in processes whose memory is measured

        return layers.profile(self._runtime, self._session, self._fed, (path, options, scratch), seconds)

    def do_peaks(self, options: dict[str, Any], scratch: str, seconds: float) -> list[dict[str, Any]]:
        """The most that the runtime and the memory do, with one thread and with those of `options`."""
        from . import peaks

        return peaks.probe(self._runtime, options, scratch, seconds)

    def do_pace(self, period_ns: int) -> None:
        """From now on start an inference every `period_ns`, and sleep in between."""
        self._period_ns = period_ns

    def do_time(self, count: int, block: int, least_s: float = 0.0) -> dict[str, Any]:
        """`count` timed values in ns, each over `block` inferences in a row; they follow on a line of their own.

        More are taken until they have lasted for `least_s`. Returns a summary for the job: their number and median
        after the cold start, their sum, how long it all took, and how many were too late for the pace.
        """
        clock = self._clock_ns
        fill = self._paced if self._period_ns else self._one_by_one if block == 1 else self._in_blocks(block)
        values = [0] * count
        started = clock()
        missed = fill(values)
        end = started + int(least_s * 1e9)
        while clock() < end:
            more = [0] * max(1, count // 100)
            fill(more)
            values += more
        duration_ns = clock() - started
        self.values_ns = values
        # With a pace every inference starts cold: that is what is measured.
        settled = values if self._period_ns else values[series.cold_prefix(values) :]
        return {
            "round": {"start_ns": started, "duration_ns": duration_ns, "missed": missed},
            "median_ns": series.median(settled),
            "settled": len(settled),
            "sum_ns": sum(values),
        }

    def _one_by_one(self, values: list[int]) -> None:
        clock, invoke = self._clock_ns, self._session.invoke
        for index in range(len(values)):
            before = clock()
            invoke()
            values[index] = clock() - before

    def _in_blocks(self, block: int) -> Callable[[list[int]], None]:
        def fill(values: list[int]) -> None:
            clock, invoke = self._clock_ns, self._session.invoke
            repeats = range(block)
            for index in range(len(values)):
                before = clock()
                for _ in repeats:
                    invoke()
                values[index] = clock() - before

        return fill

    def _paced(self, values: list[int]) -> int:
        """Returns how many inferences were not finished when the next was due; a late one shifts those that follow."""
        clock, invoke = self._clock_ns, self._session.invoke
        sleep = getattr(self._session, "sleep", time.sleep)
        missed, due = 0, clock()
        for index in range(len(values)):
            early_ns = due - clock()
            if early_ns > 0:
                sleep(early_ns / 1e9)
            before = clock()
            invoke()
            done = clock()
            values[index] = done - before
            due += self._period_ns
            if done > due:
                missed, due = missed + 1, done
        return missed

    def do_run_for(self, seconds: float) -> dict[str, int]:
        """Infer for at least `seconds`, for an energy window. Returns the exact count, start and duration."""
        clock = self._clock_ns
        invoke = self._session.invoke
        started = clock()
        end = started + int(seconds * 1e9)
        count = 0
        if self._period_ns:
            count = max(1, round(seconds * 1e9 / self._period_ns))
            self._paced([0] * count)
            self._sleep_until(end)
        while clock() < end:
            invoke()
            count += 1
        return {"inferences": count, "start_ns": started, "duration_ns": clock() - started}

    def _sleep_until(self, end_ns: int) -> None:
        """The rest of the last period belongs to its inference."""
        left_ns = end_ns - self._clock_ns()
        while left_ns > 0:
            getattr(self._session, "sleep", time.sleep)(left_ns / 1e9)
            left_ns = end_ns - self._clock_ns()

    def do_memory(self) -> dict[str, int]:
        """Memory of this process in bytes: rss, its high-water mark since the last reset, pss, uss and swapped out.

        When memory is short, pages are evicted and all but the last of these shrink. Hence also how often this process
        had to read pages (major_faults), and how many evicted pages were soon read again (refaults, of its cgroup where
        the kernel counts them, else of the device), both since this process started. Of a GPU, what its driver and the
        runtime's allocator report (gpu_memory.py).
        """
        status = _kilobytes("/proc/self/status")
        rollup = _kilobytes("/proc/self/smaps_rollup")
        sizes = {
            "rss_bytes": status.get("VmRSS"),
            "high_water_bytes": status.get("VmHWM"),
            "pss_bytes": rollup.get("Pss"),
            "uss_bytes": rollup.get("Private_Clean", 0) + rollup.get("Private_Dirty", 0) if rollup else None,
            "swap_bytes": rollup.get("Swap", status.get("VmSwap")),
            "major_faults": resource.getrusage(resource.RUSAGE_SELF).ru_majflt,
            "refaults": self._refaults_since_start(),
            **self._gpu_memory(),
        }
        return {name: size for name, size in sizes.items() if size is not None}

    def _refaults_since_start(self) -> int | None:
        now = pressure.refaults()
        return None if now is None or self._refaults is None else now - self._refaults

    def _gpu_memory(self) -> dict[str, int | None]:
        if self._device != "cuda":
            return {}
        from . import gpu_memory  # not in processes without a GPU, whose memory it would count as

        allocated: dict[str, int] = getattr(self._runtime, "gpu_allocated", dict)()
        return {"gpu_process_bytes": gpu_memory.process_bytes(os.getpid()), **allocated}

    def do_reset_high_water(self) -> bool:
        """Reset VmHWM to the current size (Linux >= 4.0); False where the kernel refuses.

        The allocator's own mark is reset as well, if it has one.
        """
        getattr(self._runtime, "reset_gpu_high_water", bool)()
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return False
        return True


def _spun_s() -> float:
    """Processor seconds that the threads of a pool use for waiting, in the SPIN_S after an inference."""
    before_s = time.process_time()
    time.sleep(SPIN_S)
    return time.process_time() - before_s


def _numbers(output: Any) -> array.array[Any]:
    """All numbers of an output: float32, or int64 for whole ones."""
    if isinstance(output, array.array):
        return output
    code, dtype = ("q", "int64") if output.dtype.kind in "biu" else ("f", "float32")
    values: array.array[Any] = array.array(code)
    values.frombytes(output.astype(dtype).tobytes())
    return values


def _pin(cpus: list[int]) -> None:
    here = sorted(os.sched_getaffinity(0))
    if not set(cpus) <= set(here):
        raise ValueError("this device has processors %s, not %s: correct `cpus`" % (here, list(cpus)))
    os.sched_setaffinity(0, cpus)


def _threads() -> set[str]:
    return {task.name for task in Path("/proc/self/task").iterdir()}


def _ran_ns(thread: str) -> str:
    """How long the processor has run a thread of this process; "" where it cannot be read."""
    try:
        return Path("/proc/self/task", thread, "schedstat").read_text().split()[0]
    except (OSError, IndexError):
        return ""


def _first(path: str, spec: dict[str, Any]) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(spec["bytes"])


def _made_up(spec: dict[str, Any]) -> bytes:
    """Bytes for an input that was not given: small positive values, the same every time."""
    if spec["dtype"] == "float32":
        count = spec["bytes"] // 4
        return array.array("f", ((index * 37 % 101) / 101 for index in range(count))).tobytes()
    if spec["dtype"] in ("int8", "uint8"):
        return bytes(index * 37 % 101 for index in range(spec["bytes"]))
    return bytes(spec["bytes"])


def _kilobytes(path: str) -> dict[str, int]:
    """The `Name:  123 kB` lines of a /proc file, in bytes; empty where it cannot be read."""
    sizes: dict[str, int] = {}
    try:
        text = Path(path).read_text()
    except OSError:
        return sizes
    for line in text.splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            sizes[name] = int(words[0]) * 1024
    return sizes
