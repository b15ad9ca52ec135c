"""Debian's packages for the board: downloaded, their signatures verified, and only extracted.

No maintainer script runs and no ARM instruction is executed; `rootfs.py` replaces the few things that the
scripts would do. So an image takes seconds to make.
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
# All runtimes need libstdc++; Raspberry Pi OS has it, a minimal Debian does not.
_FOR_RUNTIMES = ["libstdc++6"]
# The kernel for virtual machines: small, with the virtio drivers.
_FOR_BOOTING = ["linux-image-cloud-arm64", "busybox-static"]

_MIRROR_VARIABLE = "EDGEBENCH_DEBIAN_MIRROR"


def mirror() -> str:
    """The package mirror of this computer's apt, or $EDGEBENCH_DEBIAN_MIRROR."""
    if chosen := os.environ.get(_MIRROR_VARIABLE):
        return chosen
    remedy = f"Set {_MIRROR_VARIABLE} to a Debian mirror, or build on a Debian computer"
    targets = run_tool(
        "apt-get", "indextargets", "--format", "$(REPO_URI)",
        "Created-By: Packages", "Component: main", "Origin: Debian", "Label: Debian",
        remedy=remedy,
    ).stdout.split()  # fmt: skip
    if not targets:
        raise UserError("package mirror", "apt on this computer has no Debian mirror", remedy)
    return targets[0]


def extract_packages(suite: str, tree: Path) -> None:
    """Extract the packages' files into `tree`, with owners and modes (needs root or fakeroot)."""
    _merge_usr(tree)
    source = mirror()
    run_tool(
        "mmdebstrap", "--mode=root", "--arch=arm64", "--variant=extract", "--format=directory",
        # Nothing is executed, so no emulation is needed; the folder already contains the links made above.
        "--skip=check/qemu,check/empty",
        "--include=" + ",".join(_BASE + _FOR_RUNTIMES + _FOR_BOOTING),
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        suite, tree, source,
        remedy="Does `apt-get update` work here? The package mirror must be reachable and have arm64; "
        f"{_MIRROR_VARIABLE} selects another one",
    )  # fmt: skip


def _merge_usr(tree: Path) -> None:
    """/bin is a link to /usr/bin etc., as on every Debian since 12; the packages do not contain the links."""
    for name in ("bin", "sbin", "lib"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
