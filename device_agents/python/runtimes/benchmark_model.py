"""benchmark_model, the benchmark tool of TensorFlow Lite (LiteRT), supplied by the user: it reports means only.

The program is started for each round: --num_runs=N gives one value over a block of N inferences, after the tool's own
warm-up (one inference and 0.5 s). It feeds itself random numbers and does not show its outputs, so whether they are
right is not known; nor are memory and energy, since the agent does not hold the process.

What it prints (TensorFlow 2.0 to 2.20, with and without `INFO: ` before each line; times in microseconds):

    Running benchmark for at least 1 iterations and at least 0.5 seconds ...        the warm-up
    count=37 first=14744 curr=15520 min=13164 max=18295 avg=13764.3 std=967
    Running benchmark for at least 50 iterations and at least 0 seconds ...
    count=50 first=14850 curr=13315 min=13105 max=15765 avg=13520.2 std=470         all the same: count=50 curr=13315
    Inference timings in us: Init: 12750, First inference: 14744, Warmup (avg): 13764.3, Inference (avg): 13520.2
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from ..process import WorkerFailed
from . import litert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = (".tflite",)
WHEELS: dict[str, str] = {}
TINY_MODEL = litert.TINY_MODEL
# Its file, and the target's key that leads to it; deploy sends it.
PROGRAM = "benchmark_model"
ANSWERS = False
VALUES_MAX = 1
_RUN = re.compile(r"^.*Running benchmark for at least .*$", re.MULTILINE)
_COUNT = re.compile(r"\bcount=(\d+)\b(.*)$", re.MULTILINE)
_FIELD = re.compile(r"\b(curr|min|max|avg)=([\d.]+(?:e[+-]?\d+)?)")
_SUMMARY = re.compile(r"Inference timings in us: Init: ([\d.e+]+), First inference: ([\d.e+]+)")


def start_worker(stderr_path: Path, environment: dict[str, str] | None = None) -> ToolWorker:
    return ToolWorker(stderr_path, environment)


class ToolWorker:
    """Stands in for process.ModelWorkerProcess. The tool runs only while something is timed."""

    pid = None

    def __init__(self, output_path: Path, environment: dict[str, str] | None) -> None:
        self._output_path = output_path
        self._environment = {**os.environ, **(environment or {})}

    def __enter__(self) -> ToolWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        pass

    def ask(self, what: str, timeout_s: float, **arguments: Any) -> Any:
        answer = getattr(self, "do_" + what, None)
        if answer is None:
            raise WorkerFailed("error", "benchmark_model only reports times and cannot do '%s'" % what)
        return answer(timeout_s, **arguments)

    def do_runtime(self, timeout_s: float, name: str, folder: str, options: dict[str, Any]) -> dict[str, str]:
        """The tool reports no version: its hash identifies it."""
        litert.check_device(options)
        self._program = Path(folder) / PROGRAM
        if not folder or not self._program.is_file():
            raise WorkerFailed(
                "error", "give its file as `benchmark_model` in targets.yaml; edgebench does not ship one"
            )
        self._program.chmod(0o755)
        return {"version": "sha256 " + hashlib.sha256(self._program.read_bytes()).hexdigest()[:12]}

    def do_load(self, timeout_s: float, path: str, options: dict[str, Any]) -> dict[str, Any]:
        self._path, self._options = path, options
        text = self._run(1, timeout_s)
        mean_us(text, 1)
        summary = _SUMMARY.search(text)
        if summary is None:
            raise WorkerFailed("error", "benchmark_model did not report how long loading took; " + _last_words(text))
        load_ns, first_ns = (max(1, round(float(us) * 1000)) for us in summary.groups())
        delegates = [line.strip()[:200] for line in text.splitlines() if "delegate" in line.lower()]
        return {
            "load_ns": load_ns,
            "first_inference_ns": first_ns,
            "runtime": {"notes": {"said_of_delegates": delegates[:5]}},
        }

    def do_memory(self, timeout_s: float) -> dict[str, int]:
        return {}

    def do_reset_high_water(self, timeout_s: float) -> bool:
        return False

    def time(self, timeout_s: float, count: int, block: int, least_s: float = 0.0) -> tuple[dict[str, Any], bytes]:
        """`count` runs of `block` inferences each, and more until they have lasted for `least_s`: each gives one value.

        Loading and the tool's own warm-up lie between them and are not part of any value.
        """
        started = time.perf_counter_ns()
        values: list[int] = []
        while len(values) < count or sum(values) < least_s * 1e9:
            values.append(max(1, round(1000 * block * mean_us(self._run(block, timeout_s), block))))
        timed = {
            "round": {"start_ns": started, "duration_ns": sum(values), "missed": None},
            "median_ns": sorted(values)[len(values) // 2],
            "settled": block if len(values) == 1 else len(values),  # a mean stands for its inferences
            "sum_ns": sum(values),
        }
        return timed, b'{"values_ns":%s}' % str(values).encode()

    def _run(self, inferences: int, timeout_s: float) -> str:
        """What the tool prints about a run of that many inferences. Raises WorkerFailed."""
        command = [
            str(self._program), "--graph=" + self._path, "--num_threads=%d" % self._options["threads"],
            "--num_runs=%d" % inferences, "--min_secs=0", "--max_secs=%d" % max(1, timeout_s),
            *_fed(self._options),
        ]  # fmt: skip
        cpus = self._options.get("cpus")
        try:
            with self._output_path.open("wb") as output:
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment,
                    timeout=timeout_s, preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
                ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise WorkerFailed("timeout", "benchmark_model did not end within %g s" % timeout_s) from None
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise WorkerFailed("error", "benchmark_model does not start on this device: " + reason) from None
        text = self._output_path.read_text(errors="replace")
        if code < 0:
            name = signal.Signals(-code).name
            raise WorkerFailed("crashed", "%s in benchmark_model; %s" % (name, _last_words(text)), name)
        if code:
            raise WorkerFailed("error", "benchmark_model ended with exit code %d; %s" % (code, _last_words(text)))
        return text


def _fed(options: dict[str, Any]) -> list[str]:
    """The tool's arguments for sizes and the signature that were asked for."""
    arguments = []
    shapes = options.get("shapes", {})
    if shapes:
        arguments.append("--input_layer=" + ",".join(shapes))
        sizes = (",".join(map(str, shape)) for shape in shapes.values())
        arguments.append("--input_layer_shape=" + ":".join(sizes))
    if options.get("signature"):
        arguments.append("--signature_to_run_for=" + options["signature"])
    return arguments


def mean_us(text: str, inferences: int) -> float:
    """The mean of the run after the warm-up, in us. Raises WorkerFailed for anything but one over `inferences`."""
    runs = _RUN.split(text)
    counted = _COUNT.search(runs[-1])
    if len(runs) < 3 or counted is None:
        raise WorkerFailed("error", "benchmark_model printed no readable result; " + _last_words(text))
    if int(counted[1]) != inferences:
        raise WorkerFailed("error", "benchmark_model ran %s of %d inferences" % (counted[1], inferences))
    fields = {name: float(value) for name, value in _FIELD.findall(counted[2])}
    mean = fields.get("avg", fields.get("curr"))
    # The mean is printed to six digits.
    if mean is None or not fields.get("min", mean) * 0.9999 - 1 <= mean <= fields.get("max", mean) * 1.0001 + 1:
        raise WorkerFailed("error", "benchmark_model printed an impossible mean: " + counted[0][:200])
    return mean


def _last_words(text: str) -> str:
    lines = text.strip().splitlines()
    return "last words: " + lines[-1][:300] if lines else "it printed nothing"
