"""`deploy`'s end of the phone server (server.py): start it or find it running, wait for a phone, talk to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import device_agents
from edgebench.device.phone import assets
from edgebench.device.phone.conversation import Conversation, say_news
from edgebench.errors import Unreachable, UserError
from edgebench.files import cache
from edgebench.files.replacing import PRIVATE, write_whole
from edgebench.progress import Progress
from edgebench.schema.targets import Target

# A code lasts for a day's work with one phone, whose page may stay open.
TOKEN_LIFE_S = 12 * 3600
START_S = 20.0
PAGE_WAIT_S = 600.0


@dataclass(frozen=True)
class PageAccess:
    """How browsers reach the page. hosts: the names and addresses that they may use, the likeliest first. certificate:
    a PEM file for https; None for http.
    """

    bind: str
    hosts: tuple[str, ...]
    certificate: Path | None = None

    def url(self, port: int, token: str, host: str = "") -> str:
        return f"{'https' if self.certificate else 'http'}://{host or self.hosts[0]}:{port}/#t={token}"


class Link:
    """The server of one target. close() leaves it running; it ends by itself."""

    def __init__(self, target: Target, access: PageAccess, *, via: Sequence[str] = ()) -> None:
        """via: the command that runs the phone's shell, if it can be reached (adb)."""
        self.where = f"target '{target.name}'"
        self.workdir = Path(target.workdir or cache.folder() / "phone" / target.name).expanduser()
        self._target = target
        self._access = access
        self._via = list(via)
        self._token = ""
        self._control: Conversation | None = None
        self._watcher: Conversation | None = None
        self.url = ""
        # If so, only the job waits for the page; `deploy` must get through at once to follow or stop it.
        self.job_runs = False
        self.port = 0

    def start(self, progress: Progress) -> None:
        """Make sure that the server runs with this target's settings."""
        given = Path(self._target.assets).expanduser() if self._target.assets else None
        folder = assets.ensure(progress, given, self._target.runtimes)
        with cache.writing():
            self.workdir.mkdir(parents=True, exist_ok=True)
            self._token = self._kept_token()
        wanted = {
            "target": self._target.name,
            "threads": self._target.threads,
            "emulated": self._target.emulated,
            "workdir": str(self.workdir),
            "socket": str(_socket_path(self.workdir)),
            "assets": str(folder),
            "versions": {package.runtime: package.version for package in assets.PACKAGES},
            "folders": {package.runtime: package.folder for package in assets.PACKAGES},
            "token": self._token,
            "bind": self._access.bind,
            "hosts": list(self._access.hosts),
            "certificate": str(self._access.certificate or ""),
            "via": self._via,
            "agent": agent_sha256(),
        }
        running = self._running(wanted)
        self.port = running or self._launch(wanted)
        self.url = self.url_at(self.port)
        self._control = Conversation(_socket_path(self.workdir), self.where)
        self._check_unfollowed()

    def _check_unfollowed(self) -> None:
        """Raises UserError while another process follows the running job."""
        assert self._control is not None
        busy = self._control.ask({"do": "running"})
        self.job_runs = busy["job"] is not None
        if busy["pid"] not in (None, os.getpid()):
            raise UserError(
                self.where, f"it is busy with job {busy['job']}, which another edgebench on this machine (process "
                f"{busy['pid']}) follows",
                "Wait for that one to end, or stop it (Ctrl-C); then deploy again",
            )  # fmt: skip

    def url_at(self, port: int, host: str = "") -> str:
        return self._access.url(port, self._token, host)

    def has_page(self, progress: Progress, patience_s: float = 0.0) -> bool:
        """Whether a phone has the page open and answers now. patience_s: to wait for one that had it open before."""
        assert self._control is not None
        answer = self._control.ask({"do": "wait", "seconds": 0})
        if answer["known"] and not answer["here"] and patience_s:
            answer = self._control.ask({"do": "wait", "seconds": patience_s})
        if answer["known"] and not answer["here"]:
            progress.say(
                f"{self._target.name} had the page open but does not answer now: closed, locked or out of reach."
            )
        return bool(answer["here"])

    def wait_for_page(self, progress: Progress, how: str) -> None:
        """Until a phone has opened the page, or the one that had it open is back. how: instructions for the user."""
        control = self._control
        assert control is not None
        progress.say(how)
        give_up = time.monotonic() + PAGE_WAIT_S
        while time.monotonic() < give_up:
            answer = control.ask({"do": "wait", "seconds": 1})
            for why in answer["turned_away"]:
                progress.say(f"A browser was turned away: {why}")
            if answer["here"]:
                return
        raise Unreachable(
            self.where, f"no phone opened the page within {PAGE_WAIT_S / 60:.0f} minutes",
            "Is the phone in the same network, and does the firewall of this machine let it in? USB needs neither",
        )  # fmt: skip

    def watch(self, progress: Progress, how: str) -> None:
        """Report changes of the page's state until close(). how: instructions to open it again."""
        self._watcher = Conversation(_socket_path(self.workdir), self.where)
        threading.Thread(target=say_news, args=(self._watcher, progress, self._target.name, how), daemon=True).start()

    def session(self) -> Conversation:
        return Conversation(_socket_path(self.workdir), self.where)

    def stop(self) -> None:
        """End the server, unless a job runs."""
        assert self._control is not None
        self._control.ask({"do": "quit"})
        self._await_end()

    def close(self) -> None:
        for conversation in (self._control, self._watcher):
            if conversation:
                conversation.close()
        self._control = self._watcher = None

    def _running(self, wanted: dict[str, Any]) -> int | None:
        """The port of a server that already runs with these settings. An idle one with others is ended."""
        try:
            known = json.loads((self.workdir / "server.json").read_text())
            with contextlib.closing(Conversation(_socket_path(self.workdir), self.where)) as other:
                if known["config"] == wanted:
                    return int(known["port"])
                if not other.ask({"do": "quit"}):
                    if known["config"] == {**wanted, "token": known["config"]["token"]}:
                        # The code expired during the job; it stays valid until the end of the job.
                        self._token = known["config"]["token"]
                        return int(known["port"])
                    raise UserError(
                        self.where, "its server is running a job with other settings",
                        "Deploy with the same settings to resume it, or wait for its end",
                    )  # fmt: skip
        except (OSError, ValueError, KeyError, Unreachable):
            return None
        self._await_end()
        return None

    def _await_end(self) -> None:
        give_up = time.monotonic() + START_S
        while _socket_path(self.workdir).exists() and time.monotonic() < give_up:
            time.sleep(0.05)

    def _launch(self, wanted: dict[str, Any]) -> int:
        """Start the server; by preference on the port that it had before, so that an open page finds it again."""
        fixed = self._target.port
        for port in [fixed] if fixed else [self._last_port(), 0]:
            answer = self._try_port({**wanted, "port": port})
            if isinstance(answer, int):
                _write_private(self.workdir / "server.json", json.dumps({"config": wanted, "port": answer}))
                return answer
        raise UserError(self.where, f"the server does not start: {answer}", "Set another `port` in targets.yaml")

    def _try_port(self, config: dict[str, Any]) -> int | str:
        log = self.workdir / "server.log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "edgebench.device.phone.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # Two malloc arenas instead of forty, so that the memory of a burst of connections is returned.
                env={**os.environ, "PYTHONPATH": _import_path(), "MALLOC_ARENA_MAX": "2"},
            )
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(json.dumps(config).encode() + b"\n")
        with process, process.stdout as stdout:
            line = stdout.readline()
        if line:
            return int(json.loads(line)["port"])
        return (log.read_text().strip().splitlines() or ["it gave no reason"])[-1]

    def _last_port(self) -> int:
        try:
            return int(json.loads((self.workdir / "server.json").read_text())["port"])
        except (OSError, ValueError, KeyError):
            return 0

    def _kept_token(self) -> str:
        """128 random bits, the same for TOKEN_LIFE_S."""
        path = self.workdir / "token"
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < TOKEN_LIFE_S:
                return path.read_text()
        token = secrets.token_urlsafe(16)
        _write_private(path, token)
        return token


def agent_sha256() -> str:
    """The hash of everything that runs on the phone and of the loop that measures it."""
    digest = hashlib.sha256()
    root = Path(device_agents.__file__).parent
    server = Path(__file__).parent
    for path in sorted([*root.rglob("*.py"), *(root / "web").rglob("*.*"), *server.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _socket_path(workdir: Path) -> Path:
    """In a private folder in /tmp: a path in the cache may be longer than sockets allow (107 bytes)."""
    folder = Path(tempfile.gettempdir()) / f"edgebench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise UserError(str(folder), "other users have access to it", "Delete it")
    return folder / (hashlib.sha256(str(workdir.absolute()).encode()).hexdigest()[:16] + ".sock")


def _import_path() -> str:
    """Makes the server import this edgebench, wherever it is started."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))


def _write_private(path: Path, text: str) -> None:
    write_whole(path, text.encode(), mode=PRIVATE)
