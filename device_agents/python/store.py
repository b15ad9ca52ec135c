"""What the agent keeps on the device, all below one folder:

blobs/<sha256>          artifacts, golden files and wheels, by content
models/<key>/           an artifact of several files, under the names by which they refer to each other
runtimes/<name>-<key>/  unpacked wheels of one runtime, private to the agent
jobs/<id>/              job.json, facts.json, journal.jsonl, pid, stderr files
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from .process import WorkerFailed
from .wheel import Wheel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import FileIO
    from typing import Any

    Progress = Callable[[int], None]

# Disk full, quota exceeded, file larger than allowed.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Left free, for the journal and for the system.
SPARE_BYTES = 2 << 20
# A partial upload is kept for so long, to be resumed.
PARTIAL_S = 24 * 3600
PIECE_BYTES = 1 << 20
# Uploads are synced this often: all at the end would take a slow disk longer than anybody waits.
SYNC_BYTES = 8 << 20
MANIFEST = ".manifest.json"


def _ignore(count: int) -> None:
    """Progress that nobody follows."""


class RequestRefused(ValueError):
    """Why something cannot be done here, and what to do about it."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy


class Store:
    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        for name in ("blobs", "models", "runtimes", "jobs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def blob(self, sha256: str) -> Path:
        return self.root / "blobs" / _hex(sha256)

    def missing(self, blobs: dict[str, int], did: Progress = _ignore) -> list[str]:
        """Those of {sha256: size} that are not here intact; damaged ones are removed.

        did(n), here and below: called when n more bytes have been read or written.
        """
        return [sha for sha, size in blobs.items() if not self._has(sha, size, did)]

    def _has(self, sha256: str, size: int, did: Progress) -> bool:
        try:
            return self.blob(sha256).stat().st_size == size and self._is_whole(sha256, did)
        except FileNotFoundError:
            return False

    def _is_whole(self, sha256: str, did: Progress) -> bool:
        """Disks fail, and a power cut leaves a name without its content."""
        blob = self.blob(sha256)
        if _digest(blob, did) == sha256:
            return True
        blob.unlink()
        return False

    def checked(self, sha256: str, did: Progress = _ignore) -> Path:
        """The path of a blob that is about to be used. Raises WorkerFailed if it is damaged."""
        self.check(self.blob(sha256), sha256, did)
        return self.blob(sha256)

    def check(self, path: Path, sha256: str, did: Progress = _ignore) -> None:
        """Raise WorkerFailed unless a file, a blob or a copy of one, has its content; a wrong one is removed."""
        if path.exists() and _digest(path, did) == sha256:
            return
        for wrong in {path, self.blob(sha256)}:
            if wrong.exists() and _digest(wrong) != sha256:
                wrong.unlink()
        raise WorkerFailed(
            "error",
            "its file %s was damaged on this device after it had arrived; the copy has been removed: deploy again"
            % sha256[:12],
        )

    def begin(self, sha256: str, size: int) -> int:
        """How many bytes of a blob an earlier try left here. Raises RequestRefused if there is no room for the rest."""
        partial = self._partial(sha256)
        have = partial.stat().st_size if partial.exists() else 0
        if have > size:
            partial.unlink()
            have = 0
        self.need(size - have)
        return have

    def partial(self, sha256: str) -> FileIO:
        """A stream that appends to what has arrived of a blob."""
        return self._partial(sha256).open("ab", buffering=0)

    def write(self, stream: FileIO, piece: bytes) -> None:
        """Raises RequestRefused if the disk is full; the partial blob is then removed."""
        try:
            before = stream.tell()
            if stream.write(piece) < len(piece):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if before // SYNC_BYTES < stream.tell() // SYNC_BYTES:
                os.fsync(stream.fileno())
        except OSError as error:
            refused = self.full(error, len(piece))
            Path(stream.name).unlink()
            raise refused from error

    def finish(self, sha256: str, did: Progress = _ignore) -> bool:
        """Give a blob its name; if its content is not what was announced, remove it and return False."""
        partial = self._partial(sha256)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        if _digest(partial, did) != sha256:
            partial.unlink()
            return False
        partial.replace(self.blob(sha256))
        return True

    def need(self, size: int) -> None:
        """Raise RequestRefused unless there is room for `size` bytes."""
        free = self.free_bytes()
        if free < size + SPARE_BYTES:
            raise self._no_room("%.1f MB are needed" % ((size + SPARE_BYTES) / 1e6), free)

    def full(self, error: OSError, size: int) -> RequestRefused:
        """The refusal for a write that failed."""
        if error.errno not in FULL:
            return RequestRefused(
                "cannot write in %s: %s" % (self.root, error.strerror), "Is the board's disk failing?"
            )
        return self._no_room("no room for %.1f MB more (%s)" % (size / 1e6, error.strerror), self.free_bytes())

    def _no_room(self, why: str, free: int) -> RequestRefused:
        return RequestRefused(
            "its disk is full: %s, %.1f MB are free at %s" % (why, free / 1e6, self.root),
            "Free up space there, or set `workdir` in targets.yaml to another disk",
        )

    def free_bytes(self) -> int:
        about = os.statvfs(self.root)
        return about.f_bavail * about.f_frsize

    def tidy(self) -> None:
        """Remove partial files that were not resumed."""
        for pattern in ("*.part-*", "blobs/*.part*", "runtimes/*.part-*", "jobs/.part-*"):
            for partial in self.root.glob(pattern):
                if time.time() - partial.lstat().st_mtime > PARTIAL_S:
                    shutil.rmtree(partial) if partial.is_dir() else partial.unlink()

    def _partial(self, sha256: str) -> Path:
        blob = self.blob(sha256)
        return blob.with_name(blob.name + ".part")

    def lay_out(self, sha256: str, suffix: str, companions: Sequence[Sequence[str]]) -> Path:
        """Put a model beside the files that hold its weights; the model's path.

        companions: [(name, sha256)]. Linked, not copied, where the file system supports it: weights are large. Not by
        symbolic links: ONNX Runtime refuses those that lead out of the folder.
        """
        wanted = [(sha256 + suffix, sha256)] + [(_relative(name), other) for name, other in companions]
        key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
        folder = self.root / "models" / key
        if not all((folder / name).is_file() for name, _ in wanted):
            partial = folder.with_name(key + ".part-%d" % os.getpid())
            shutil.rmtree(str(partial), ignore_errors=True)
            for name, content in wanted:
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                _link(self.blob(content), partial / name)
            shutil.rmtree(str(folder), ignore_errors=True)  # there if a damaged file was removed from it
            partial.replace(folder)
        return folder / (sha256 + suffix)

    def runtime_folder(self, name: str, wheels: list[str]) -> Path:
        key = hashlib.sha256(" ".join(sorted(wheels)).encode()).hexdigest()[:16]
        return self.root / "runtimes" / ("%s-%s" % (_name(name), key))

    def install(self, name: str, wheels: list[str], did: Progress = _ignore) -> Path:
        """Unpack wheels (zip files) into a private folder; renamed into place when complete."""
        folder = self.runtime_folder(name, wheels)
        if not folder.exists():
            partial = folder.with_name(folder.name + ".part-%d" % os.getpid())
            shutil.rmtree(partial, ignore_errors=True)
            try:
                for sha256 in wheels:
                    with Wheel(self.checked(sha256, did), did) as wheel:
                        self.need(sum(one.file_size for one in wheel.infolist()))
                        wheel.extractall(partial)  # drops absolute names and '..'
                (partial / MANIFEST).write_text(json.dumps(_manifest(partial, did)))
                partial.replace(folder)
            except OSError as error:
                if not folder.exists():  # unless another session installed the same meanwhile
                    raise self.full(error, 0) from error
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        os.utime(folder)  # what was sent last counts as the newest, even if it was here already
        return folder

    def is_runtime_whole(self, folder: Path) -> bool:
        """Whether a runtime's files are as they were unpacked; if not, it is removed, so that it is sent again."""
        try:
            known = json.loads((folder / MANIFEST).read_text())
            whole = all(_digest(folder / name) == digest for name, digest in known.items())
        except FileNotFoundError:
            whole = not (folder / MANIFEST).exists() and any(folder.iterdir())  # unpacked by an older agent
        except (OSError, ValueError):
            whole = False
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)
        return whole

    def installed(self, name: str) -> list[Path]:
        """The folders of one runtime, newest first."""
        found = [f for f in (self.root / "runtimes").glob(_name(name) + "-*") if ".part-" not in f.name]
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    def job_folder(self, job_id: str) -> Path:
        return self.root / "jobs" / _name(job_id)

    def create_job(self, job: dict[str, Any], facts: dict[str, Any]) -> bool:
        """Create the job's folder; False if it exists, so that a job is never started twice.

        facts: what is known of the device already, if anything is.
        """
        folder = self.job_folder(job["id"])
        if folder.exists():
            return False
        partial = folder.with_name(".part-%d" % os.getpid())
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        (partial / "job.json").write_text(json.dumps(job))
        if facts:
            (partial / "facts.json").write_text(json.dumps(facts))
        partial.replace(folder)
        return True


def _link(source: Path, target: Path) -> None:
    try:
        os.link(str(source), str(target))
    except OSError:
        shutil.copyfile(str(source), str(target))


def _relative(name: str) -> str:
    """A path below a folder, as a model file names it."""
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or ".." in parts or not name.isprintable():
        raise ValueError("not a valid name for a file beside a model: %r" % name[:80])
    return name


def _digest(path: Path, did: Progress = _ignore) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while True:
            piece = stream.read(PIECE_BYTES)
            if not piece:
                return digest.hexdigest()
            digest.update(piece)
            did(len(piece))


def _manifest(folder: Path, did: Progress) -> dict[str, str]:
    """{file: sha256} of all that was unpacked."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): _digest(path, did) for path in files}


def _hex(text: str) -> str:
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise ValueError("not a sha256: %r" % text[:80])
    return text


def _name(text: str) -> str:
    """A single path component: nothing from the host is joined to a path unchecked."""
    if (
        not text
        or text.startswith(".")
        or set(text) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    ):
        raise ValueError("not a plain name: %r" % text[:80])
    return text
