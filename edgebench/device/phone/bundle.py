"""glibc and Python for the Linux agent on Android, which has neither: a folder that works in any place.

    python               a script that starts ...
    lib/ld-linux-aarch64.so.1     ... this loader with ...
    lib/*.so.*                    ... these libraries and ...
    bin/python3                   ... this interpreter
    lib/python3.11/      its standard library

Extracted from Debian's packages for arm64, which are never executed here. The runtimes follow as on every board: as
wheels, by the agent. So phones and a Raspberry Pi are measured with the same agent, builds of runtimes and protocol.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from edgebench.device.emulator.debian import mirror
from edgebench.device.emulator.host_tools import run_tool
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.progress import Progress

SUITE = "bookworm"
PYTHON = "python3.11"
_PACKAGES = ("libc6", "libgcc-s1", "libstdc++6", f"lib{PYTHON}-stdlib", f"{PYTHON}-minimal")
_LIBRARIES = (
    "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1",
    "libresolv.so.2", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "libexpat.so.1", "libffi.so.8", "libbz2.so.1.0",
    "liblzma.so.5", "libuuid.so.1", "libcrypto.so.3",
)  # fmt: skip
# Parts of the standard library that nothing on a phone imports, or that need libraries which are left out.
_LEFT_OUT = ("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo", "unittest")
_MODULES_LEFT_OUT = ("_ssl", "_sqlite3", "_curses", "_curses_panel", "readline", "_dbm", "nis", "_crypt")
START = """\
#!{shell}
here="${{0%/*}}"
exec {runner}"$here/lib/ld-linux-aarch64.so.1" --library-path "$here/lib" --argv0 "$0" "$here/bin/python3" "$@"
"""
_EPOCH = 1577836800


def path() -> Path:
    return cache.folder() / "android" / f"bundle-{SUITE}.tar"


def find() -> tuple[Path, str]:
    """The bundle and its sha256. Raises UserError if it has not been made yet."""
    made = path()
    if not made.is_file():
        raise UserError(
            "Android", "the bundle for phones (glibc and CPython for ARM64) has not been made yet",
            "Make it once, in half a minute: edgebench targets bundle; or use the browser: `agent: browser`",
        )  # fmt: skip
    with made.open("rb") as stream:
        return made, hashlib.file_digest(stream, "sha256").hexdigest()


def build(progress: Progress, *, shell: str = "/system/bin/sh", runner: str = "") -> Path:
    """Download, extract and pack; the same packages give the same bytes.

    shell: interprets the start script. runner: runs ARM64 programs (an emulator, in tests).
    """
    made = path()
    with cache.writing():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as scratch:
            _build(Path(scratch), progress, shell, runner).replace(made)
    return made


def _build(scratch: Path, progress: Progress, shell: str, runner: str) -> Path:
    tree, folder = scratch / "tree", scratch / "bundle"
    with progress.step(f"Downloading Debian {SUITE} packages for ARM64"):
        _extract(tree)
    _lay_out(tree, folder)
    (folder / "python").write_text(START.format(shell=shell, runner=runner))
    (folder / "python").chmod(0o755)
    with progress.step("Packing"):
        _pack(folder, scratch / "packed")
    return scratch / "packed"


def _extract(tree: Path) -> None:
    run_tool(
        "mmdebstrap", "--mode=chrootless", "--arch=arm64", "--variant=extract", "--format=directory",
        "--skip=check/qemu,check/empty,check/chrootless", "--include=" + ",".join(_PACKAGES),
        '--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"',
        SUITE, tree, mirror(),
        remedy="Does `apt-get update` work here? The Debian packages mmdebstrap and debian-archive-keyring are needed",
    )  # fmt: skip


def _lay_out(tree: Path, folder: Path) -> None:
    (folder / "lib").mkdir(parents=True)
    (folder / "bin").mkdir()
    for name in _LIBRARIES:
        shutil.copyfile(_library(tree, name), folder / "lib" / name)
    (folder / "lib/ld-linux-aarch64.so.1").chmod(0o755)
    shutil.copyfile(tree / "usr/bin" / PYTHON, folder / "bin/python3")
    (folder / "bin/python3").chmod(0o755)
    left_out = shutil.ignore_patterns("__pycache__", *_LEFT_OUT, *(f"{name}.cpython*" for name in _MODULES_LEFT_OUT))
    shutil.copytree(tree / "usr/lib" / PYTHON, folder / "lib" / PYTHON, ignore=left_out, ignore_dangling_symlinks=True)


def _library(tree: Path, name: str) -> Path:
    for place in ("lib", "usr/lib"):
        found = tree / place / "aarch64-linux-gnu" / name
        if found.exists():
            return found
    raise UserError("bundle", f"Debian {SUITE} has no {name} for ARM64", "Report this as a bug")


def _pack(folder: Path, target: Path) -> None:
    """Uncompressed: adb is fast, and decompression on a phone is slow."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for one in sorted(folder.rglob("*")):
            info = archive.gettarinfo(str(one), arcname=one.relative_to(folder).as_posix())
            info.mtime, info.uid, info.gid, info.uname, info.gname = _EPOCH, 0, 0, "", ""
            archive.addfile(info, io.BytesIO(one.read_bytes()) if info.isreg() else None)
