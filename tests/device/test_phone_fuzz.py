"""What strangers and pages may send, by the ten thousand: nothing but an answer of 2xx or 4xx, a value that fits, or a
failed artifact.

A share of it runs with every suite; all of it: EDGEBENCH_FUZZ=21000 python -m pytest tests/device/test_phone_fuzz.py
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_agents.python.channel import encode
from device_agents.python.process import WorkerFailed
from edgebench.device import journal
from edgebench.device.phone import http as web
from edgebench.device.phone import messages
from edgebench.device.phone.device import Phone
from edgebench.device.phone.page import HttpRefusal, Page
from edgebench.device.phone.station import Station
from edgebench.device.phone.worker import PageWorker
from edgebench.schema.facts import Facts
from edgebench.schema.record import ValuesNs

pytestmark = pytest.mark.phone

TOKEN = "a-token-of-twenty-two-"
EXAMPLES = int(os.environ.get("EDGEBENCH_FUZZ", "300"))
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip

# Strategies are made once: making them costs more than drawing from them.
_KEYS = [
    "values_ns", "start_ns", "duration_ns", "missed", "inputs", "name", "shape", "dtype", "bytes", "notes", "load_ns",
    "first_inference_ns", "outputs", "classes", "wasm_heap_bytes", "inferences", "threads", "build", "artifact", "n",
    "event", "providers", "fully_delegated", "signature", "user_agent", "cores", "clock_step_ns", "battery_fraction",
]  # fmt: skip
_NUMBERS = st.one_of(
    st.integers(), st.integers(0, 10**9), st.floats(), st.booleans(), st.none(),
    st.sampled_from([10**4000, -(10**300), 1 << 63, (1 << 63) - 1, 10**15, 10**15 + 1, 0.5, float("inf")]),
)  # fmt: skip
_TEXTS = st.text(max_size=20) | st.sampled_from(["\x1b]0;x\x07", "\ud800", "x" * 5000, "AAAAAA==", "AAAA", "="])
_NAMES = st.sampled_from(_KEYS) | st.text(max_size=8)
_VALUES = st.recursive(
    _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(_NAMES, inner, max_size=6),
    max_leaves=5,
)
_WHO = st.sampled_from(["c", "p", "", "x" * 65, "é", 7, None, ["c"]])
_MESSAGES = _VALUES | st.fixed_dictionaries(
    {}, optional={"client": _WHO, "page": _WHO, "facts": _VALUES, "answer": _VALUES, "busy": _VALUES}
)

# ------------------------------------------------------------------ the HTTP layer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[web.Server]:
    """The real one, whose polls are answered at once; an error that it does not catch ends the test that caused it."""
    folder = tmp_path_factory.mktemp("fuzz")
    config = {
        "target": "phone", "workdir": str(folder / "work"), "assets": str(folder), "versions": {}, "folders": {},
        "token": TOKEN, "bind": "127.0.0.1", "port": 0, "hosts": ["localhost", "127.0.0.1"], "certificate": "",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        turn = Page.turn
        patch.setattr(Page, "turn", lambda *given: turn(*given, wait_s=0))
        patch.setattr("edgebench.device.phone.presence.SILENT_S", 0)
        patch.setattr("edgebench.device.phone.page.STAY_S", 0)
        uncaught: list[BaseException | None] = []
        patch.setattr(web.Server, "handle_error", lambda *_: uncaught.append(sys.exc_info()[1]))
        running = web.serve(Station(config))
        running.uncaught = uncaught  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        running.server_close()


def answered(server: web.Server, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        told = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 16):
                told += piece
        return told


def assert_sane(server: web.Server, sent: bytes) -> None:
    told = answered(server, sent)
    uncaught = [one for one in server.uncaught if not isinstance(one, OSError)]  # type: ignore[attr-defined]
    assert not uncaught, (sent, uncaught)
    for status in re.findall(rb"HTTP/1\.1 (\d+)", told):
        assert status[:1] in b"124", (sent, told[:200])


@fuzzed
@given(st.binary(max_size=3000))
def test_noise_on_the_port_harms_nothing(server: web.Server, sent: bytes) -> None:
    assert_sane(server, sent)


_ODD = st.one_of(
    st.sampled_from(
        ["²", "-1", "+5", "1e3", "9" * 5000, "0x10", "", "\x00", "chunked", "é", "[", "http://[", "//", "*"]
    ),
    st.text(st.characters(codec="latin-1"), max_size=60),
)
_METHODS = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "get", "PRI", ""]) | _ODD
_TARGETS = _ODD | st.sampled_from(
    ["/", "/page.js", "/api/hello", "/api/turn", "/api/leave", "/api/stay", "/b/" + "a" * 64, "http://[",
     "/assets/x/y.js", "/..//", "*", "?", "/%00", "http://localhost/"]
)  # fmt: skip
_VERSIONS = st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1.1", "HTTP/x", ""]) | _ODD
_HEADERS = _ODD | st.sampled_from(
    ["Host", "Origin", "Authorization", "Content-Length", "Transfer-Encoding", "Accept-Encoding", "Expect",
     "Connection", "Content-Type", "Range", "Upgrade"]
)  # fmt: skip
_BODIES = st.binary(max_size=200) | _MESSAGES.map(lambda said: json.dumps(said).encode())
_ENDS = st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"])
_FEW = st.integers(0, 3)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Near to what a browser sends, with the code or without, and something odd in it."""
    method, target = draw(_METHODS), draw(_TARGETS)
    version = draw(_VERSIONS)
    body = draw(_BODIES)
    headers = [
        ("Host", "localhost:PORT"), ("Origin", "http://localhost:PORT"), ("Authorization", f"Bearer {TOKEN}"),
        ("Content-Length", str(len(body))),
    ]  # fmt: skip
    for _ in range(draw(_FEW)):
        headers.insert(draw(_FEW), (draw(_HEADERS), draw(_ODD)))
    for _ in range(draw(_FEW)):
        headers.pop(draw(_FEW) % len(headers))
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return draw(_ENDS).join(lines).encode("latin-1", "replace") + body


