"""Exporters' workers, forked from a process that has imported their libraries.

Importing torch and litert-torch takes up to 5 s of processor time, and the tests start hundreds of workers. A forked
one is a process of its own with pipes, signals and an exit status of its own; it shares nothing but imported modules
(and the seed of Python's hashes) with others. Commands that tests start as users do start their workers as ever.

    tests' process ── socket ──> this module's process ── fork ──> a worker ── status ──> tests' process
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

# Not onnxruntime and TensorFlow: they start threads, which a forked process would lack.
LIBRARIES = ("torch", "torchvision", "litert_torch", "torch.export", "onnx", "onnxscript")
WORKER = "exporters.workers.worker"
REPOSITORY = Path(__file__).parents[2]


class ForkedWorkers:
    """Stands for `subprocess` where workers are started. Everything but a worker is started as ever."""

    PIPE = subprocess.PIPE

    def __init__(self) -> None:
        self._connection: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.fork = True

    def Popen(self, command: list[str], *, stderr: Any, env: dict[str, str], pass_fds: tuple[int], **pipes: Any) -> Any:  # noqa: N802
        words = command[command.index("-m") + 1 :] if "-m" in command else []
        if not self.fork or words[:1] != [WORKER]:
            return subprocess.Popen(command, stderr=stderr, env=env, pass_fds=pass_fds, **pipes)
        with self._lock:
            return ForkedProcess(self._connected(), words[1:3], stderr.fileno(), env, pass_fds[0])

    def close(self) -> None:
        if self._connection is not None and self._process is not None:
            self._connection.close()
            self._process.wait()

    def _connected(self) -> socket.socket:
        if self._connection is None:
            self._connection, theirs = socket.socketpair()
            environment = os.environ | {
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(REPOSITORY),
                "CUDA_VISIBLE_DEVICES": "",
            }
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                env=environment, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            theirs.close()
        return self._connection


class ForkedProcess:
    """What `subprocess.Popen` is to a worker's caller."""

    def __init__(
        self, connection: socket.socket, words: list[str], log: int, env: dict[str, str], lifeline: int
    ) -> None:
        (task, stdin), (stdout, answers), (status, ended) = os.pipe(), os.pipe(), os.pipe()
        try:
            request = json.dumps({"words": words, "environment": env, "folder": str(Path.cwd())}).encode()
            socket.send_fds(
                connection, [len(request).to_bytes(4, "big") + request], [task, answers, log, lifeline, ended]
            )
            self.pid = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
            self._handle = os.pidfd_open(self.pid)
            connection.send(b"1")
        finally:
            for one in (task, answers, ended):
                os.close(one)
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
        self._status = status
        self.returncode: int | None = None

    def poll(self) -> int | None:
        has_ended = self.returncode is None and select.select([self._handle], [], [], 0)[0]
        return self.wait() if has_ended else self.returncode

    def wait(self, timeout: float | None = None) -> int:
        assert timeout is None, "no worker is waited for with a limit"
        if self.returncode is None:
            said = os.read(self._status, 16)
            self.returncode = int(said) if said else -signal.SIGKILL
            os.close(self._status)
            os.close(self._handle)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)


def serve(connection: socket.socket) -> None:
    """Fork a worker for every request, and tell its caller how it ended."""
    waking, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, which end this
    running: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if waking in ready:
                os.read(waking, 4096)
                _reap(running)
            if connection.fileno() in ready and not _fork(connection, running):
                return


def _reap(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        ended = running.pop(pid)
        os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(ended)


def _fork(connection: socket.socket, running: dict[int, int]) -> bool:
    """False when the tests have ended."""
    first, handles, _, _ = socket.recv_fds(connection, 1 << 20, 5)
    if not first:
        return False
    while len(first) < 4 + int.from_bytes(first[:4], "big"):
        first += connection.recv(1 << 20)
    pid = os.fork()
    if not pid:
        for ended in running.values():
            os.close(ended)
        connection.close()
        _work(json.loads(first[4:]), handles)
    running[pid] = handles.pop()
    for one in handles:
        os.close(one)
    connection.send(pid.to_bytes(4, "big"))
    connection.recv(1)  # it has a handle of the process: the number cannot become another's
    return True


def _work(request: dict[str, Any], handles: list[int]) -> None:
    """Becomes the worker, in the forked process."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        *streams, lifeline, ended = handles
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.close(ended)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        tempfile.tempdir = None
        _use_path(os.environ["PYTHONPATH"].split(os.pathsep))
        action, plugin = request["words"]
        sys.argv = ["worker", action, plugin, str(lifeline)]
        status = importlib.import_module(WORKER).main(action, plugin, str(lifeline))
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _use_path(folders: list[str]) -> None:
    """As Python does with PYTHONPATH when it starts."""
    new = [folder for folder in folders if folder not in sys.path]
    sys.path[:0] = new
    for folder in new:
        if Path(folder, "sitecustomize.py").exists():
            runpy.run_path(str(Path(folder, "sitecustomize.py")))


if __name__ == "__main__":
    for library in LIBRARIES:
        try:
            importlib.import_module(library)
        except ImportError:  # the worker says so itself
            continue
    importlib.import_module(WORKER)
    gc.collect()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
