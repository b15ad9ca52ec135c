"""Holds one runtime and one model, and does nothing else: the process whose time and memory are measured.

It answers requests from its job and sleeps in between.
"""

import array
import base64
import gc
import sys
import time
import traceback
from pathlib import Path

from . import runtimes, series
from .channel import Channel, Closed

LOGITS = "f"  # outputs are compared as float32


def main(arguments):
    channel = Channel.stdio()
    worker = Worker()
    gc.disable()  # a collection inside a timed call would be charged to the model
    try:
        while True:
            request = channel.receive()
            try:
                answer = getattr(worker, "do_" + request.pop("do"))(**request)
            except Exception as error:  # whatever a runtime raises is a finding about the artifact
                traceback.print_exc()
                channel.send({"error": "%s: %s" % (type(error).__name__, str(error).strip()[:2000])})
            else:
                channel.send({"ok": answer})
                if worker.values_ns is not None:
                    channel.send({"values_ns": worker.values_ns})
                    worker.values_ns = None
    except Closed:
        pass


class Worker:
    def __init__(self):
        # What `time` has measured, until it is sent: a line of its own that the job copies without reading it.
        self.values_ns = None

    def do_runtime(self, name, folder, options):
        """Import the runtime, from `folder` where the agent brought it. Returns its facts."""
        if folder:
            sys.path.insert(0, folder)
        self._runtime = runtimes.module(name)
        self._clock_ns = getattr(self._runtime, "clock_ns", time.perf_counter_ns)
        return self._runtime.facts(options)

    def do_load(self, path, options):
        """Load the model and run it once on zeros or on made-up input. Returns times in ns and what was built."""
        clock = self._clock_ns
        started = clock()
        self._session = self._runtime.load(path, options)
        loaded = clock()
        for index, spec in enumerate(self._session.inputs()):
            self._session.feed(index, _made_up(spec))
        ready = clock()
        self._session.invoke()
        return {
            "load_ns": loaded - started,
            "first_inference_ns": clock() - ready,
            "inputs": self._session.inputs(),
            "notes": self._session.notes(),
        }

    def do_golden(self, inputs, count):
        """Run each golden sample once. Returns every output as float32, base64, in order.

        inputs: a file of `count` samples in the model's own dtype and layout; the last one stays fed, so
        that what is timed afterwards is a real image.
        """
        samples = Path(inputs).read_bytes()
        size = len(samples) // count
        expected = self._session.inputs()[0]["bytes"]
        if size != expected:
            raise ValueError("a golden sample has %d bytes, the model takes %d" % (size, expected))
        outputs = array.array(LOGITS)
        for index in range(count):
            self._session.feed(0, samples[index * size : (index + 1) * size])
            self._session.invoke()
            outputs.extend(self._session.logits())
        return {"outputs": base64.b64encode(outputs.tobytes()).decode()}

    def do_time(self, count, block):
        """`count` timed values in ns, each over `block` inferences in a row; they follow on a line of their own.

        Returns what the job has to know of them: their number and median after the cold start, and their sum.
        """
        clock = self._clock_ns
        invoke = self._session.invoke
        values = [0] * count
        started = clock()
        if block == 1:
            for index in range(count):
                before = clock()
                invoke()
                values[index] = clock() - before
        else:
            repeats = range(block)
            for index in range(count):
                before = clock()
                for _ in repeats:
                    invoke()
                values[index] = clock() - before
        self.values_ns = values
        settled = values[series.cold_prefix(values) :]
        return {
            "start_ns": started,
            "median_ns": series.median(settled),
            "settled": len(settled),
            "sum_ns": sum(values),
        }

    def do_run_for(self, seconds):
        """Infer for at least `seconds`, for an energy window. Returns the exact count, begin and duration."""
        clock = self._clock_ns
        invoke = self._session.invoke
        started = clock()
        end = started + int(seconds * 1e9)
        count = 0
        while clock() < end:
            invoke()
            count += 1
        return {"inferences": count, "start_ns": started, "duration_ns": clock() - started}

    def do_memory(self):
        """This process in bytes: rss now, its high-water mark since the last reset, pss and uss."""
        status = _kilobytes("/proc/self/status")
        rollup = _kilobytes("/proc/self/smaps_rollup")
        sizes = {
            "rss_bytes": status.get("VmRSS"),
            "high_water_bytes": status.get("VmHWM"),
            "pss_bytes": rollup.get("Pss"),
            "uss_bytes": rollup.get("Private_Clean", 0) + rollup.get("Private_Dirty", 0) if rollup else None,
        }
        return {name: size for name, size in sizes.items() if size is not None}

    def do_reset_high_water(self):
        """Let VmHWM start again from the present size (Linux >= 4.0); False where the kernel refuses."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            return False
        return True


def _made_up(spec):
    """Bytes for an input that nobody gave: small positive values, the same every time."""
    if spec["dtype"] == "float32":
        count = spec["bytes"] // 4
        return array.array("f", ((index * 37 % 101) / 101 for index in range(count))).tobytes()
    if spec["dtype"] in ("int8", "uint8"):
        return bytes(index * 37 % 101 for index in range(spec["bytes"]))
    return bytes(spec["bytes"])


def _kilobytes(path):
    """The `Name:  123 kB` lines of a /proc file, in bytes; empty where it cannot be read."""
    sizes = {}
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
