"""A worker seen from the job: start it, ask it, find out how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from . import pressure, state
from .channel import Channel, Closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class ArtifactWorker(Protocol):
        """What a job asks: a worker process, a program of its own, or a phone's page."""

        @property
        def pid(self) -> int | None: ...

        def __enter__(self) -> ArtifactWorker: ...
        def __exit__(self, *_: object) -> None: ...
        def ask(self, what: str, timeout_s: float, **arguments: Any) -> Any: ...
        def time(
            self, timeout_s: float, count: int, block: int, least_s: float = 0.0
        ) -> tuple[dict[str, Any], bytes | bytearray]: ...
        def close(self) -> None: ...


# Fits the values of a round; with 64 KiB a worker and its job would wake each other several times.
PIPE_BYTES = 1 << 18
F_SETPIPE_SZ = 1031  # fcntl has the name from Python 3.10 on
# From 1.31 on, ONNX Runtime sends telemetry, from threads of the measured process, and writes to the user's home; it
# reads this variable when it is imported.
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}


def _kept(folder: Path) -> dict[str, str]:
    """Torch keeps compiled code in a folder, by default in /tmp; here it is deleted with the job."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder / "torchinductor")}


class WorkerFailed(Exception):
    """How an artifact failed in its worker.

    kind: error | fallback | crashed | timeout | wrong; signal: the name of the one that ended it, if any.
    """

    def __init__(self, kind: str, reason: str, signal_name: str | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.signal = signal_name


def own_path() -> list[str]:
    """How to start another process of this agent: the zipapp or, in a checkout, the package."""
    container = Path(__file__).parents[1]
    return [str(container)] if container.is_file() else ["-m", __package__]


def _what_is_lacking() -> str:
    from .facts import static_facts  # only here: a job reads them once, when nothing has failed

    known = static_facts()
    found = ", ".join([known.get("cpu", "unknown"), *known["cpu_features"]])
    return ": illegal instruction: this build needs instructions that this processor lacks (it has: %s)" % found


class ModelWorkerProcess:
    def __init__(self, stderr_path: Path, environment: dict[str, str] | None = None) -> None:
        self._stderr_path = stderr_path
        self._kills = pressure.kills()
        # stderr goes to a file: a pipe that nobody drains blocks a talkative runtime forever.
        with stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, *own_path(), "worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **QUIET, **_kept(stderr_path.parent), **(environment or {})},
            )
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        with contextlib.suppress(OSError):  # needs Linux 2.6.35, and a user without too many pipes
            fcntl.fcntl(self._stdout, F_SETPIPE_SZ, PIPE_BYTES)
        self.pid = self._process.pid
        self._channel = Channel(self._stdout.fileno(), self._stdin.fileno())

    def __enter__(self) -> ModelWorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, what: str, timeout_s: float, **arguments: Any) -> Any:
        """Send one request and sleep until it is answered. Raises WorkerFailed if there is no usable answer."""
        answer = json.loads(self._exchange(what, timeout_s, {"do": what, **arguments}))
        if "error" in answer:
            raise WorkerFailed(answer["kind"], answer["error"])
        return answer["ok"]

    def time(
        self, timeout_s: float, count: int, block: int, least_s: float = 0.0
    ) -> tuple[dict[str, Any], bytes | bytearray]:
        """Time inferences: the worker's summary, and the JSON object with `values_ns` as received."""
        said = self.ask("time", timeout_s, count=count, block=block, least_s=least_s)
        return said, self._exchange("time", timeout_s)

    def _exchange(self, what: str, timeout_s: float, request: dict[str, Any] | None = None) -> bytearray:
        try:
            if request:
                self._channel.send(request)
            return self._channel.receive_line(timeout_s)
        except TimeoutError:
            held = state.stopped(self.pid)
            self.close()
            why = "; its process was stopped (SIGSTOP)" if held else ""
            raise WorkerFailed("timeout", "no answer to '%s' within %g s%s" % (what, timeout_s, why)) from None
        except ValueError as error:
            self.close()
            raise WorkerFailed("error", "its answer to '%s' cannot be used (%s)" % (what, error)) from None
        except Closed:
            raise self._how_it_ended(what) from None

    def close(self) -> None:
        """End the process if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _how_it_ended(self, what: str) -> WorkerFailed:
        # Not Popen's own wait: this one also returns the peak memory.
        _, status, used = os.wait4(self.pid, 0)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        lines = self._stderr_path.read_text(errors="replace").strip().splitlines()
        said = "; last words: %s" % lines[-1][:500] if lines else ""
        if code < 0:
            name = signal.Signals(-code).name
            hint = self._why_killed(used.ru_maxrss * 1024) if name == "SIGKILL" else ""
            hint = _what_is_lacking() if name == "SIGILL" else hint
            return WorkerFailed("crashed", "%s during '%s'%s%s" % (name, what, hint, said), name)
        return WorkerFailed("crashed", "exit code %d during '%s'%s" % (code, what, said))

    def _why_killed(self, held_bytes: int) -> str:
        """The kernel counts what it kills when memory runs out; other killers (earlyoom, Android's) do not."""
        now = pressure.kills()
        if now is None or self._kills is None or now <= self._kills:
            return " (out of memory?)"
        return ": the kernel ended it for want of memory, it held %.1f MB, %s" % (held_bytes / 1e6, pressure.room())
