"""The table, in Markdown."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator, Sequence

from benchmarks.strange_networks import own, peers
from benchmarks.strange_networks.kinds import Network
from benchmarks.strange_networks.outcome import Outcome

PEERS = tuple(route for tool in peers.TOOLS for route in peers.ROUTES[tool])
WORDS = 48


def table(networks: Sequence[Network], outcomes: Sequence[Outcome]) -> str:
    return "\n".join(_lines(networks, outcomes))


def _lines(networks: Sequence[Network], outcomes: Sequence[Outcome]) -> Iterator[str]:
    day = datetime.datetime.now(datetime.UTC).date()
    yield f"{len(networks)} networks, {day}, {platform.machine()}, Python {platform.python_version()}"
    yield ""
    yield "| route | networks | a file | right | wrong | no file | exceptions |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for route in (*own.ROUTES, *PEERS):
        mine = [one for one in outcomes if one.route == route]
        if not mine:
            continue
        count = {state: sum(one.state == state for one in mine) for state in ("right", "wrong", "refused", "traceback")}
        made = count["right"] + count["wrong"]
        name = f"edgebench {route}" if route in own.ROUTES else route
        yield (
            f"| {name} | {len(mine)} | {made / len(mine):.0%} | {count['right']} ({count['right'] / len(mine):.1%}) "
            f"| {count['wrong']} | {len(mine) - made} | {count['traceback']} |"
        )
    yield ""
    yield "| network | ONNX fp32 | ONNX INT8 | TFLite fp32 | TFLite INT8 | " + " | ".join(PEERS) + " |"
    yield "|---|" + "--:|" * (len(own.ROUTES) + len(PEERS))
    by_place = {(one.network, one.route): one for one in outcomes}
    for network in networks:
        cells = [_cell(by_place.get((network.name, route))) for route in (*own.ROUTES, *PEERS)]
        yield f"| {network.name} | " + " | ".join(cells) + " |"
    yield ""
    for one in outcomes:
        if one.route in own.ROUTES and one.state != "right":
            named = "names it" if one.names_operator else "does not name an operator"
            yield f"* {one.network}, {one.route}: {one.state} ({named}): {one.words}"


def _cell(one: Outcome | None) -> str:
    if one is None:
        return "-"
    if one.state == "right":
        return one.words.replace(", ", ", ")[:WORDS]
    if one.state == "wrong":
        return f"**wrong** ({one.words[:WORDS]})".replace("|", "/")
    return "no file" if one.state == "refused" else "exception"
