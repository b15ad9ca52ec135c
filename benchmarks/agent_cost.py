"""What the agent costs beside the worker: its size, its start, processor time, and what a second deploy sends.

Every deploy runs in a process of its own, through edgebench.deploy.deploy and the local transport, in a cache folder
that is new. Processor time is utime + stime of /proc/<pid>/stat, of the agent's session and the agent's job, over a
window inside the rounds; the deploying process, which is on another machine as a rule, and the worker, which is the
measurement, are shown beside it. They sleep while the worker is timed; what they use is used between rounds, on its
values: a short inference makes many, which the job writes and the session sends. So several lengths are tried. The
job looks at temperature, clock and throttle bits once a second, of a made-up board (its files, this machine's disk).
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from benchmarks import models, report
from edgebench import deploy
from edgebench.device import agent_zipapp
from edgebench.device.agent import Agent
from edgebench.device.transports import open_transport
from edgebench.errors import UserError
from edgebench.schema import plan
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target

TARGET = Target(name="local", transport="local")
DEPLOYED = tuple(("onnxruntime", f"conv{nominal_us}-fp32") for nominal_us in (10, 50, 100, 1000))
STARTS = 25
WINDOW_S = 30.0
MAX_ZIPAPP_BYTES = 64 << 10
MAX_HELLO_S = 0.3
MAX_BUSY = 0.005
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Measures for longer than the window: the stop rule is asked after every round, and the precision is never reached.
LONG = msgspec.structs.replace(
    plan.named("default"), precision=1e-9, seconds_max=36.0, warmup_max_s=2.0, rounds_per_process=0
)
SHORT = plan.named("quick")
CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0"
BOARD = {
    **{f"sys/class/thermal/thermal_zone{zone}/temp": "48000" for zone in range(3)},
    "sys/class/hwmon/hwmon1/name": "rpi_volt",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0",
    f"{CPUFREQ}/scaling_governor": "performance",
    f"{CPUFREQ}/scaling_cur_freq": "1800000",
    f"{CPUFREQ}/scaling_max_freq": "1800000",
    f"{CPUFREQ}/stats/time_in_state": "600000 10\n1800000 1000",
    "proc/stat": "cpu  1 2 3 4 5 6 7 8 9 10",
}


def hello_times_s(starts: int) -> list[float]:
    """From asking for an agent, its zipapp already brought, to its checked hello: the host's work included."""
    Agent(open_transport(TARGET), "this machine").close()
    times = []
    for _ in range(starts):
        started = time.perf_counter()
        fresh = Agent(open_transport(TARGET), "this machine")
        times.append(time.perf_counter() - started)
        fresh.close()
    return times


@dataclass(frozen=True)
class DeviceBusy:
    """Processor time in one window, in the kernel's clock ticks (10 ms, as a rule)."""

    window_s: float
    host: int
    session: int
    job: int
    worker: int

    @property
    def agent(self) -> float:
        """Of one core, as a fraction."""
        return (self.session + self.job) / TICKS_PER_S / self.window_s


class Deploy:
    """A deploy in a process of its own, which counts what it sends."""

    def __init__(self, files: Sequence[Path], how: Plan, results: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._answer, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_deploy, args=(list(files), how, results, theirs))
        self._process.start()
        theirs.close()

    def busy(self, window_s: float) -> DeviceBusy:
        """Wait for the first round, then watch for `window_s`."""
        job = self._job_folder()
        while b'"event":"round"' not in _journal(job):
            self._check_alive()
            time.sleep(0.1)
        host = self._process.pid or 0
        job_pid = int((job / "pid").read_text().split()[0])
        pids = [host, _child(host, "session"), job_pid, _child(job_pid, "worker")]
        before = [_ticks(pid) for pid in pids]
        time.sleep(window_s)
        after = [_ticks(pid) for pid in pids]
        if b'"event":"end"' in _journal(job):
            raise RuntimeError("the job ended inside the window")
        return DeviceBusy(window_s, *(b - a for a, b in zip(before, after, strict=True)))

    def sent_bytes(self) -> int:
        """Wait for its end; how much of files `Agent.send` was given."""
        try:
            sent: int = self._answer.recv()
        except EOFError:
            raise RuntimeError("the deploy failed") from None
        finally:
            self._process.join()
        return sent

    def _job_folder(self) -> Path:
        jobs = Path(os.environ["EDGEBENCH_CACHE"], "agent", "jobs")
        while not (running := list(jobs.glob("[!.]*/pid"))):
            self._check_alive()
            time.sleep(0.1)
        return running[0].parent

    def _check_alive(self) -> None:
        if not self._process.is_alive():
            raise RuntimeError("the deploy ended before its first round")


