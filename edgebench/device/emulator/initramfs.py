"""The initial file system of the kernel: busybox, the drivers for disk and network, and a short script.

Written in the kernel's archive format ("newc" cpio) by this module, so that no cpio program is needed.
"""

from __future__ import annotations

import gzip
import lzma
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# In loading order; those built into the kernel have no file.
MODULES = [
    "virtio", "virtio_ring", "virtio_mmio", "virtio_blk", "failover", "net_failover", "virtio_net",
    "rng-core", "virtio-rng", "crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4",
]  # fmt: skip


@dataclass(frozen=True)
class CpioEntry:
    name: str
    """Path in the archive, without a leading slash."""
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def make_initramfs(init: Path, busybox: Path, modules: Path) -> bytes:
    """modules: the kernel's module folder, searched at any depth."""
    found = {name: data for name in MODULES if (data := _read_module(modules, name)) is not None}
    order = "".join(f"{name}.ko\n" for name in found)
    files = [
        CpioEntry("init", stat.S_IFREG | 0o755, init.read_bytes()),
        CpioEntry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()),
        CpioEntry("modules/order", stat.S_IFREG | 0o644, order.encode()),
        *(CpioEntry(f"modules/{name}.ko", stat.S_IFREG | 0o644, data) for name, data in found.items()),
    ]
    folders = [CpioEntry(name, stat.S_IFDIR | 0o755) for name in ("dev", "proc", "sys", "root")]
    # Without a console node the errors of the script are lost.
    console = CpioEntry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    return gzip.compress(cpio([*folders, console, *files]), compresslevel=1, mtime=0)


def cpio(entries: Iterable[CpioEntry]) -> bytes:
    """A newc archive; parent folders come before their content."""
    archive = bytearray()
    known: set[str] = set()
    for entry in entries:
        for parent in reversed(PurePosixPath(entry.name).parents):
            if str(parent) not in known | {"."}:
                known.add(str(parent))
                archive += _record(CpioEntry(str(parent), stat.S_IFDIR | 0o755), len(known))
        if entry.name not in known:
            known.add(entry.name)
            archive += _record(entry, len(known))
    return bytes(archive + _record(CpioEntry("TRAILER!!!", 0), 0))


def _record(entry: CpioEntry, inode: int) -> bytes:
    """A header of fixed-width hexadecimal fields, the name and the content, each padded to 4 bytes."""
    name = entry.name.encode() + b"\0"
    owner = group = mtime = checksum = 0
    links = 1
    fields = [inode, entry.mode, owner, group, links, mtime, len(entry.data)]
    fields += [0, 0, *entry.device, len(name), checksum]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _read_module(modules: Path, name: str) -> bytes | None:
    for path in modules.rglob(f"{name}.ko*"):
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data
    return None
