"""Figures of the code itself, as docs/design.md states them: python tools/house.py

Lines are those of .py files, empty ones and comments included. A function is annotated if all of its parameters (but
self and cls) and its result are.
"""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("edgebench", "exporters", "device_agents")

# What someone reads to follow one measurement, from the command to the printed number.
HOST = (
    "edgebench/cli/deploy.py", "edgebench/deploy.py", "edgebench/device/connection.py", "edgebench/device/agent.py",
    "edgebench/device/following.py", "edgebench/device/records_from_journal.py", "edgebench/compare.py",
)  # fmt: skip
DEVICE = ("session.py", "job.py", "artifact_run.py", "latency.py", "worker.py", "journal.py", "runtimes/onnxruntime.py")
ON_THE_PATH = (*HOST, *(f"device_agents/python/{name}" for name in DEVICE))

LONGEST_FUNCTION, MOST_PARAMETERS = 60, 8


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[Path, Function]]:
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield path, node


def parameters(function: Function) -> list[ast.arg]:
    """Without self and cls."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [one for one in (arguments.vararg, arguments.kwarg) if one]
    return [one for one in (*named, *rest) if one.arg not in ("self", "cls")]


def is_annotated(function: Function) -> bool:
    return function.returns is not None and all(one.annotation for one in parameters(function))


def where(path: Path, function: Function) -> str:
    return f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"


def ambiguous() -> list[str]:
    """Names of classes that several modules have; underscores begin what is private to one."""
    named = Counter(
        node.name
        for path in sources()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    return sorted(name for name, count in named.items() if count > 1)


def main() -> int:
    sizes = {path: lines(path) for path in sources()}
    largest = max(sizes, key=lambda path: sizes[path])
    path_lines = sum(lines(ROOT / name) for name in ON_THE_PATH)
    known = list(functions())
    annotated = sum(is_annotated(function) for _, function in known)
    long = [where(*one) for one in known if (one[1].end_lineno or 0) - one[1].lineno >= LONGEST_FUNCTION]
    wide = [where(*one) for one in known if len(parameters(one[1])) > MOST_PARAMETERS]
    contracts = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True
    )
    (kept,) = [line for line in contracts.stdout.splitlines() if line.startswith("Contracts:")]
    rows = (
        ("one measurement, from the command to the number", f"{len(ON_THE_PATH)} files, {path_lines:,} lines"),
        ("modules at the top level of edgebench/", str(len(list((ROOT / "edgebench").glob("*.py"))))),
        ("import contracts", kept.removeprefix("Contracts: ")),
        ("functions annotated", f"{annotated:,} of {len(known):,} ({annotated / len(known):.1%})"),
        ("files: median, largest", f"{statistics.median(sizes.values()):.0f} lines, {sizes[largest]} ({largest.name})"),
        ("class names with more than one meaning", " ".join([str(len(ambiguous())), *ambiguous()])),
        ("lines of source", f"{sum(sizes.values()):,} in {len(sizes)} files"),
        (f"functions over {LONGEST_FUNCTION} lines", str(len(long))),
        (f"functions with more than {MOST_PARAMETERS} parameters", str(len(wide))),
    )
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")
    for name in (*long, *wide):
        print(f"    {name}")
    return contracts.returncode


if __name__ == "__main__":
    sys.exit(main())
