"""Whatever bytes come from the other side: one of the errors that are meant for it, no crash, no growth.

Each example is tried as it is and with nineteen changes. A fast share runs with the suite. All of it, 120,000 inputs:

    EDGEBENCH_FUZZ=1500 python -m pytest tests/device/test_fuzzing.py
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agents.python.channel import Channel, Closed
from device_agents.python.session import AgentSession
from device_agents.python.store import Store
from edgebench.device import arrival, journal, wire
from edgebench.device.wire import Ended, Quiet, Unfit, Wire
from edgebench.errors import AgentError, LinkLost
from tests.device.test_journal import GOOD

fuzzed = settings(
    max_examples=int(os.environ.get("EDGEBENCH_FUZZ", "30")),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, -1, 2**62, 2**63, 2**64, 10**400, float("nan"), float("-inf")])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
EVENTS = [
    msgspec.inspect.type_info(one).tag  # type: ignore[attr-defined]
    for one in journal.AnyLine.__args__  # type: ignore[union-attr]
]
FIELDS = sorted({field for one in journal.AnyLine.__args__ for field in one.__struct_fields__})  # type: ignore[union-attr]
NESTED = st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth)


def text_of(value: Any) -> bytes:
    return json.dumps(value).encode()


VARIANTS = 20
_TOKENS = (
    b"NaN",
    b"1e999",
    b"[" * 2000,
    b'"\\ud800"',
    b"9" * 400,
    b"\x1b[2J",
    b"\xff",
    b"{}",
    b"\n",
    b"-",
    b"\\",
    b'"',
)


def variants(data: bytes, seed: int) -> Iterator[bytes]:
    """The data, and the data with a part changed, cut off, doubled or replaced by what decoders stumble over."""
    yield data
    chance = random.Random(seed)
    for _ in range(VARIANTS - 1):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((0, 1, 1, 4, 1000)))
        new = chance.choice((b"", bytes([chance.randrange(256)]), data[at:end] * 2, chance.choice(_TOKENS)))
        yield data[:at] + new + data[end:]


SEEDS = st.integers(0, 2**32)
LINES = st.builds(
    lambda event, fields: text_of({"n": 0, "t_ns": 1, "event": event, "artifact": 0, **fields}),
    st.sampled_from(EVENTS),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8),
)
ANYTHING = st.one_of(
    st.binary(max_size=200),
    LINES,
    st.sampled_from(GOOD),
    VALUES.map(text_of),
    NESTED,
)


@fuzzed
@given(ANYTHING, SEEDS)
def test_journal_lines(data: bytes, seed: int) -> None:
    for one in variants(data, seed):
        _read_line(one)


def _read_line(data: bytes) -> None:
    with contextlib.suppress(AgentError):
        entry = journal.decode(data, "board", artifacts=2)
        assert 0 <= entry.n <= 2**62 and 0 <= entry.t_ns <= 2**62
        msgspec.json.encode(entry)
        if isinstance(entry, journal.FailedLine):
            assert entry.outcome.reason.isprintable()


class Said:
    """A process that has said something, and ended."""

    stderr = None

    def __init__(self, data: bytes) -> None:
        read, write = os.pipe()
        self.stdout = os.fdopen(read, "rb", 0)
        with os.fdopen(write, "wb", 0) as out:
            out.write(data)  # less than a pipe holds
        self.stdin = os.fdopen(os.open(os.devnull, os.O_WRONLY), "wb", 0)

    def wait(self, timeout: float | None = None) -> int:
        return 1

    def kill(self) -> None:
        pass


HELLOS = st.builds(
    lambda noise, fields, rest: noise + b'{"hello":' + text_of({"": fields})[5:] + rest,
    st.sampled_from([b"", b"Welcome\n", b"\x1b[2J\n", b"\xff\xfe\n"]),
    VALUES,
    st.sampled_from([b"\n", b"", b"}\n"]),
)
DICTS = st.dictionaries(st.sampled_from(["python", "boot", "error", "pid", "root"]), VALUES).map(
    lambda fields: b'{"hello":2,' + text_of(fields)[1:] + b"\n"
)


@fuzzed
@given(st.one_of(ANYTHING, HELLOS, DICTS), SEEDS)
def test_hellos(data: bytes, seed: int) -> None:
    for one in variants(data, seed):
        _greet(one)


def _greet(data: bytes) -> None:
    wired = Wire(Said(data))
    starting = arrival._StartingAgent(wired, "board")
    try:
        arrival._fitting(starting, starting.hello(), "python3")
    except (AgentError, LinkLost) as error:
        assert str(error).isprintable()
    finally:
        wired.close()


@fuzzed
@given(st.one_of(ANYTHING, ANYTHING.map(lambda data: b'{"ok":' + data + b"}")), SEEDS)
def test_answers(data: bytes, seed: int) -> None:
    for one in variants(data, seed):
        _answer(one)


def _answer(data: bytes) -> None:
    wired = Wire(Said(data + b"\n"))
    try:
        value = wire.parse(wired.line(1000))
    except (Unfit, Ended, Quiet):
        return
    finally:
        wired.close()
    again = json.dumps(value, allow_nan=False)
    assert all(character.isprintable() for character in json.loads(json.dumps(str(value)))) and again


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("device") / "agent")


REQUESTS = st.one_of(
    ANYTHING,
    st.builds(
        lambda does, fields: text_of({"do": does, **fields}),
        st.sampled_from(["missing", "receive", "tail", "stop", "forget", "enough", "clock", "install", "", "_send"]),
        st.dictionaries(
            st.sampled_from(["blobs", "sha256", "size", "job", "line", "name", "wheels"]), VALUES, max_size=3
        ),
    ),
)
FRAMES = st.lists(
    st.one_of(
        st.binary(max_size=50).map(lambda piece: b'{"bytes":%d}\n' % len(piece) + piece),
        VALUES.map(lambda value: text_of({"bytes": value}) + b"\n"),
        st.just(b'{"bytes":0}\n'),
        ANYTHING,
    ),
    max_size=4,
).map(b"".join)


@fuzzed
@given(st.lists(REQUESTS, max_size=2), FRAMES, SEEDS)
def test_requests_and_frames(store: Store, requests: list[bytes], frames: bytes, seed: int) -> None:
    """On the device: every line is answered, and what it writes is below its folder."""
    receive = text_of({"do": "receive", "sha256": "0" * 64, "size": 100})
    for one in variants(b"".join(line + b"\n" for line in requests) + receive + b"\n" + frames, seed):
        _converse(store, one)
    assert list(Path(store.root).parent.iterdir()) == [store.root]


def _converse(store: Store, said: bytes) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(said)
        here.shutdown(socket.SHUT_WR)
        channel = Channel(there.fileno(), there.fileno())
        session = AgentSession(channel, store)
        with contextlib.suppress(Closed):
            while True:
                try:
                    request = channel.receive()
                except (ValueError, RecursionError):
                    continue
                session.answer(request)
        there.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: here.recv(1 << 16), b""))
    for line in answers.splitlines():
        assert {"ok", "error", "alive"} & json.loads(line).keys()
