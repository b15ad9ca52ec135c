"""A phone's adbd, as far as the real adb client needs one: fake_adbd.py ROOT [--deny] [--drop-after N].

Shell (v2), sync (v1) and reverse over TCP. ROOT is the phone: commands run with ROOT/bin first in the PATH, and
/data/local/tmp is below it. Prints its port. --deny: accepts no key. --drop-after: the cable is pulled after N bytes,
for good. SIGUSR1: it is pulled, and may be put in again; what `reverse` made does not survive that.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

VERSION, MAX_DATA = 0x01000001, 256 << 10
BANNER = b"device::ro.product.name=fake;ro.product.model=Fake_8;ro.product.device=fake;features=shell_v2,cmd"
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)


class Connection:
    """One adb client."""

    def __init__(self, sock: socket.socket, root: Path, deny: bool, drop_after: int) -> None:
        self._socket = sock
        self._root = root
        self._deny = deny
        self._left = drop_after
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._number = 0

    def serve(self) -> None:
        try:
            while True:
                head = self._read(24)
                command, arg0, arg1, size = struct.unpack("<4s3I", head[:16])
                self._handle(command.decode(), arg0, arg1, self._read(size))
        except (ConnectionError, OSError):
            self._socket.close()
            CONNECTIONS.remove(self)
            for stream in self._streams.values():
                stream.received.put(None)

    def pull(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)

    def _handle(self, command: str, arg0: int, arg1: int, data: bytes) -> None:
        if command == "CNXN" and not self._deny:
            self.send("CNXN", VERSION, MAX_DATA, BANNER)
        elif command == "CNXN" or (command == "AUTH" and arg0 == 2):
            self.send("AUTH", 1, 0, b"x" * 20)
        elif command == "OPEN":
            stream = self.new_stream(arg0)
            self.send("OKAY", stream.number, arg0)
            threading.Thread(target=self._service, args=(stream, data.rstrip(b"\0").decode()), daemon=True).start()
        elif arg1 in self._streams:
            self._streams[arg1].take(command, arg0, data)

    def new_stream(self, remote: int) -> Stream:
        with self._lock:
            self._number += 1
            stream = self._streams[self._number] = Stream(self, self._number, remote)
        return stream

    def _service(self, stream: Stream, name: str) -> None:
        kind, _, argument = name.partition(":")
        if kind.startswith("shell,v2"):
            run_shell(stream, self._root, argument)
        elif kind == "sync":
            Sync(stream, self._root).serve()
        elif kind == "reverse":
            reverse(self, stream, argument)
        stream.close()

    def open(self, service: str) -> Stream:
        """A stream to the client, for `reverse`."""
        stream = self.new_stream(0)
        self.send("OPEN", stream.number, 0, service.encode() + b"\0")
        stream.opened.wait(5)
        return stream

    def send(self, command: str, arg0: int, arg1: int, data: bytes = b"") -> None:
        code = command.encode()
        magic = bytes(byte ^ 0xFF for byte in code)
        message = struct.pack("<4s4I4s", code, arg0, arg1, len(data), 0, magic) + data
        with self._lock:
            self._spend(len(message))
            self._socket.sendall(message)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError
            self._spend(len(piece))
            data += piece
        return bytes(data)

    def _spend(self, count: int) -> None:
        if self._left:
            self._left -= count
            if self._left <= 0:
                os._exit(0)  # the cable is pulled


class Stream:
    def __init__(self, connection: Connection, number: int, remote: int) -> None:
        self._connection = connection
        self.number = number
        self.remote = remote
        self.opened = threading.Event()
        # Each write waits for the OKAY of the one before; of a stream that we open, for that of the opening.
        self._may_write = threading.Semaphore(1 if remote else 0)
        self.received: queue.Queue[bytes | None] = queue.Queue()
        self._rest = b""

    def take(self, command: str, remote: int, data: bytes) -> None:
        if command == "OKAY":
            self.remote = remote
            self.opened.set()
            self._may_write.release()
        elif command == "WRTE":
            self.received.put(data)
            self._connection.send("OKAY", self.number, self.remote)
        elif command == "CLSE":
            self.received.put(None)

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), 32 << 10):
            self._may_write.acquire()
            self._connection.send("WRTE", self.number, self.remote, data[at : at + (32 << 10)])

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; fewer at the end."""
        while len(self._rest) < size:
            piece = self.received.get()
            if piece is None:
                self.received.put(None)
                break
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        self._connection.send("CLSE", self.number, self.remote)


