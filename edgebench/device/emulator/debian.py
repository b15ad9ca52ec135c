"""Debian's packages for the board: downloaded, their signatures checked, and only extracted.

No maintainer script runs and no ARM instruction is executed; `rootfs.py` does the few things that the
scripts would have done. That is what makes an image a matter of seconds.
"""

from __future__ import annotations

import os
from pathlib import Path

from edgebench.device.emulator.host_tools import run_tool
from edgebench.errors import UserError

_BASE = [
    "base-files", "base-passwd", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep",
    "gzip", "hostname", "iproute2", "libc-bin", "libpam-modules", "libpam-runtime", "login", "mawk", "mount",
    "ncurses-base", "openssh-server", "openssh-sftp-server", "passwd", "procps", "python3", "sed", "sudo",
    "sysvinit-utils", "tar", "util-linux",
]  # fmt: skip
# Every runtime's wheel needs libstdc++; Raspberry Pi OS has it, a minimal Debian does not.
_FOR_RUNTIMES = ["libstdc++6"]
# The kernel made for virtual machines: small, and it has the virtio drivers.
_FOR_BOOTING = ["linux-image-cloud-arm64", "busybox-static"]

_MIRROR_VARIABLE = "EDGEBENCH_DEBIAN_MIRROR"


def mirror() -> str:
    """The package mirror that this computer's own apt uses, or the one in $EDGEBENCH_DEBIAN_MIRROR."""
    if chosen := os.environ.get(_MIRROR_VARIABLE):
        return chosen
    remedy = f"Name a Debian mirror in {_MIRROR_VARIABLE}, or build on a Debian computer"
    targets = run_tool(
        "apt-get", "indextargets", "--format", "$(REPO_URI)",
        "Created-By: Packages", "Component: main", "Origin: Debian", "Label: Debian",
        remedy=remedy,
    ).stdout.split()  # fmt: skip
    if not targets:
        raise UserError("package mirror", "apt on this computer knows no Debian mirror", remedy)
    return targets[0]


def extract_packages(suite: str, tree: Path) -> None:
    """Fill `tree` with the packages' files, owners and modes (needs root or fakeroot)."""
    _merge_usr(tree)
    source = mirror()
    run_tool(
        "mmdebstrap", "--mode=root", "--arch=arm64", "--variant=extract", "--format=directory",
        # Nothing is executed, so no emulation is needed; and the folder holds the links made above.
        "--skip=check/qemu,check/empty",
        "--include=" + ",".join(_BASE + _FOR_RUNTIMES + _FOR_BOOTING),
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        suite, tree, source,
        remedy="Does `apt-get update` work here? The package mirror must be reachable and hold arm64; "
        f"{_MIRROR_VARIABLE} names another one",
    )  # fmt: skip


def _merge_usr(tree: Path) -> None:
    """/bin is a link to /usr/bin, and so on, as on every Debian since 12; packages do not bring the links."""
    for name in ("bin", "sbin", "lib"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
