"""Makes the disk, kernel and keys of an emulated board from Debian's packages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from os import geteuid
from pathlib import Path

from edgebench.device.emulator import qemu, rootfs
from edgebench.device.emulator.boards import EmulatedBoard
from edgebench.device.emulator.cache import Say, image_key, made_whole
from edgebench.device.emulator.debian import extract_packages
from edgebench.device.emulator.files import BoardImage
from edgebench.device.emulator.host_tools import require, run_tool
from edgebench.device.emulator.initramfs import make_initramfs
from edgebench.errors import UserError

_DISK_SIZE = "3G"  # sparse: unused parts take no space


def ensure_image(board: EmulatedBoard, folder: Path, say: Say) -> BoardImage:
    """The image of `board` for this QEMU and these sources, built if it is missing.

    The caller holds the lock on `folder`. Images of other versions are deleted once the new one exists.
    """
    require(building=not any(folder.glob("image-*")))
    image = BoardImage(folder / f"image-{image_key(board, qemu.version())}")
    if image.folder.exists():
        return image
    require(building=True)
    started = time.monotonic()
    say(f"building the image of {board.name} (once; takes a minute or two)")
    with made_whole(image.folder) as out:
        if geteuid() == 0:
            build_image(board, out, say)
        else:
            _build_under_fakeroot(board, out, say)
    for other in folder.glob("image-*"):
        if other != image.folder:
            shutil.rmtree(other, ignore_errors=True)
    say(f"image built in {time.monotonic() - started:.0f} s")
    return image


def build_image(board: EmulatedBoard, out: Path, say: Say) -> None:
    """Make every file of a BoardImage in `out`, except the snapshot.

    Needs root or fakeroot, because the files in the image have owners. Does not execute programs of the board.
    """
    image, tree = BoardImage(out), out / "tree"
    _make_key(image.login_key)
    _make_key(image.host_key)

    say(f"downloading and extracting Debian {board.suite} for arm64")
    extract_packages(board.suite, tree)

    say("making kernel, initramfs and device tree")
    shutil.copyfile(_only(tree / "boot", "vmlinuz-*"), image.kernel)
    init, busybox = rootfs.GUEST_FILES / "initramfs-init", tree / "usr/bin/busybox"
    image.initramfs.write_bytes(make_initramfs(init, busybox, tree / "usr/lib/modules"))
    qemu.make_device_tree(board, image.device_tree)

    say("configuring the system")
    rootfs.prune(tree)
    login_key = image.login_key.with_suffix(".pub").read_text()
    rootfs.configure(tree, board, login_key=login_key, host_key=image.host_key)
    rootfs.compile_stdlib(tree)

    say("writing the disk")
    _make_disk(tree, image.disk)
    shutil.rmtree(tree)


def _make_key(path: Path) -> None:
    run_tool(
        "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "edgebench-emulator", "-f", path,
        remedy="Is the disk full?",
    )  # fmt: skip


def _make_disk(tree: Path, disk: Path) -> None:
    # No journal and no checksums: the disk is discarded after each run, and both cost emulated time.
    run_tool(
        "mke2fs", "-q", "-F", "-t", "ext4", "-L", "rootfs", "-m", "0", "-O", "^metadata_csum,^has_journal",
        "-E", "lazy_itable_init=1", "-d", tree, disk, _DISK_SIZE,
        remedy="Is the disk full?",
    )  # fmt: skip


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def _build_under_fakeroot(board: EmulatedBoard, out: Path, say: Say) -> None:
    """`build_image` in a process of its own, where chown works and root owns everything."""
    command = ["fakeroot", "--", sys.executable, "-m", "edgebench.device.emulator", board.name, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip("\n"))
    if process.returncode:
        report = out / "error.json"
        if report.exists():
            raise UserError(*json.loads(report.read_text()))
        raise subprocess.CalledProcessError(process.returncode, command)
