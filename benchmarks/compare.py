"""How long `edgebench compare` takes, and how much memory, by how many records there are and how long they are.

    python -m benchmarks.compare                         # this checkout, with the HTML report
    python -m benchmarks.compare --no-html               # the table on the terminal alone
    python -m benchmarks.compare --against ../other      # and another one, by turns, as a ratio
    python -m benchmarks.compare --browse                # the page of 100 records in headless Chromium

Records are made up, of many jobs of eight files. Each run is a process of its own: wall time, processor time, and the
most memory that was resident; first with an empty cache of statistics, then again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from benchmarks import report
from edgebench.schema import record_files
from edgebench.schema.record import Record, Round

HERE = Path(__file__).parents[1]
REFERENCE = HERE / "results" / "reference" / "desktop-cpu"
RUNS = 3
FILES_PER_JOB = 8


@dataclass(frozen=True)
class Size:
    """seconds, bytes: what it may take, of wall time and of memory. again: it may take as long only with a cache."""

    records: int
    rounds: int
    values: int
    seconds: float
    bytes: float
    again: bool = False

    def __str__(self) -> str:
        return f"{self.records:,} of {self.rounds} rounds, {self.values:,} values each"


SIZES = (
    Size(8, 20, 8_000, 1.0, 500e6),
    Size(8, 50, 10_000, 1.0, 500e6),
    Size(105, 20, 200, 3.0, 500e6),
    Size(105, 50, 8_000, 3.0, 500e6),
    Size(1000, 10, 100, 3.0, 500e6),
    Size(10_000, 10, 100, 10.0, 500e6, again=True),
)
# With the HTML report, and the most bytes that it may have.
HTML_SECONDS, HTML_BYTES = 2.0, 5e6

# The page that a browser opens, the most bytes it may have, and when something must be seen of it.
BROWSED, BROWSED_BYTES, PAINT_SECONDS = Size(100, 20, 200, 3.0, 500e6), 3e6, 1.0
_LISTENING = (
    "<script>var said = []; for (const kind of ['log', 'info', 'warn', 'error', 'debug']) "
    "console[kind] = (...words) => said.push(words); onerror = word => said.push(word)</script>"
)
_DRAWN = (
    "document.readyState === 'complete' && typeof specs !== 'undefined' && "
    "document.querySelectorAll('.chart svg').length === specs.length"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout, measured by turns with this one")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", type=int, help="the sizes with so many records")
    parser.add_argument("--no-html", action="store_true", help="the table on the terminal alone")
    parser.add_argument("--browse", action="store_true", help="open the page of 100 records, and nothing else")
    asked = parser.parse_args()
    if asked.browse:
        return _browse()
    print(report.conditions(("numpy", "msgspec", "altair", "rich")), f"load {report.load():.1f}", sep="; ", end="\n\n")
    header = ["records", "wall", "again", "processor", "again", "memory", "page", "goal", "met"]
    header += ["before", "as a ratio"] if asked.against else []
    table = report.Table(header, [42, 7, 7, 9, 7, 8, 6, 15, 3, 7, 10][: len(header)])
    all_met = True
    for size in SIZES:
        if asked.only in (None, size.records):
            cells, met = _row(size, asked.against, asked.runs, html=not asked.no_html)
            table.add(cells)
            all_met &= met
    return 0 if all_met else 3


def _browse() -> int:
    """When a browser shows something of a page, what it says on the console, and whether the page is too wide."""
    from tests.support.browser import browser

    table = report.Table(["width", "page", "first paint", "all charts", "too wide", "console"], [5, 7, 11, 10, 8, 7])
    all_met = True
    with tempfile.TemporaryDirectory() as folder, browser() as opened:
        results = Path(folder) / "results"
        make(results, BROWSED)
        size = run(HERE, results, Path(folder) / "cache", html=True).page_bytes
        page = (results / "report.html").read_text(encoding="utf-8").replace("<head>", f"<head>{_LISTENING}", 1)
        (results / "heard.html").write_text(page, encoding="utf-8")
        for width in (1400, 390):
            opened.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
            )
            started = time.perf_counter()
            opened.open((results / "heard.html").as_uri())
            while not opened.run(_DRAWN):
                time.sleep(0.05)
            took_s = time.perf_counter() - started
            paint_s = opened.run("performance.getEntriesByType('paint')[0].startTime") / 1e3
            excess = max(0, opened.run("document.documentElement.scrollWidth") - width)
            said = opened.run("said.length")
            all_met &= paint_s <= PAINT_SECONDS and not excess and not said and size <= BROWSED_BYTES
            table.add(
                [str(width), f"{size / 1e6:.2f} MB", f"{paint_s:.2f} s", f"{took_s:.1f} s", f"{excess} px", str(said)]
            )
    return 0 if all_met else 3


def _row(size: Size, against: Path | None, runs: int, *, html: bool) -> tuple[list[str], bool]:
    checkouts = [HERE, *([against.resolve()] if against else [])]
    with tempfile.TemporaryDirectory() as folder:
        results, cache = Path(folder) / "results", Path(folder) / "cache"
        make(results, size)
        first = run(HERE, results, cache, html=html)
        taken: dict[Path, list[Taken]] = {checkout: [] for checkout in checkouts}
        for _ in range(runs):
            for checkout in checkouts:
                taken[checkout].append(run(checkout, results, cache, html=html))
    wall_s = statistics.median(one.wall_s for one in taken[HERE])
    cpu_s = statistics.median(one.cpu_s for one in taken[HERE])
    most = max(one.memory_bytes for one in (first, *taken[HERE]))
    seconds = size.seconds + HTML_SECONDS * html
    met = (wall_s if size.again else first.wall_s) <= seconds and most <= size.bytes and first.page_bytes <= HTML_BYTES
    cells = [
        str(size), f"{first.wall_s:.2f} s", f"{wall_s:.2f} s", f"{first.cpu_s:.2f} s", f"{cpu_s:.2f} s",
        f"{most / 1e6:.0f} MB", f"{first.page_bytes / 1e6:.1f} MB" if html else "-",
        f"{seconds:g} s, {size.bytes / 1e6:.0f} MB", "yes" if met else "no",
    ]  # fmt: skip
    if against:
        pairs = zip(taken[HERE], taken[checkouts[1]], strict=True)
        ratio = statistics.median(one.cpu_s / other.cpu_s for one, other in pairs)
        cells += [f"{statistics.median(one.wall_s for one in taken[checkouts[1]]):.1f} s", f"{ratio:.3f}"]
    return cells, met


@dataclass(frozen=True)
class Taken:
    wall_s: float
    cpu_s: float
    memory_bytes: int
    page_bytes: int


def run(checkout: Path, results: Path, cache: Path, *, html: bool) -> Taken:
    """In the checkout's own folder: that is where `-m` looks first."""
    command = [sys.executable, "-m", "edgebench", "compare", "--results", str(results)]
    report_ = ["--html", str(results / "report.html")] if html else []
    environment = {**os.environ, "PYTHONPATH": str(checkout), "COLUMNS": "80", "EDGEBENCH_CACHE": str(cache)}
    started = time.perf_counter()
    process = subprocess.Popen([*command, *report_], cwd=checkout, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = status
    if status:
        raise SystemExit(f"edgebench compare failed in {checkout}")
    page = results / "report.html"
    return Taken(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, page.stat().st_size if html else 0)


def make(results: Path, size: Size) -> None:
    """Records of a real one's form, each of a file of its own, eight to a job."""
    (results / "desktop-cpu").mkdir(parents=True)
    pattern = record_files.load(min(REFERENCE.glob("*.json")))
    for number in range(size.records):
        record_files.save(_made(pattern, number, size), results)


def _made(pattern: Record, number: int, size: Size) -> Record:
    source = np.random.default_rng(number)
    level_ns = source.integers(30_000, 90_000)
    rounds = []
    for index in range(size.rounds):
        logs = 0.01 * source.normal() + 0.02 * source.normal(size=size.values)
        logs[:3] += 0.7  # the cold start
        values_ns = np.rint(level_ns * np.exp(logs)).astype(int).tolist()
        rounds.append(Round(index * 10**9, 1, tuple(values_ns), index, duration_ns=sum(values_ns)))
    artifact = msgspec.structs.replace(pattern.artifact, name=f"net{number:04d}-onnx-fp32")
    job = f"job-{number // FILES_PER_JOB}"
    return msgspec.structs.replace(
        pattern, id=f"{job}-{artifact.name}", job=job, artifact=artifact, rounds=tuple(rounds)
    )


if __name__ == "__main__":
    raise SystemExit(main())
