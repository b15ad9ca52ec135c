"""Every runtime and precision on emulated boards, in instructions, and what it takes to bring a runtime to a bare one.

    .venv/bin/python -m benchmarks.board_runtimes                 # about half an hour
    .venv/bin/python -m benchmarks.board_runtimes --boards rpi4 --networks ultralight

One thread. An emulated board's clock counts instructions, which repeat to about 1 % under any load; seconds to bring a
runtime are the emulator's, several times those of a board.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import drawn_networks, report, runtimes
from edgebench import deploy, plugins
from edgebench.analysis import computed_precision, stats
from edgebench.device import emulator, provisioning
from edgebench.device.connection import Connection
from edgebench.device.emulator import BOARDS
from edgebench.device.emulator.machine import EmulatedMachine
from edgebench.errors import UserError
from edgebench.progress import Silent
from edgebench.recommend import counting
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

NETWORKS = ("ultralight", *drawn_networks.SMALL)
BROUGHT = ("onnxruntime", "litert", "openvino", "ncnn", "mnn", "executorch")


def target_of(machine: EmulatedMachine) -> Target:
    names = tuple(name for name in BROUGHT if name in plugins.names("device_agents.python.runtimes"))
    return Target(
        name=machine.host_alias, transport="ssh", host=machine.host_alias, ssh_config=str(machine.ssh_config),
        emulated=True, runtimes=names,
    )  # fmt: skip


def brought(target: Target, runtime: str) -> list[str]:
    """A board keeps what it has: numpy is sent once, with the first of them."""
    module = plugins.load("device_agents.python.runtimes", runtime, kind="runtime")
    with Connection(target, Silent()) as link:
        wheels = provisioning.wheels_for(module.WHEELS, link.agent.facts())
        by_hash = {hashlib.sha256(one.read_bytes()).hexdigest(): one for one in wheels}
        sent = sum(by_hash[one].stat().st_size for one in link.agent.missing(by_hash))
        started = time.perf_counter()
        only = msgspec.structs.replace(target, runtimes=(runtime,))
        found = provisioning.find_runtimes(link.agent, only, module.SUFFIXES, Silent())
        seconds = time.perf_counter() - started
    whole = sum(one.stat().st_size for one in wheels)
    state = "works" if found.by_suffix else found.problem(module.SUFFIXES[0])
    return [target.name, runtime, f"{whole / 1e6:.0f}", f"{sent / 1e6:.0f}", f"{seconds:.0f}", state]


def counted(target: Target, network: str) -> Iterator[list[str]]:
    wanted = deploy.artifacts_at(runtimes.bundles_of(network))
    readable = [one for one in wanted if one.artifact.format != "torch"]
    with tempfile.TemporaryDirectory(prefix="edgebench-") as results:
        options = deploy.DeployOptions(every_runtime=True)
        for one in deploy.deploy(target, readable, counting.PLAN, Path(results), options):
            yield [target.name, network, *_row(one)]


def _row(record: Record) -> list[str]:
    middle = stats.latency_ns(record.rounds, 0.5) if record.rounds else None
    return [
        f"{record.artifact.format} {record.artifact.precision}",
        record.runtime.name,
        str(computed_precision.of(record)),
        f"{middle.value / 1e6:.3g}" if middle else record.outcome.reason.splitlines()[0][:80],
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.board_runtimes", description=__doc__.splitlines()[0])
    parser.add_argument("--boards", nargs="*", default=list(BOARDS), choices=BOARDS)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=drawn_networks.KNOWN)
    asked = parser.parse_args(arguments)
    print(report.conditions() + "\n")
    try:
        for board in asked.boards:
            with emulator.borrowed(board, progress=lambda line: print(line, file=sys.stderr)) as machine:
                _measure(target_of(machine), asked.networks)
    except UserError as error:
        print(f"{error.where}: {error.seen}. {error.remedy}", file=sys.stderr)
        return 1
    return 0


def _measure(target: Target, networks: Sequence[str]) -> None:
    table = report.Table(("board", "runtime", "MB", "sent MB", "seconds", ""), [10] * 6)
    for runtime in target.runtimes:
        table.add(brought(target, runtime))
    print()
    table = report.Table(("board", "network", "file", "runtime", "computed in", "million instructions"), [10] * 6)
    for network in networks:
        for row in counted(target, network):
            table.add(row)
    print()


if __name__ == "__main__":
    sys.exit(main())
