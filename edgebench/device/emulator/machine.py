"""A running emulated board: boot, snapshot, resume, stop, and the network link."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import edgebench
from edgebench.device.emulator import monitor, qemu
from edgebench.device.emulator.boards import EmulatedBoard, find_board
from edgebench.device.emulator.cache import Say, board_folder, locked
from edgebench.device.emulator.files import BoardImage
from edgebench.device.emulator.image import ensure_image
from edgebench.errors import Unreachable, UserError

_BOOT_TIMEOUT_S = 180.0
_RESUME_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 10.0


def _silent(line: str) -> None:
    pass


@dataclass(frozen=True)
class EmulatedMachine:
    """The machine in the folder `run`, whether it is running or not."""

    name: str
    run: Path

    @property
    def ssh_config(self) -> Path:
        return self.run / "ssh_config"

    @property
    def host_alias(self) -> str:
        """The host's name in `ssh_config`."""
        return f"edgebench-{self.name}"

    def is_running(self) -> bool:
        return self._pid() is not None

    def link(self, up: bool) -> None:
        """Plug the board's network cable in or pull it: packets are lost, connections stay open.

        Plugged in again, open connections continue within a second or two; a new login after a failed
        one can take seven seconds, until TCP tries again.
        """
        with monitor.connect(self.run / qemu.MONITOR) as qmp:
            qmp.execute("set_link", name=qemu.NETWORK, up=up)

    def stop(self) -> None:
        """Power off. What the board wrote is lost; `ssh_config` stays, because targets name its path."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            while (pid := self._pid()) is not None and time.monotonic() < deadline:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
                time.sleep(0.05)
        for name in (qemu.DISK, qemu.MONITOR, qemu.PID):
            (self.run / name).unlink(missing_ok=True)

    def _pid(self) -> int | None:
        """The pid of our QEMU; None if it does not run, also if another program now has that pid."""
        pid_file = self.run / qemu.PID
        try:
            pid = int(pid_file.read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(pid_file) in words else None


def ensure_running(board: str, *, root: Path | None = None, progress: Say = _silent) -> EmulatedMachine:
    """The shared machine of this board; builds its image and starts it if need be.

    A running one is left as it is, even if an older version of these sources started it.
    root: the cache folder, in place of $EDGEBENCH_CACHE or ~/.cache/edgebench.
    """
    spec = find_board(board)
    machine = find(board, root=root)
    folder = board_folder(spec, root)
    with locked(folder, progress):
        if machine.is_running():
            return machine
        image = _image_with_snapshot(spec, folder, progress)
        with _stopped_on_failure(machine):
            _resume(spec, image, machine)
            _wait_for_ssh(machine, _RESUME_TIMEOUT_S)
    progress(f"{board} is running: ssh -F {shlex.quote(str(machine.ssh_config))} {machine.host_alias}")
    return machine


def find(board: str, *, root: Path | None = None) -> EmulatedMachine:
    """The machine of `ensure_running`, running or not; does not start it."""
    spec = find_board(board)
    return EmulatedMachine(spec.name, board_folder(spec, root) / "run")


def start(board: str, *, run: Path, root: Path | None = None, progress: Say = _silent) -> EmulatedMachine:
    """A private machine in the folder `run`, started from the snapshot; the caller stops it."""
    spec = find_board(board)
    machine = EmulatedMachine(spec.name, run.resolve())
    folder = board_folder(spec, root)
    if machine.is_running():
        raise UserError(str(run), "a machine already runs in this folder", "Stop it, or use another folder")
    with _stopped_on_failure(machine):
        with locked(folder, progress):
            image = _image_with_snapshot(spec, folder, progress)
            _resume(spec, image, machine)
        _wait_for_ssh(machine, _RESUME_TIMEOUT_S)
    return machine


@contextmanager
def borrowed(board: str, *, root: Path | None = None, progress: Say = _silent) -> Iterator[EmulatedMachine]:
    """The shared machine if it is running; else a private one, which ends with the block or with this process."""
    shared = find(board, root=root)
    if shared.is_running():
        yield shared
        return
    folder = board_folder(find_board(board), root)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as run, _ends_with_us(Path(run), "private"):
        machine = start(board, run=Path(run), root=root, progress=progress)
        try:
            yield machine
        finally:
            machine.stop()


def take_snapshot(board: EmulatedBoard, image: BoardImage, say: Say) -> None:
    """Boot once, warm up, and save the whole state of the machine as `image.snapshot`."""
    started = time.monotonic()
    say(f"booting {board.name} for its snapshot (once; takes about ten seconds)")
    machine = EmulatedMachine(board.name, image.folder / "snapshot-run")
    machine.stop()  # a killed process may have left one behind
    _prepare_run_folder(machine, image)
    qemu.create_disk(machine.run / qemu.DISK, on_top_of=image.disk)
    try:
        with _stopped_on_failure(machine):
            qemu.launch(board, image, machine.run, resume=False)
            _write_ssh_config(machine)
            _wait_for_ssh(machine, _BOOT_TIMEOUT_S)
            _warm_up(machine)
            with monitor.connect(machine.run / qemu.MONITOR) as qmp:
                qmp.execute("stop")
                if complaint := qmp.human(f"savevm {qemu.SNAPSHOT}").strip():
                    raise UserError("QEMU's snapshot", complaint, "Is the disk full?")
                qmp.execute("quit")
            _wait_until_ended(machine)
        (machine.run / qemu.DISK).rename(image.snapshot)
    finally:
        machine.stop()
        shutil.rmtree(machine.run, ignore_errors=True)
    say(f"snapshot taken in {time.monotonic() - started:.0f} s")


def _image_with_snapshot(board: EmulatedBoard, folder: Path, say: Say) -> BoardImage:
    image = ensure_image(board, folder, say)
    if not image.snapshot.exists():
        take_snapshot(board, image, say)
    return image


def _resume(board: EmulatedBoard, image: BoardImage, machine: EmulatedMachine) -> None:
    _prepare_run_folder(machine, image)
    disk = machine.run / qemu.DISK
    shutil.copyfile(image.snapshot, disk)
    qemu.rebase_disk(disk, on_top_of=image.disk)
    qemu.launch(board, image, machine.run, resume=True)
    _write_ssh_config(machine)


def _prepare_run_folder(machine: EmulatedMachine, image: BoardImage) -> None:
    """Keys are copied, because the image may be replaced while this machine runs."""
    machine.stop()
    machine.run.mkdir(parents=True, exist_ok=True)
    (machine.run / qemu.CONSOLE).unlink(missing_ok=True)
    shutil.copy(image.login_key, machine.run / "id_ed25519")
    algorithm, key, *_ = image.host_key.with_suffix(".pub").read_text().split()
    (machine.run / "known_hosts").write_text(f"{machine.host_alias} {algorithm} {key}\n")


def _write_ssh_config(machine: EmulatedMachine) -> None:
    with monitor.connect(machine.run / qemu.MONITOR) as qmp:
        port = qmp.ssh_port()
    # A percent sign in a path would start a token.
    folder = str(machine.run).replace("%", "%%")
    lines = [
        f"Host {machine.host_alias}",
        "  HostName 127.0.0.1",
        f"  Port {port}",
        "  User pi",
        f'  IdentityFile "{folder}/id_ed25519"',
        "  IdentitiesOnly yes",
        f"  HostKeyAlias {machine.host_alias}",
        f'  UserKnownHostsFile "{folder}/known_hosts"',
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  HostKeyAlgorithms ssh-ed25519",
        "  KexAlgorithms curve25519-sha256",
        "  ConnectTimeout 60",
        "  LogLevel ERROR",
    ]
    machine.ssh_config.write_text("\n".join(lines) + "\n")


def _wait_for_ssh(machine: EmulatedMachine, timeout_s: float) -> None:
    """Until a login works; it also sets the clock, which stopped at the snapshot."""
    deadline = time.monotonic() + timeout_s
    while True:
        # QEMU accepts connections before the board listens, hence the short time-out.
        answer = _ssh(machine, f"sudo date -s @{time.time():.0f}", "-o", "ConnectTimeout=5")
        if answer.returncode == 0:
            return
        if not machine.is_running():
            seen = f"QEMU has ended; the board's console: {qemu.console_tail(machine.run)}"
            remedy = "Start it again; if this happens again, delete the board's folder in edgebench's cache"
            raise Unreachable(machine.host_alias, seen, remedy)
        if time.monotonic() > deadline:
            seen = f"no login after {timeout_s:.0f} s ({answer.stderr.strip() or answer.returncode})"
            seen += f"; the board's console: {qemu.console_tail(machine.run)}"
            raise Unreachable(machine.host_alias, seen, "Is this computer busy? Try again")
        time.sleep(0.1)


def _warm_up(machine: EmulatedMachine) -> None:
    """Compile and read once what every session needs, so that it is in the snapshot's memory."""
    library = "/usr/lib/python3.*"
    compile_library = f"sudo python3 -m compileall -q --invalidation-mode unchecked-hash {library}"
    steps = [
        f"ls {library}/__pycache__/os.*.pyc >/dev/null 2>&1 || {compile_library}",
        "python3 -c 'import ctypes, hashlib, json, logging, platform, subprocess, zipfile'",
        "tar --version >/dev/null; sudo sync",
    ]
    for step in steps:
        answer = _ssh(machine, step)
        if answer.returncode:
            raise UserError(machine.host_alias, f"{step}: {answer.stderr.strip()}", "Try again")


def _ssh(machine: EmulatedMachine, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["ssh", "-F", str(machine.ssh_config), "-o", "BatchMode=yes", *options]
    words += [machine.host_alias, command]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def _wait_until_ended(machine: EmulatedMachine) -> None:
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while machine.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)


@contextmanager
def _stopped_on_failure(machine: EmulatedMachine) -> Iterator[None]:
    """Also on Ctrl-C and if this process is killed: a half-started machine must not be taken for a running one."""
    with _ends_with_us(machine.run):
        try:
            yield
        except BaseException:  # Ctrl-C included
            machine.stop()
            raise


@contextmanager
def _ends_with_us(run: Path, *kind: str) -> Iterator[None]:
    """Within the block another process waits for the end of this one, and then stops the machine (ending.py)."""
    command = [sys.executable, "-P", "-m", "edgebench.device.emulator.ending", str(run), *kind]
    paths = [str(Path(edgebench.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    # A session of its own: a signal from the terminal to this process must not end the other.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    ) as waiting:  # fmt: skip
        try:
            yield
        finally:
            with suppress(BrokenPipeError):
                waiting.communicate(b"done")