def run_shell(stream: Stream, root: Path, command: str) -> None:
    environment = {**os.environ, "PATH": f"{root / 'bin'}:{os.environ['PATH']}", "PHONE": str(root)}
    process = subprocess.Popen(
        ["sh", "-c", command.replace("/data/local/tmp", str(root / "data/local/tmp"))], cwd=root, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    lock = threading.Lock()

    def send(kind: int, data: bytes) -> None:
        with lock:
            stream.write(struct.pack("<BI", kind, len(data)) + data)

    def pump(pipe: int, kind: int) -> None:
        while piece := os.read(pipe, 16 << 10):
            send(kind, piece)

    def feed() -> None:
        assert process.stdin is not None
        while head := stream.read(5):
            kind, size = struct.unpack("<BI", head)
            data = stream.read(size)
            if kind == STDIN:
                process.stdin.write(data)
                process.stdin.flush()
            elif kind == CLOSE_STDIN:
                break
        process.stdin.close()

    assert process.stdout is not None and process.stderr is not None
    threading.Thread(target=feed, daemon=True).start()
    pumps = [
        threading.Thread(target=pump, args=(pipe.fileno(), kind), daemon=True)
        for pipe, kind in ((process.stdout, STDOUT), (process.stderr, STDERR))
    ]
    for thread in pumps:
        thread.start()
    for thread in pumps:
        thread.join()
    send(EXIT, bytes([process.wait() & 0xFF]))


class Sync:
    """Push and stat, version 1."""

    def __init__(self, stream: Stream, root: Path) -> None:
        self._stream = stream
        self._root = root

    def serve(self) -> None:
        while head := self._stream.read(8):
            name, size = struct.unpack("<4sI", head)
            if name == b"QUIT":
                return
            path = self._stream.read(size).decode()
            if name == b"STAT":
                self._stat(path)
            elif name == b"SEND":
                self._take(path.rpartition(",")[0])

    def _stat(self, path: str) -> None:
        try:
            found = self._local(path).stat()
            answer = (found.st_mode, found.st_size, int(found.st_mtime))
        except OSError:
            answer = (0, 0, 0)
        self._stream.write(struct.pack("<4s3I", b"STAT", *answer))

    def _take(self, path: str) -> None:
        target = self._local(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            while True:
                name, size = struct.unpack("<4sI", self._stream.read(8))
                if name == b"DONE":
                    break
                stream.write(self._stream.read(size))
        self._stream.write(struct.pack("<4sI", b"OKAY", 0))

    def _local(self, path: str) -> Path:
        return self._root / path.lstrip("/")


CONNECTIONS: list[Connection] = []
FORWARDS: dict[str, tuple[str, socket.socket]] = {}


def pull_the_cable(*_: object) -> None:
    for _, listening in FORWARDS.values():
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
    FORWARDS.clear()
    for connection in list(CONNECTIONS):
        connection.pull()


def reverse(connection: Connection, stream: Stream, what: str) -> None:
    verb, _, rest = what.partition(":")
    if verb.startswith("killforward"):
        for device in list(FORWARDS) if verb.endswith("-all") else [rest]:
            FORWARDS.pop(device)[1].close()
        stream.write(b"OKAY")
        return
    device, host = rest.removeprefix("norebind:").split(";")
    listening = socket.socket()
    try:
        listening.bind(("127.0.0.1", int(device.removeprefix("tcp:"))))
    except OSError as error:
        text = f"cannot bind: {error.strerror}"
        stream.write(b"FAIL" + b"%04x" % len(text) + text.encode())
        return
    listening.listen()
    port = str(listening.getsockname()[1])
    FORWARDS[f"tcp:{port}"] = (host, listening)
    threading.Thread(target=accept, args=(connection, listening, host), daemon=True).start()
    stream.write(b"OKAY" + (b"%04x" % len(port) + port.encode() if device == "tcp:0" else b""))


def accept(connection: Connection, listening: socket.socket, host: str) -> None:
    while True:
        try:
            local, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=bridge, args=(connection, local, host), daemon=True).start()


def bridge(connection: Connection, local: socket.socket, host: str) -> None:
    stream = connection.open(host)

    def up() -> None:
        while piece := local.recv(16 << 10):
            stream.write(piece)
        stream.close()

    threading.Thread(target=up, daemon=True).start()
    while (piece := stream.received.get()) is not None:
        local.sendall(piece)
    local.close()


def main(arguments: list[str]) -> None:
    root = Path(arguments[0])
    drop_after = int(arguments[arguments.index("--drop-after") + 1]) if "--drop-after" in arguments else 0
    signal.signal(signal.SIGUSR1, pull_the_cable)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        print(listening.getsockname()[1], flush=True)
        while True:
            client, _ = listening.accept()
            connection = Connection(client, root, "--deny" in arguments, drop_after)
            CONNECTIONS.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1:])