def _deploy(files: list[Path], how: Plan, results: Path, answer: Connection) -> None:
    sent = 0
    plain_send = Agent.send

    def counting_send(self: Agent, blobs: Sequence[tuple[str, Path]]) -> None:
        nonlocal sent
        sent += sum(path.stat().st_size for _sha256, path in blobs)
        plain_send(self, blobs)

    Agent.send = counting_send  # type: ignore[method-assign]
    deploy.deploy(TARGET, deploy.artifacts_at(files), how, results)
    answer.send(sent)


def _journal(job: Path) -> bytes:
    path = job / "journal.jsonl"
    return path.read_bytes() if path.exists() else b""


def _child(parent: int, word: str) -> int:
    """The child process with a word in its command line."""
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in children.read_text().split():
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return int(pid)
    raise RuntimeError(f"process {parent} has no child '{word}'")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]  # utime and stime, fields 14 and 15 in proc(5); two were cut off
    return int(user) + int(system)


def rows(files: Sequence[Path], results: Path) -> Iterator[list[str]]:
    size = len(agent_zipapp.build_zipapp())
    yield _row("zipapp", f"{size} bytes", f"<= {MAX_ZIPAPP_BYTES}", size <= MAX_ZIPAPP_BYTES)
    hello_s = hello_times_s(STARTS)
    typical_s = statistics.median(hello_s)
    measured = f"{typical_s:.3f} s ({min(hello_s):.3f} - {max(hello_s):.3f})"
    yield _row(f"start to hello, median of {STARTS}", measured, f"<= {MAX_HELLO_S} s", typical_s <= MAX_HELLO_S)
    first = 0
    for path in files:
        running = Deploy([path], LONG, results)
        yield _busy_row(path, running.busy(WINDOW_S))
        first += running.sent_bytes()
    second = Deploy(files, SHORT, results).sent_bytes()
    measured = f"{second} bytes (by the first: {first})"
    yield _row("model files sent by a second deploy", measured, "0", second == 0 < first)


def _busy_row(path: Path, busy: DeviceBusy) -> list[str]:
    names = ("host", "session", "job", "worker")
    parts = ", ".join(f"{name} {getattr(busy, name) / TICKS_PER_S:.2f}" for name in names)
    return _row(
        f"agent, of one core, in {busy.window_s:.0f} s of rounds, {path.stem.rpartition('-')[0]}",
        f"{busy.agent:.2%} ({parts} s)",
        f"<= {MAX_BUSY:.1%}",
        busy.agent <= MAX_BUSY,
    )


def _board(root: Path) -> Path:
    for name, content in BOARD.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def _row(what: str, measured: str, gate: str, met: bool) -> list[str]:
    return [what, measured, gate, "yes" if met else "NO"]


def main() -> int:
    try:
        files = [model.path for model in models.all_models() if (model.runtime, model.name) in DEPLOYED]
        with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
            os.environ["EDGEBENCH_CACHE"] = f"{folder}/cache"
            os.environ["EDGEBENCH_SYSROOT"] = str(_board(Path(folder) / "board"))
            found = list(rows(files, Path(folder) / "results"))
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    print(f"{report.conditions()}; load {report.load():.1f}\n")
    report.print_table(("what", "measured", "gate", "met"), found)
    return 0 if all(row[-1] == "yes" for row in found) else 3


if __name__ == "__main__":
    sys.exit(main())
