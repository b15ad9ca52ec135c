"""A worker seen from the job: start it, ask it, find out how it ended."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from . import state
from .channel import Channel, Closed

# The values of a round go through in one go; in 64 KiB a worker and its job wake one another several times.
PIPE_BYTES = 1 << 18
F_SETPIPE_SZ = 1031  # fcntl has the name from Python 3.10 on


# ONNX Runtime from 1.31 on tells its maker what it does, from threads of the measured process, and writes into the
# user's home; it looks at this when it is imported.
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}


class WorkerFailed(Exception):
    """What the artifact did to its worker.

    kind: error | fallback | crashed | timeout; signal: its name, if one ended it.
    """

    def __init__(self, kind, reason, signal_name=None):
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.signal = signal_name


def own_path():
    """How to start another process of this agent: the zipapp or, in a checkout, the package."""
    container = Path(__file__).parents[1]
    return [str(container)] if container.is_file() else ["-m", __package__]


class WorkerProcess:
    def __init__(self, stderr_path, environment=None):
        self._stderr_path = stderr_path
        # stderr goes to a file: a pipe that nobody drains blocks a talkative runtime for ever.
        with stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, *own_path(), "worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **QUIET, **(environment or {})},
            )
        with contextlib.suppress(OSError):  # from Linux 2.6.35 on, where the user's pipes are not too many
            fcntl.fcntl(self._process.stdout, F_SETPIPE_SZ, PIPE_BYTES)
        self.pid = self._process.pid
        self._channel = Channel(self._process.stdout.fileno(), self._process.stdin.fileno())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, what, timeout_s, **arguments):
        """Send one request and sleep until it is answered. Raises WorkerFailed for everything but an answer."""
        answer = json.loads(self._exchange(what, timeout_s, {"do": what, **arguments}))
        if "error" in answer:
            raise WorkerFailed(answer["kind"], answer["error"])
        return answer["ok"]

    def time(self, timeout_s, **asked):
        """Timed values: what the worker says of them, and the JSON object with `values_ns` as it came."""
        said = self.ask("time", timeout_s, **asked)
        return said, self._exchange("time", timeout_s)

    def _exchange(self, what, timeout_s, request=None):
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

    def close(self):
        """End the process if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _how_it_ended(self, what):
        code = self._process.wait()
        lines = self._stderr_path.read_text(errors="replace").strip().splitlines()
        said = "; last words: %s" % lines[-1][:500] if lines else ""
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return WorkerFailed("crashed", "%s during '%s'%s%s" % (name, what, hint, said), name)
        return WorkerFailed("crashed", "exit code %d during '%s'%s" % (code, what, said))
