"""A board that is this machine: a real sshd on loopback, reached through a proxy, with folders of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgebench.schema.targets import Target
from tests.support.faults.proxy import Proxy

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass
class Board:
    """target: how `deploy` reaches it. workdir: where its agent keeps its files; tmp: its folder for what is temporary;
    boot: the file that says which start of the board this is.
    """

    target: Target
    proxy: Proxy
    workdir: Path
    tmp: Path
    boot: Path
    ssh_config: Path
    process: subprocess.Popen[bytes]

    def close(self) -> None:
        """Ends everything that runs on it: a stopped process would stay until the machine ends."""
        self.proxy.close()
        self.process.kill()
        self.process.wait()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """What the agent started, by the lock that this board's processes are told of."""
        mark = f"EDGEBENCH_LOCK={self.ssh_config.parent}/lock".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found


def start(folder: Path, **options: object) -> Board:
    """options: of the target. Skips the test without sshd."""
    if not Path(SSHD).exists():
        pytest.skip("no ssh server on this machine (Debian: openssh-server)")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "login"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "login.pub", folder / "authorized_keys")
    tmp, workdir, system = folder / "tmp", folder / "agent", folder / "system"
    tmp.mkdir()
    boot = system / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("first\n")
    port = _free_port()
    process = _launch(folder, port, tmp, system)
    proxy = Proxy(port)
    config = folder / "ssh_config"
    config.write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {proxy.port}\n  IdentityFile {folder}/login\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n  StrictHostKeyChecking accept-new\n"
        "  GlobalKnownHostsFile /dev/null\n  LogLevel ERROR\n"
    )
    target = Target(
        name="board", transport="ssh", host="board", ssh_config=str(config),
        **{"python": sys.executable, "workdir": str(workdir), **options},  # type: ignore[arg-type]
    )  # fmt: skip
    return Board(target, proxy, workdir, tmp, boot, config, process)


def _launch(folder: Path, port: int, tmp: Path, system: Path) -> subprocess.Popen[bytes]:
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # an unprivileged sshd has no other user to be
    environment = {
        "EDGEBENCH_LOCK": str(folder / "lock"),
        "EDGEBENCH_SYSROOT": str(system),
        "TMPDIR": str(tmp),
        "HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "",
    }
    (folder / "home").mkdir()
    lines = [
        "ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {folder}/host", "PidFile none", "UsePAM no",
        f"AuthorizedKeysFile {folder}/authorized_keys", "StrictModes no", "PermitRootLogin yes", "LogLevel ERROR",
        "SetEnv " + " ".join(f'{name}="{value}"' for name, value in environment.items()),
    ]  # fmt: skip
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return process
        assert process.poll() is None, (folder / "sshd.log").read_text()
        time.sleep(0.02)
    raise AssertionError("sshd does not answer")


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def small_disk(folder: Path, size: str = "8m") -> bool:
    """Put a file system of so many bytes there; False where only root may."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() != 0:
        return False
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "edgebench-test", str(folder)])
    return done.returncode == 0


def remove_disk(folder: Path) -> None:
    subprocess.run(["umount", "-l", str(folder)], check=True)


def scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="eb-faults-"))
