"""Look at every image once: its content's hash, its size upright, its mode, and whether it can be decoded at all.

What was seen is kept in the cache, by path, size and time of change: the next command starts at once.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from edgebench.files import cache
from edgebench.files.replacing import write_whole
from edgebench.networks.own_data import pictures
from edgebench.progress import Progress

# Looked at between two moves of the bar.
GROUP = 64


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Of one file. size: (width, height), upright; broken: why it cannot be decoded, "" if it can."""

    bytes: int
    changed_ns: int
    sha256: str
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    turned: bool = False
    broken: str = ""


def look(where: str, files: Sequence[str], progress: Progress) -> list[Seen]:
    """where: of the data set, for the cache. In step with `files`."""
    pictures.require_pillow()
    kept = cache.folder() / "own-data" / f"{hashlib.sha256(where.encode()).hexdigest()}.msgpack"
    try:
        known = msgspec.msgpack.decode(kept.read_bytes(), type=dict[str, Seen])
    except (OSError, msgspec.MsgspecError):
        known = {}
    found: dict[str, Seen] = {}
    for file in files:
        before = known.get(file)
        if before is not None and _is_unchanged(file, before):
            found[file] = before
    missing = [file for file in files if file not in found]
    if missing:
        with progress.step(f"look at {len(missing):,} images", len(missing)) as step, ThreadPoolExecutor() as pool:
            for start in range(0, len(missing), GROUP):
                group = missing[start : start + GROUP]
                found.update(zip(group, pool.map(_seen, group), strict=True))
                step.advance(len(group))
        with cache.writing():
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, msgspec.msgpack.encode(found))
    return [found[file] for file in files]


def _is_unchanged(file: str, before: Seen) -> bool:
    try:
        now = os.stat(file)  # noqa: PTH116  (a Path for each of 50,000 files is slow)
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (before.bytes, before.changed_ns)


def _seen(file: str) -> Seen:
    from PIL import Image

    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116  (a pipe would be waited for)
            return Seen(0, 0, "0" * 64, broken="it is not a file")
        with open(file, "rb") as stream:  # noqa: PTH123
            status = os.fstat(stream.fileno())
            content = stream.read()
    except OSError as error:
        return Seen(0, 0, "0" * 64, broken=error.strerror or str(error))
    digest = hashlib.sha256(content).hexdigest()
    try:
        with Image.open(io.BytesIO(content), formats=pictures.FORMATS) as image:
            turned = image.getexif().get(0x0112, 1) != 1
            width, height = image.size
            if turned and image.getexif()[0x0112] in (5, 6, 7, 8):
                width, height = height, width
            mode = image.mode
            # JPEGs are read to the end but not all of their pixels are computed: half the time.
            image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
    except Exception as error:  # Pillow's readers raise what they meet: OSError, SyntaxError, struct.error, zlib's, ...
        reason = "it is not a JPEG, PNG, WebP or BMP image" if "cannot identify" in str(error) else str(error)
        return Seen(status.st_size, status.st_mtime_ns, digest, broken=reason[:200] or type(error).__name__)
    return Seen(status.st_size, status.st_mtime_ns, digest, (width, height), mode, turned)
