"""Every runtime and precision on this machine: networks of four sizes, one job each; the tables of docs/runtimes.md.

    .venv/bin/python -m benchmarks.runtimes                      # a quarter of an hour, on an idle machine of two cores
    .venv/bin/python -m benchmarks.runtimes --networks ultralight --parts times

times     each file in each runtime that reads it, in the same rounds, and by the runtime's own default (`precision:
          fast`) in a second job; what it was computed in, by the answers; the sum of the profiler's layers over p50
overhead  edgebench's timed loop against the runtime's own C library in a native loop, or, where the wheel holds no
          library that C can call, against a bare loop over the binding in Python
brought   what it takes to bring each runtime to a folder that has none

Files are exported at the first run and kept in the cache.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import drawn_networks, models, overhead, report
from benchmarks.models import Model
from edgebench import deploy, export, plugins
from edgebench.analysis import computed_precision, formatting, ratios, stats
from edgebench.device import provisioning
from edgebench.device.connection import Connection
from edgebench.errors import UserError
from edgebench.progress import Silent
from edgebench.schema import bundle
from edgebench.schema import plan as plan_
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

RECIPE = 2
FORMATS = {
    "onnx": ("fp32", "int8"), "tflite": ("fp32", "int8"), "torch": ("fp32",), "ncnn": ("fp32", "fp16"),
    "mnn": ("fp32", "fp16"), "executorch": ("fp32", "int8"),
}  # fmt: skip
# Not those of phones, of a simulated device, and of what needs a file of the user's.
NOT_HERE = ("-web", "simulated", "benchmark-model", "tflite-runtime")
PLAN = msgspec.structs.replace(
    plan_.named("quick"), preset="runtimes", rounds_min=8, seconds_min=1.0, seconds_max=4.0, precision=0.02
)
LAYERS_S = 0.7
EFFORT = overhead.Effort(pairs=4, rounds=4, round_s=0.15, warmup_s=0.3)


def runtimes() -> tuple[str, ...]:
    """Those of the folder that could run on this machine; whether they do is found out."""
    found = (name.replace("_", "-") for name in plugins.names("device_agents.python.runtimes"))
    return tuple(name for name in found if not any(part in name for part in NOT_HERE))


def bundles_of(network: str) -> list[Path]:
    """One for each format, from the cache or exported now."""
    there = plugins.names("exporters")
    found = [_bundle_of(network, name, both) for name, both in FORMATS.items() if name in there]
    return [one for one in found if one is not None]


def _bundle_of(network: str, format_: str, precisions: Sequence[str]) -> Path | None:
    made = models.folder() / f"runtimes-{network}-{format_}-r{RECIPE}"
    if (made / "bundle.json").exists():
        return made
    with tempfile.TemporaryDirectory(prefix="edgebench-") as folder:
        inputs = drawn_networks.save_inputs(network, Path(folder) / "inputs.npz")
        formats = [f"{format_}-{one}" for one in precisions]
        options = export.ExportOptions(formats, input_shape=drawn_networks.KNOWN[network], inputs=inputs)
        try:
            failed = export.export(drawn_networks.source(network), options, out=made).bundle.failed
        except UserError as error:
            print(f"{network}: no {format_} ({error.seen.splitlines()[0][:200]})", file=sys.stderr)
            return None
    for one in failed:
        print(f"{network}: no {one.format} ({one.reason.splitlines()[0][:200]})", file=sys.stderr)
    return made


# ------------------------------------------------------------------ times

TIMES = (
    "network",
    "file",
    "runtime",
    "computed in",
    "p50",
    "95 % interval",
    "/ onnxruntime fp32",
    "error",
    "layers / p50",
)


def times(network: str, results: Path) -> Iterator[list[str]]:
    """Rows of one network; a runtime that cannot take a file is a row that says so."""
    wanted = deploy.artifacts_at(bundles_of(network))
    target = Target(name="here", transport="local", runtimes=runtimes())
    plan = msgspec.structs.replace(PLAN, layers_s=LAYERS_S)
    records = _measured(target, wanted, plan, results / "file")
    floats = (one for one in records if one.rounds and one.artifact.precision == "fp32")
    base = next((one for one in floats if one.runtime.name == "onnxruntime"), None)
    yield from (_row(network, one, base, "") for one in records)
    fast = [one for one in wanted if one.artifact.precision == "fp32"]
    able = tuple(name for name in target.runtimes if name in ("openvino", "ncnn", "mnn"))
    fast_target = msgspec.structs.replace(target, precision="fast", runtimes=able)
    for one in _measured(fast_target, fast, PLAN, results / "fast"):
        yield _row(network, one, base, ", fast")


def _measured(target: Target, wanted: Sequence[deploy.LocalArtifact], plan: Plan, results: Path) -> list[Record]:
    options = deploy.DeployOptions(every_runtime=True, wait=True)
    return deploy.deploy(target, wanted, plan, results, options)


def _row(network: str, record: Record, base: Record | None, mode: str) -> list[str]:
    beginning = [
        network,
        f"{record.artifact.format} {record.artifact.precision}",
        record.runtime.name + mode,
        str(computed_precision.of(record)),
    ]
    p50 = stats.latency_ns(record.rounds, 0.5) if record.rounds else None
    if p50 is None:
        return [*beginning, "not measured", *[""] * 3, record.outcome.reason.splitlines()[0][:80]]
    value, ends = formatting.estimate_parts(p50)
    ratio = ratios.latency_ratio(record, base) if base is not None and base.job == record.job else None
    error = record.golden.outputs[0].reference_error if record.golden else None
    shown = "" if error is None else f"{error:.1e}"
    return [
        *beginning, value, ends.strip("()"), f"{ratio.value:.2f}" if ratio else "", shown,
        _layers(record, p50.value),
    ]  # fmt: skip


def _layers(record: Record, p50_ns: float) -> str:
    """The sum of the layers' times over the median of the rounds, which have no profiler."""
    layers = record.layers
    if layers is None or layers.reason or not layers.layers:
        return ""
    return f"{sum(one.ns for one in layers.layers) / p50_ns:.2f}"


