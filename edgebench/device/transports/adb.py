"""An Android phone on USB, through the `adb` binary: its browser (`agent: browser`), or the Linux agent in its shell.

`agent: native` needs the bundle that `edgebench targets bundle` makes: glibc and CPython with their own loader.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from edgebench.device.phone import bundle, link
from edgebench.device.phone.conversation import Conversation
from edgebench.device.phone.link import Link, PageAccess
from edgebench.device.transports import _adb
from edgebench.progress import Progress
from edgebench.schema.targets import Target

FOLDER = "/data/local/tmp/edgebench"
# A page that lost its connection with the cable retries every five seconds.
RETURN_S = 7.0


def open_transport(target: Target) -> AdbBrowser | AdbShell:
    return AdbBrowser(target) if target.agent == "browser" else AdbShell(target)


class AdbBrowser:
    """The page of transport web, over the cable: localhost is secure, so it has threads and a fine clock."""

    def __init__(self, target: Target) -> None:
        self._where = f"target '{target.name}'"
        self._target = target
        self.workdir = target.workdir
        self.sha256 = link.agent_sha256()
        self._link: Link | None = None

    def connect(self, progress: Progress) -> None:
        adb = _adb.command(self._target)
        self._link = Link(self._target, PageAccess("127.0.0.1", ("localhost", "127.0.0.1")), via=[*adb, "shell"])
        self._link.start(progress)
        url = self._link.url_at(self._reverse(adb, self._link.port))  # anew: it ends when the cable is pulled
        is_open = self._link.has_page(progress, RETURN_S)
        if not is_open:
            # By stdin: the address contains the code, and every user of this machine can read a process's arguments.
            view = 'read -r page && am start -a android.intent.action.VIEW -d "$page"'
            _adb.ask(adb, "shell", view, where=self._where, given=f"{url}\n")
        if not (is_open or self._link.job_runs):
            how = f"The page opens on the phone. If it does not, unlock the phone and enter: {url}"
            self._link.wait_for_page(progress, how)
        self._link.watch(progress, url)

    def _reverse(self, adb: list[str], port: int) -> int:
        """Make the phone's localhost lead here: by the same port if possible, so that an open page finds it again."""
        wanted = [*adb, "reverse", f"tcp:{port}", f"tcp:{port}"]
        if subprocess.run(wanted, capture_output=True, timeout=_adb.TIMEOUT_S).returncode == 0:
            return port
        return int(_adb.ask(adb, "reverse", "tcp:0", f"tcp:{port}", where=self._where))

    def session(self) -> Conversation:
        assert self._link is not None
        return self._link.session()

    def close(self) -> None:
        if self._link:
            self._link.close()


class AdbShell:
    """A transport for the Linux agent. The phone's shell user owns FOLDER and may run programs there."""

    def __init__(self, target: Target) -> None:
        self._where = f"target '{target.name}'"
        self._target = target
        self.python = target.python or f"{FOLDER}/python"  # until `connect` knows the bundle
        self.workdir = target.workdir or f"{FOLDER}/agent"
        self._adb: list[str] = []

    def connect(self, progress: Progress) -> None:
        """Also sends the bundle, unless the phone has it or the target names an interpreter."""
        self._adb = _adb.command(self._target)
        if self._target.python:
            return
        packed, sha256 = bundle.find()
        folder = f"{FOLDER}/bundle-{sha256[:16]}"
        self.python = f"{folder}/python"
        there = _adb.ask(self._adb, "shell", f"[ -x {self.python} ] && echo yes || echo no", where=self._where)
        if there.strip() == "yes":
            return
        with progress.step(f"Installing Python on {self._target.name}, {packed.stat().st_size / 1e6:.0f} MB"):
            self.put(packed, f"{FOLDER}/{sha256[:16]}.tar")
            unpack = (
                f"cd {FOLDER} && rm -rf part && mkdir part && tar xf {sha256[:16]}.tar -C part "
                f"&& mv part {folder} && rm {sha256[:16]}.tar"
            )
            _adb.ask(self._adb, "shell", unpack, where=self._where)

    def put(self, source: Path, destination: str) -> None:
        folder = shlex.quote(str(Path(destination).parent))
        _adb.ask(self._adb, "shell", f"mkdir -p {folder}", where=self._where)
        _adb.ask(self._adb, "push", str(source), f"{destination}.part", where=self._where)
        quoted = shlex.quote(destination)
        _adb.ask(self._adb, "shell", f"mv {quoted}.part {quoted}", where=self._where)

    def run(self, script: str) -> subprocess.Popen[bytes]:
        # -T: no terminal in between, so bytes arrive as they are; shell protocol 2 keeps stderr and the exit code.
        return subprocess.Popen(
            [*self._adb, "shell", "-T", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        pass