# ------------------------------------------------------------------ what a page says


_RIGHT: dict[str, dict[str, Any]] = {
    "runtime": {"threads": "1", "build": "wasm simd"},
    "load": {"load_ns": 5, "first_inference_ns": 5, "notes": {"providers": ["wasm"]},
             "inputs": [{"name": "x", "shape": [1, 3], "dtype": "float32", "bytes": 12}]},
    "golden": {"outputs": base64.b64encode(bytes(16)).decode()},
    "classify": {"classes": [1, 2]},
    "run_for": {"inferences": 3, "start_ns": 1, "duration_ns": 9},
    "memory": {"wasm_heap_bytes": 1 << 20},
    "time": {"start_ns": 1, "duration_ns": 9, "missed": None, "values_ns": [3, 3]},
}  # fmt: skip


class Liar:
    """Replaces the page: gives the prescribed answers as they arrive over the wire."""

    generation = anew = 0
    emulated = hidden = False

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def ask(self, request: Any, timeout_s: float) -> Any:
        data = json.dumps(self._answer).encode("utf-8", "surrogatepass")
        try:
            said = messages.read(data, len(data)).get("answer")
        except HttpRefusal:
            raise TimeoutError from None  # the page got a refusal, and has no other answer
        return said if isinstance(said, dict) else {}

    def is_here(self) -> bool:
        return True

    def close_worker(self, number: int) -> None:
        pass


