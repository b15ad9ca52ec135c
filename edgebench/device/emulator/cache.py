"""Where images and machines are kept, and who may change them.

    $EDGEBENCH_CACHE or ~/.cache/edgebench
    └── boards/rpi4/
        ├── lock              held while an image is made and while a machine is being started
        ├── image-<key>/      complete if it exists: it is made under another name, then renamed
        └── run/              the machine of `ensure_running`: ssh_config, console.log, its disk

Only a process that holds the lock makes and removes images and starts machines.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgebench.device.emulator.boards import EmulatedBoard
from edgebench.files import cache

Say = Callable[[str], None]

_FOLDER = Path(__file__).parent


def board_folder(board: EmulatedBoard, root: Path | None = None) -> Path:
    return (root or cache.folder()).expanduser().resolve() / "boards" / board.name


def image_key(board: EmulatedBoard, qemu_version: str) -> str:
    """A snapshot only fits the QEMU that took it and the sources that made its image."""
    digest = hashlib.sha256(f"{board!r}\n{qemu_version}\n".encode())
    for source in sorted([*_FOLDER.glob("*.py"), *_FOLDER.glob("guest/*")]):
        digest.update(f"{source.relative_to(_FOLDER)}\n".encode() + source.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def locked(folder: Path, say: Say) -> Iterator[None]:
    """One process at a time; the kernel releases the lock however its holder dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that is working on {folder.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder that is renamed to `folder` if the block succeeds, and deleted otherwise.

    Its name is new each time: programs that a killed build left behind may still write to theirs.
    """
    for leftover in folder.parent.glob("*.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        yield partial
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