def by_network(rows: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """As docs/runtimes.md has them: a row for each file and runtime; the first one names the networks."""
    networks = list(dict.fromkeys(row[0] for row in rows))
    yield ["file", "runtime", *networks]
    cells = {tuple(row[:3]): _cell(row) for row in rows}
    for file, runtime in dict.fromkeys((row[1], row[2]) for row in rows):
        yield [file, runtime, *(cells.get((network, file, runtime), "") for network in networks)]


def _cell(row: Sequence[str]) -> str:
    _, file, _, computed, p50, ends, *_ = row
    named = "" if computed == file.split()[1] else f", {computed}"
    return f"{p50} ({ends}){named}" if ends else row[-1].split(":")[0]


# ------------------------------------------------------------------ overhead


def loops(network: str) -> Iterator[list[str]]:
    for folder, artifact in ((one, made) for one in bundles_of(network) for made in bundle.load(one).artifacts):
        if artifact.precision != "fp32" or artifact.golden is None:
            continue
        given = folder / artifact.golden.inputs[0].file
        one = models.folder() / f"runtimes-{network}-{artifact.format}-input.bin"
        one.write_bytes(given.read_bytes()[: given.stat().st_size // artifact.golden.count])
        for runtime in OVERHEAD.get(artifact.format, ()):
            model = Model(network, runtime, folder / artifact.content.file, one)
            yield overhead.row(overhead.measure(model, EFFORT))


OVERHEAD = {"onnx": ("onnxruntime", "openvino"), "tflite": ("litert",), "ncnn": ("ncnn",)}

# ------------------------------------------------------------------ brought

BROUGHT = ("runtime", "wheels MB", "unpacked MB", "seconds", "")


def brought(runtime: str) -> list[str]:
    """To an empty folder, for a Python that has none of it. Wheels are at hand: how fast they come is the network's."""
    packages = plugins.load("device_agents.python.runtimes", runtime, kind="runtime")
    if not packages.WHEELS:
        return [runtime, "", "", "", "not brought: install it there"]
    with tempfile.TemporaryDirectory(prefix="edgebench-board-") as folder:
        bare = sys._base_executable  # type: ignore[attr-defined]
        target = Target(name="fresh", transport="local", python=bare, workdir=folder, runtimes=(runtime,))
        with Connection(target, Silent()) as link:
            wheels = provisioning.wheels_for(packages.WHEELS, link.agent.facts())
            before = _size(Path(folder))
            started = time.perf_counter()
            found = provisioning.find_runtimes(link.agent, target, packages.SUFFIXES, Silent())
            seconds = time.perf_counter() - started
        size = sum(one.stat().st_size for one in wheels)
        if not found.by_suffix:
            return [runtime, f"{size / 1e6:.1f}", "", "", found.problem(packages.SUFFIXES[0])[:100]]
        unpacked = _size(Path(folder)) - before - size
        note = "" if unpacked > 0 else "this Python has it already"
        return [runtime, f"{size / 1e6:.1f}", f"{max(0, unpacked) / 1e6:.1f}", f"{seconds:.1f}", note]


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file() and not one.is_symlink())


# ------------------------------------------------------------------ all of it


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runtimes", description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=list(drawn_networks.SHAPES), choices=drawn_networks.SHAPES)
    parser.add_argument("--parts", nargs="*", default=["times", "overhead", "brought"])
    parser.add_argument("--export", action="store_true", help="only make the files")
    asked = parser.parse_args(arguments)
    for network in asked.networks:
        bundles_of(network)
    if asked.export:
        return 0
    packages = ("onnxruntime", "ai-edge-litert", "openvino", "torch", "ncnn", "MNN", "executorch")
    print(f"{report.conditions(packages)}; load {report.load():.1f}\n")
    results = Path(tempfile.mkdtemp(prefix="edgebench-runtimes-"))
    try:
        if "times" in asked.parts:
            rows = [row for network in asked.networks for row in times(network, results / network)]
            _print(TIMES, iter(rows))
            heading, *table = by_network(rows)
            report.print_table(heading, table)
            print()
        if "overhead" in asked.parts:
            _print(overhead.HEADER, (row for network in asked.networks for row in loops(network)))
        if "brought" in asked.parts:
            _print(BROUGHT, map(brought, runtimes()))
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(results)
    print(f"Load at the end: {report.load():.1f}")
    return 0


def _print(header: Sequence[str], rows: Iterator[list[str]]) -> None:
    table = report.Table(header, [10] * len(header))
    for row in rows:
        table.add(row)
    print()


if __name__ == "__main__":
    sys.exit(main())
