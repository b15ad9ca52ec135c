"""The files of a board's image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BoardImage:
    """A finished image. It does not change any more, except that `snapshot` is added once."""

    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "rootfs.ext4"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        return self.folder / "initrd.img"

    @property
    def device_tree(self) -> Path:
        return self.folder / "board.dtb"

    @property
    def login_key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def host_key(self) -> Path:
        return self.folder / "ssh_host_ed25519_key"

    @property
    def snapshot(self) -> Path:
        return self.folder / "ready.qcow2"
