"""The programs of this computer that the emulator needs: whether they are installed, and running them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

from edgebench.errors import UserError

# Program -> Debian package.
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "fdtput": "device-tree-compiler",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
_ROOM = "Free some space there, or set EDGEBENCH_CACHE to another folder"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# mke2fs is in /sbin, which is not on the PATH of ordinary users.
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing_packages(*, building: bool) -> dict[str, str]:
    """{what is not installed: the Debian package that contains it}.

    building: an image must be made; else one is in the cache and only needs to be started.
    """
    needed = dict(PACKAGES)
    if not building:
        needed = {tool: needed[tool] for tool in ("qemu-system-aarch64", "qemu-img", "ssh")}
    elif os.geteuid() != 0:
        needed["fakeroot"] = "fakeroot"
    missing = {tool: package for tool, package in needed.items() if not _find(tool)}
    if building and not _KEYRING.exists():
        missing[str(_KEYRING)] = "debian-archive-keyring"
    return missing


def require(*, building: bool) -> None:
    missing = missing_packages(building=building)
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        raise UserError(
            "emulated board",
            f"not installed on this computer: {', '.join(missing)}",
            f"On Debian: apt-get install --no-install-recommends {packages}",
        )


def run_tool(*command: str | Path, cwd: Path | None = None, remedy: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; a failure becomes a UserError that quotes the program's complaint."""
    words = [str(word) for word in command]
    words[0] = _find(words[0]) or words[0]
    try:
        done = subprocess.run(words, cwd=cwd, text=True, errors="replace", capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError(words[0], "not installed on this computer", remedy) from None
    if done.returncode:
        said = done.stdout + done.stderr
        seen = _complaint(said) or "no message"
        if os.strerror(errno.ENOSPC) in said:
            remedy = _ROOM
        raise UserError(Path(words[0]).name, f"exit code {done.returncode}: {seen}", remedy)
    return done


def last_lines(text: str, count: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:])


def _complaint(text: str) -> str:
    """The first error in apt's style, since later ones only repeat that something failed; else the last lines."""
    for line in text.splitlines():
        if line.startswith("E: "):
            return line
    return last_lines(text, 5)


def _find(tool: str) -> str | None:
    return shutil.which(tool, path=_SEARCH_PATH)
