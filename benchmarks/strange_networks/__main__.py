"""Small networks of many structures through `edgebench export` and through other tools: files made, and right ones.

    python -m benchmarks.strange_networks [--only NAME]... [--without-peers] [--results FILE.jsonl]

--results keeps what is known, so that an interrupted run goes on. Workers of `export` are forked from a process that
has imported their libraries, as in the tests. About 15 minutes for edgebench, 30 for the other tools, on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from benchmarks.strange_networks import own, peers, report
from benchmarks.strange_networks.kinds import Network
from benchmarks.strange_networks.networks import ALL
from benchmarks.strange_networks.outcome import Outcome


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.strange_networks")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--results", type=Path, default=Path("strange-networks.jsonl"))
    options = parser.parse_args()
    networks = [one for one in ALL if not options.only or one.name in options.only]
    known = _read(options.results)
    _run_own([one for one in networks if (one.name, own.ROUTES[0]) not in known], options.results)
    if not options.without_peers:
        for tool in peers.TOOLS:
            _run_peer(tool, {one.name for one in networks}, options.results)
    found = _read(options.results)
    print(report.table(networks, [one for (name, _), one in found.items() if name in {n.name for n in networks}]))


def _read(path: Path) -> dict[tuple[str, str], Outcome]:
    if not path.exists():
        return {}
    lines = (msgspec.json.decode(line, type=Outcome) for line in path.read_bytes().splitlines())
    return {(one.network, one.route): one for one in lines}


def _keep(outcomes: Iterable[Outcome], results: Path) -> None:
    for one in outcomes:
        with results.open("ab") as stream:
            stream.write(msgspec.json.encode(one) + b"\n")
        print(f"{one.state:9} {one.route:22} {one.network}: {one.words[:160]}", file=sys.stderr, flush=True)


def _run_own(networks: list[Network], results: Path) -> None:
    from exporters.workers import process
    from tests.support.forked_workers import ForkedWorkers

    workers = ForkedWorkers()
    process.subprocess = workers  # type: ignore[assignment]
    try:
        for network in networks:
            with tempfile.TemporaryDirectory() as folder:
                _keep(own.outcomes(network, Path(folder)), results)
    finally:
        workers.close()


def _run_peer(tool: str, names: set[str], results: Path) -> None:
    """In one process, and in another one after the network at which that crashed."""
    known, routes = _read(results), peers.ROUTES[tool]
    number = 0
    while number < len(ALL):
        network = ALL[number]
        if network.name not in names or all((network.name, route) in known for route in routes):
            number += 1
            continue
        number = _followed(tool, number, names, results)
        known = _read(results)


def _followed(tool: str, first: int, names: set[str], results: Path) -> int:
    """Run the tool from this network on; returns the number of the one after the last."""
    command = [sys.executable, "-m", "benchmarks.strange_networks.peers", tool, str(first)]
    seen: dict[str, list[str]] = defaultdict(list)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        for line in running.stdout:
            one = msgspec.json.decode(line, type=Outcome)
            seen[one.network].append(one.route)
            if one.network in names:
                _keep([one], results)
            elif len(names) < len(ALL):
                running.kill()
                return first + 1
    if running.returncode == 0:
        return len(ALL)
    order = [one.name for one in ALL]
    last = max((order.index(name) for name in seen), default=first)
    if seen and all(route in seen[order[last]] for route in peers.ROUTES[tool]):
        last += 1  # it crashed at the next one
    missing = [route for route in peers.ROUTES[tool] if route not in seen[order[last]]]
    _keep([Outcome(order[last], route, "traceback", "the process crashed") for route in missing], results)
    return last + 1


if __name__ == "__main__":
    main()
