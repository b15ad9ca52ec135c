"""The phone's server as a separate process, under attacks from the network.

Nobody is timed here; what is held is that the phone gets in meanwhile, and what the server takes of memory and log.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebench.device.phone import guard

pytestmark = pytest.mark.phone

TOKEN = "a-token-of-twenty-two-"
MAX_MEMORY_BYTES = 40 << 20
MANY = 150


class Server:
    def __init__(self, folder: Path) -> None:
        (folder / "assets/ort-1").mkdir(parents=True)
        (folder / "assets/ort-1/a.wasm.gz").write_bytes(gzip.compress(os.urandom(1 << 16) * 200))
        config = {
            "target": "phone", "workdir": str(folder / "work"), "socket": str(folder / "s"),
            "assets": str(folder / "assets"), "versions": {}, "folders": {}, "token": TOKEN, "bind": "127.0.0.1",
            "port": 0, "hosts": ["localhost", "127.0.0.1"], "certificate": "",
        }  # fmt: skip
        self.log = folder / "log"
        with self.log.open("wb") as stderr:
            command = [sys.executable, "-m", "edgebench.device.phone.server"]
            environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment
            ) as started:
                assert started.stdin is not None and started.stdout is not None
                started.stdin.write(json.dumps(config).encode() + b"\n")
                started.stdin.close()
                self.port = json.loads(started.stdout.readline())["port"]
        self._host = socket.socket(socket.AF_UNIX)
        self._host.connect(str(folder / "s"))
        self.pid = json.loads(self._host.makefile("rb").readline())["pid"]
        self.host = f"localhost:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def post(self, path: str, body: bytes, **headers: str) -> int:
        allowed = {"Host": self.host, "Authorization": f"Bearer {TOKEN}", "Origin": f"http://{self.host}"}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", path, body, {**allowed, **headers})
            return connection.getresponse().status

    def lets_the_phone_in(self) -> bool:
        """Within a few tries, as the page makes them."""
        for _ in range(5):
            with contextlib.suppress(OSError, http.client.HTTPException):
                said = {"client": "c", "page": "p", "facts": {}}
                return self.post("/api/hello", json.dumps(said).encode()) == 200
        return False

    def memory_bytes(self) -> int:
        """The high-water mark."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) << 10

    def arguments(self) -> str:
        return Path(f"/proc/{self.pid}/cmdline").read_text()

    def close(self) -> None:
        self._host.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    yield started
    started.close()


def slowly(server: Server) -> None:
    """Heads that never end, a few bytes at a time, on more connections than are kept."""
    opened = [server.connect() for _ in range(MANY)]
    for piece in (b"GET / HT", b"TP/1.1\r\n", b"Host: x\r\n", b"X: y\r\n"):
        for one in opened:
            with contextlib.suppress(OSError):
                one.sendall(piece)
    assert server.lets_the_phone_in()
    for one in opened:
        one.close()


def silently(server: Server) -> None:
    """Silent connections."""
    opened = [server.connect() for _ in range(4 * MANY)]
    assert server.lets_the_phone_in()
    for one in opened:
        one.close()


def at_length(server: Server) -> None:
    """Heads of many megabytes."""
    for line in (b"GET /" + b"x" * (8 << 20), b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * (8 << 20), b"A: b\r\n" * 500_000):
        with server.connect() as one, contextlib.suppress(OSError):
            one.sendall(line)
            assert re.match(rb"HTTP/1.1 4\d\d", one.recv(100))
    assert server.lets_the_phone_in()


def in_bodies(server: Server) -> None:
    """Bodies that the code lets through, of as many parts as fit."""
    piece = 2 << 20
    bodies = [b"[" * piece, b"[]," * (piece // 3), b'{"a":' * (piece // 5), b'{"facts":[' + b"1," * (piece // 2 - 20),
              b'{"answer":{"ok":[' + b"0," * 199_000 + b"0]}}", b'"' + b"x" * (piece - 2) + b'"',
              b'{"client":"c","page":"p","answer":{"values_ns":[1' + b"0" * 100_000 + b"]}}"]  # fmt: skip
    threads = [threading.Thread(target=_post, args=(server, body)) for body in bodies * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.lets_the_phone_in()


def _post(server: Server, body: bytes) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        assert server.post("/api/turn", body) in (400, 404, 413)


def by_downloads(server: Server) -> None:
    """The greatest file, unpacked, on many connections that do not read it."""
    request = f"GET /assets/ort-1/a.wasm HTTP/1.1\r\nHost: {server.host}\r\nAccept-Encoding: identity\r\n\r\n".encode()
    opened = [server.connect() for _ in range(MANY)]
    for one in opened:
        with contextlib.suppress(OSError):
            one.sendall(request)
    assert server.lets_the_phone_in()
    for one in opened:
        one.close()


def with_oddities(server: Server) -> None:
    """What its library does not catch."""
    head = f"Host: {server.host}\r\nAuthorization: Bearer {TOKEN}\r\nOrigin: http://{server.host}\r\n"
    for request in (
        "GET http://[ HTTP/1.1\r\n" + head + "\r\n",
        "POST /api/turn HTTP/1.1\r\n" + head + "Content-Length: ²\r\n\r\n",
        "POST /api/turn HTTP/1.1\r\n" + head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST /api/turn HTTP/1.1\r\n" + head + f"Content-Length: {'9' * 5000}\r\n\r\n",
        "POST /api/turn HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /api/turn HTTP/1.1\r\n" + head + "Content-Length: 30000\r\n\r\n" + "[" * 30000,
        "BREW / HTTP/1.1\r\n" + head + "\r\n",
        "GET / HTTP/3.0\r\n" + head + "\r\n",
    ):
        with server.connect() as one:
            one.sendall(request.encode("latin-1"))
            assert re.match(rb"HTTP/1.1 4\d\d", one.recv(100)), request[:80]
    assert server.log.read_text() == ""


ATTACKS = [slowly, silently, at_length, in_bodies, by_downloads, with_oddities]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
def test_under_attack_it_stays_small_and_the_phone_gets_in(server: Server, attack: Callable[[Server], None]) -> None:
    attack(server)
    assert server.lets_the_phone_in()
    assert server.memory_bytes() <= MAX_MEMORY_BYTES
    assert server.log.stat().st_size <= guard.MAX_LOG_CHARACTERS + 100


def test_a_head_that_does_not_end_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.connect() as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert one.recv(100) == b""  # after HEAD_S; the time-out of `connect` is twice that


def test_the_code_is_in_no_process_list(server: Server) -> None:
    assert "edgebench.device.phone.server" in server.arguments() and TOKEN not in server.arguments()


def test_a_log_ends_where_it_is_enough(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        short = guard.ShortLog(stream, most=100)
        for _ in range(1000):
            print("an error and its traceback", file=short)  # type: ignore[arg-type]
    text = (tmp_path / "log").read_text()
    assert len(text) < 200 and text.endswith("... (the rest is not kept)\n")


def main() -> None:
    """What each attack takes: seconds and the server's high-water mark."""
    import tempfile

    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(Path(folder))
            begun, before = time.monotonic(), server.memory_bytes()
            attack(server)
            took: Any = time.monotonic() - begun
            begun = time.monotonic()
            assert server.lets_the_phone_in()
            entry = time.monotonic() - begun
            print(f"{attack.__name__:14} {took:6.1f} s, phone in after {entry:.2f} s, "
                  f"{before / 1e6:.1f} -> {server.memory_bytes() / 1e6:.1f} MB")  # fmt: skip
            server.close()


if __name__ == "__main__":
    main()