_VERBS = st.sampled_from([*_RIGHT, "pace"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, Any]:
    what = draw(_VERBS)
    answer = dict(_RIGHT.get(what, {}))
    for _ in range(draw(_FEW)):
        answer[draw(_NAMES)] = draw(_VALUES)
    kind = draw(_FEW)
    return what, {"answer": draw(_VALUES) if kind == 3 else {"error": draw(_VALUES)} if kind == 2 else {"ok": answer}}


@fuzzed
@given(answers())
def test_an_answer_fits_the_journal_or_fails_the_artifact(given_: tuple[str, Any]) -> None:
    what, answer = given_
    with contextlib.suppress(WorkerFailed):
        line = _line(what, PageWorker(Liar(answer), {"onnxruntime-web": "1.0"}, {"onnxruntime-web": "x"}))  # type: ignore[arg-type]
        if line:
            entry = journal.decode(line, "here", artifacts=1)
            if isinstance(entry, journal.RoundLine):
                msgspec.json.decode(entry.values_ns, type=ValuesNs)


def _line(what: str, worker: PageWorker) -> bytes:
    """What the job writes of an answer, "" where that depends on more."""
    start = {"n": 0, "t_ns": 1, "artifact": 0}
    if what == "time":
        told, copied = worker.time(1.0, count=2, block=1)
        assert told["median_ns"] >= 1 and told["settled"] >= 1
        known = {"event": "round", "round": {"number": 0, "block": 1, **told["round"]}}
        return encode({**start, **known}).encode()[:-1] + b"," + copied[1:]
    if what == "runtime":
        worker.ask("runtime", 1.0, name="onnxruntime-web", options={})
        return b""
    if what == "load":
        worker._runtime = "onnxruntime-web"
        told = worker.ask("load", 1.0, options={})
        told["runtime"] = {"name": "onnxruntime-web", "facts": {}, **told["runtime"]}
        return encode({**start, "event": "loaded", "loaded": told}).encode()
    told = worker.ask(what, 1.0, **({} if what in ("memory", "pace", "run_for") else {"count": 2}))
    if what == "golden":
        agreed = dict.fromkeys(("relative_error", "max_abs_diff", "agreement_with_host", "agreement_with_parent"))
        outputs = [
            {"passed": True, "values_base64": text, "whole": code == "q", **agreed} for code, text in told["outputs"]
        ]
        golden = {"passed": True, "count": 2, "outputs": outputs}
        return encode({**start, "event": "golden", "golden": golden}).encode()
    if what == "classify":
        return encode({**start, "event": "answers", "piece": 0, "answers": told}).encode()
    if what == "memory":
        memory = {"bare": told, "loaded": told, "running": told, "reset": False}
        return encode({**start, "event": "memory", "memory": memory}).encode()
    if what == "run_for":
        window = {"round": 0, "start_ns": told["start_ns"], "duration_s": told["duration_ns"] / 1e9}
        window["inferences"] = told["inferences"]
        known = {"event": "energy", "window": window, "readings": {}, "throttled": None}
        return encode({**start, **known}).encode()
    return b""


@fuzzed
@given(_VALUES, st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=8))
def test_facts_of_any_kind_are_facts_or_left_out(anything: Any, told: dict[str, Any]) -> None:
    for said in (anything, told):
        page = Page()
        page.facts = messages.facts(said)
        phone = Phone(page, {}, {})
        line = encode({**phone.static_facts(), **phone.momentary_facts()}).encode()
        found = msgspec.json.decode(line, type=Facts)
        assert 1 <= phone.clock_step_ns() <= 10**9 and (found.cores is None or found.cores <= 4096)


@fuzzed
@given(st.one_of(st.binary(max_size=400), _VALUES.map(lambda one: json.dumps(one).encode("utf-8", "surrogatepass"))))
def test_a_body_is_a_message_or_refused(data: bytes) -> None:
    with contextlib.suppress(HttpRefusal):
        assert isinstance(messages.read(data, len(data)), dict)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 3000, b"[]," * 200_001, b'{"a":1' + b',"b":2' * 5000 + b"}", b"\xff\xfe{}"]
)
def test_a_body_of_many_parts_is_not_read(data: bytes) -> None:
    with pytest.raises(HttpRefusal):
        messages.read(data, len(data))


@fuzzed
@given(requests())
def test_requests_with_something_odd_are_answered(server: web.Server, sent: bytes) -> None:
    assert_sane(server, sent.replace(b"PORT", str(server.server_port).encode()))


def test_the_server_lives(server: web.Server, tmp_path: Path) -> None:
    request = f"GET / HTTP/1.1\r\nHost: localhost:{server.server_port}\r\nConnection: close\r\n\r\n"
    assert answered(server, request.encode()).startswith(b"HTTP/1.1 200")
