"""A device reached by the system's `ssh`, with the user's keys, configuration, jump hosts and host-key checks."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from device_agents.arrival import source as program
from edgebench.errors import BadFile, LinkLost, TargetError, Unreachable, UserError
from edgebench.files import cache
from edgebench.files.plain_text import plain
from edgebench.progress import Progress
from edgebench.schema.targets import Target

CONNECT_TIMEOUT_S = 10
LOGIN_S = 25.0
# A dropped link is noticed after three times this instead of never.
KEEP_ALIVE_S = 5
# An emulated board counts instructions as time (emulator/__init__.py): under load it runs at least this much slower.
EMULATED_PATIENCE = 12.0
_SSH_FAILED = 255
# The time limit for a file: a constant, and its bytes at the slowest rate.
PUT_S, PUT_BYTES_PER_S = 30.0, 10_000.0

# What ssh prints -> what that means, what to do. {host}, {destination} and {ssh} are filled in.
_DIAGNOSES = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is not the one known here",
     "If the board was reinstalled: ssh-keygen -R {host}, then connect once by hand with: {ssh}"),
    ("Host key verification failed", "its host key is not known here yet",
     "Connect once by hand and compare the fingerprint: {ssh}"),
    ("Permission denied", "it refuses this user's login", "Set up a key: ssh-copy-id {destination}"),
    ("Could not resolve hostname", "its name is unknown in this network",
     "Set `host` in targets.yaml to its address, which your router or `hostname -I` on the board shows"),
    ("Connection refused", "the device is on, but no ssh server answers",
     "Enable ssh on the board (Raspberry Pi: sudo raspi-config, Interface Options, SSH)"),
    ("timed out", "no answer", "Is it switched on and on this network? Is `host` in targets.yaml right?"),
    ("No route to host", "no route to it", "Is it switched on and on this network? Is `host` in targets.yaml right?"),
    ("Network is unreachable", "this machine has no network", "Connect it to the network, then try again"),
)  # fmt: skip


def open_transport(target: Target) -> Ssh:
    where = f"target '{target.name}'"
    if not target.host:
        raise BadFile(where, "it has no `host`", "Add `host:` to its entry in targets.yaml")
    if target.host.startswith("-") or target.user.startswith("-"):
        raise BadFile(where, "`host` and `user` cannot start with '-'", "Correct its entry in targets.yaml")
    options: list[str] = []
    if target.ssh_config:
        config = Path(target.ssh_config.replace("{cache}", str(cache.folder()))).expanduser()
        if not config.is_file():
            if target.emulated:
                raise _emulator_is_off(where, target.host)
            raise Unreachable(where, f"{config} does not exist", "Correct `ssh_config` in targets.yaml")
        options += ["-F", str(config)]
    if target.port:
        options += ["-p", str(target.port)]
    destination = f"{target.user}@{target.host}" if target.user else target.host
    workdir = target.workdir or "~/.cache/edgebench/agent"
    return Ssh(where, options, destination, target.python or "python3", workdir, emulated=target.emulated)


class Ssh:
    def __init__(
        self, where: str, options: list[str], destination: str, python: str, workdir: str, *, emulated: bool = False
    ) -> None:
        self._emulated = emulated
        self.patience = EMULATED_PATIENCE if emulated else 1.0
        self.python = python
        self.workdir = workdir
        self._where = where
        self._options = options
        self._destination = destination
        # One connection for all commands: a new handshake takes half a second on a slow board.
        self._sockets = tempfile.TemporaryDirectory(prefix="edgebench-ssh-")

    def connect(self, progress: Progress) -> None:
        try:
            answer = subprocess.run(
                self._command("true"), capture_output=True, stdin=subprocess.DEVNULL, timeout=LOGIN_S * self.patience
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(
                self._where,
                f"no answer within {LOGIN_S * self.patience:.0f} s",
                "Is it overloaded or restarting? Try again in a minute",
            ) from None
        except FileNotFoundError:
            raise UserError(
                self._where, "`ssh` is not installed on this machine", "Install it (apt: openssh-client)"
            ) from None
        if answer.returncode == _SSH_FAILED:
            raise self.diagnose(answer.stderr.decode(errors="replace"))

    def put(self, source: Path, destination: str) -> None:
        """A partial file is removed on the device: device_agents/arrival/receive.py."""
        data = source.read_bytes()
        most_s = PUT_S * self.patience + len(data) / PUT_BYTES_PER_S
        script = (
            f"exec {remote_path(self.python)} -I -c {shlex.quote(program('receive'))} {remote_path(destination)} "
            f"{len(data)} {hashlib.sha256(data).hexdigest()}"
        )
        try:
            answer = subprocess.run(
                self._command(script),
                input=data,
                capture_output=True,
                timeout=most_s,
            )
        except subprocess.TimeoutExpired:
            raise LinkLost(
                self._where, f"{destination} did not arrive within {most_s:.0f} s",
                "Is the link very slow, or the board's disk failing? Nothing was started there; try again",
            ) from None  # fmt: skip
        if answer.returncode:
            raise self._not_put(answer.returncode, answer.stderr.decode(errors="replace"), data, destination)

    def _not_put(self, code: int, said: str, data: bytes, destination: str) -> TargetError:
        if code == _SSH_FAILED:
            return self.diagnose(said)
        if full := re.search(r"full (\d+)", said):
            return Unreachable(
                self._where,
                f"its disk is full: the agent needs {len(data) / 1e6:.2f} MB, {int(full[1]) / 1e6:.2f} MB are free at "
                f"{posixpath.dirname(destination)}",
                "Free up space there, or set `workdir` in targets.yaml to another disk",
            )
        last = plain(said.strip().splitlines()[-1]) if said.strip() else f"exit code {code}"
        return Unreachable(self._where, f"cannot write {destination} ({last})", "Free up space there, or set `workdir`")

    def run(self, script: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(["ssh", *self._mux(), "-O", "exit", self._destination], capture_output=True, timeout=5)
        self._sockets.cleanup()

    def diagnose(self, stderr: str) -> Unreachable:
        if self._emulated and "connection refused" in stderr.lower():
            return _emulator_is_off(self._where, self._destination)
        ssh = shlex.join(["ssh", *self._options, self._destination])
        for sign, seen, remedy in _DIAGNOSES:
            if sign.lower() in stderr.lower():
                host = self._destination.rpartition("@")[2]
                return Unreachable(
                    self._where, f"{seen} ({self._destination})",
                    remedy.format(host=host, destination=self._destination, ssh=ssh),
                )  # fmt: skip
        last = plain(stderr.strip().splitlines()[-1]) if stderr.strip() else "ssh gave no reason"
        return Unreachable(self._where, last, f"Try it by hand: {ssh}")

    def _command(self, script: str) -> list[str]:
        return [
            "ssh", *self._mux(), *self._options,
            "-o", "BatchMode=yes",
            "-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}",
            "-o", f"ServerAliveInterval={KEEP_ALIVE_S}", "-o", "ServerAliveCountMax=3",
            "--", self._destination, script,
        ]  # fmt: skip

    def _mux(self) -> list[str]:
        return [
            "-o",
            "ControlMaster=auto",
            "-o",
            f"ControlPath={self._sockets.name}/%C",
            "-o",
            "ControlPersist=30",
        ]


def _emulator_is_off(where: str, host: str) -> Unreachable:
    board = host.rpartition("@")[2].removeprefix("edgebench-")
    return Unreachable(where, "the emulated board is off", f"Start it with: edgebench targets emulate {board}")


def remote_path(path: str) -> str:
    """Quote a path for the remote shell, leaving a leading ~ to it."""
    if path.startswith("~/"):
        return "~/" + shlex.quote(path[2:])
    return shlex.quote(path)
