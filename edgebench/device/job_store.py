"""Jobs that were started and whose records are not saved yet: how a killed host finds its way back.

results/<target>/.jobs/<job id>/request.json     what was asked, written before the job starts
                                journal.jsonl    the agent's lines, as far as they have arrived
                       <key>.lock                held by the `deploy` that is asking this now, with its process number
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from device_agents.python import PROTOCOL
from edgebench.device import journal
from edgebench.device.journal import AnyLine
from edgebench.errors import UserError
from edgebench.files.replacing import write_whole
from edgebench.schema.bundle import Artifact
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target

GOES_ON = "The job goes on there. Mend that and run the same command again: it follows the job to its end"


class AccuracyTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole test set: labels (uint16, little-endian, base64; "" if images have more than a class), and the (sha256,
    images) of its pieces. reduction: what the device keeps of its answers; image_bytes: the most of that, an image.
    pixels: how the device makes inputs of bytes (device_agents/python/pixels.py), None where pieces hold inputs.
    """

    dataset: str
    labels_base64: str
    pieces: tuple[tuple[str, int], ...]
    reduction: dict[str, Any] = msgspec.field(default_factory=lambda: {"kind": "classes"})
    image_bytes: int = 2
    pixels: dict[str, Any] | None = None

    @property
    def images(self) -> int:
        return sum(count for _, count in self.pieces)


class JobRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job as the host asked for it. `artifacts` and `specs` (what the agent gets) are in the same order.

    tests: {artifact's name: what it is asked on the device}. protocol: in which it was asked; 1 did not say so.
    commit: of the folder that it was asked from.
    """

    id: str
    key: str
    created: str
    target: Target
    plan: Plan
    artifacts: tuple[Artifact, ...]
    specs: tuple[dict[str, Any], ...]
    tests: dict[str, AccuracyTest] = {}
    protocol: int = 1
    commit: str = ""


def job_key(
    target: Target, plan: Plan, artifacts: list[Artifact], agent_sha256: str, fed: Sequence[dict[str, Any]] = ()
) -> str:
    """The same for the same question, so that a second `deploy` finds the job that a killed one left running.

    fed: the sizes and the signature of each artifact, if they were asked for.
    """
    files = [artifact.sha256 for artifact in artifacts]
    asked = msgspec.json.encode([target, plan, files, agent_sha256, fed])
    return hashlib.sha256(asked).hexdigest()[:12]


class JobStore:
    """The unsaved jobs of one target. Making one checks that results can be written, before anything is measured."""

    def __init__(self, results: Path, target: str) -> None:
        self._target = target
        self._folder = results / target / ".jobs"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            trial = self._folder / f".trial-{os.getpid()}"
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise UserError(
                str(results),
                f"results cannot be written there ({error.strerror})",
                "Give another folder with --results",
            ) from error

    @contextmanager
    def claim(self, key: str) -> Iterator[None]:
        """Hold a question, so that nobody else asks it or resumes its job. Raises UserError if someone holds it."""
        path = self._folder / f"{key}.lock"
        descriptor = _locked(path)
        if descriptor is None:
            raise UserError(
                f"target '{self._target}'",
                f"another deploy{_holder(path)} is measuring the same there, into the same results",
                "Wait until it ends, or stop it with Ctrl-C",
            )
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)

    def find(self, key: str) -> StoredJob | None:
        """The unfinished job that asked the same, if there is one."""
        for folder, request in self._requests():
            if request.key == key:
                return StoredJob(folder, request)
        return None

    def refuse_older(self, target: Target, plan: Plan, artifacts: Sequence[Artifact]) -> None:
        """Raises UserError if a version with another protocol left a job that measures the same: its lines cannot be
        read here, and its device may be measuring still.
        """
        wanted = {artifact.sha256 for artifact in artifacts}
        for folder, request in self._requests():
            is_same = (request.target, request.plan) == (target, plan)
            if request.protocol != PROTOCOL and is_same and {one.sha256 for one in request.artifacts} <= wanted:
                raise UserError(
                    f"target '{self._target}'",
                    f"job {request.id} was left unfinished by a version of edgebench that speaks protocol "
                    f"{request.protocol}, not {PROTOCOL}",
                    f"Finish it with that version, or remove {folder} to measure anew",
                )

    def _requests(self) -> Iterator[tuple[Path, JobRequest]]:
        """Newest first."""
        for path in sorted(self._folder.glob("*/request.json"), reverse=True):
            # One that does not fit is another version's, and cannot ask the same; or it was closed just now.
            with suppress(msgspec.MsgspecError, ValueError, OSError):
                yield path.parent, msgspec.json.decode(path.read_bytes(), type=JobRequest)

    def add(self, request: JobRequest) -> StoredJob:
        """Raises UserError if it cannot be written; then nothing of it stays."""
        folder = self._folder / request.id
        try:
            _write_request(folder, request)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _cannot(folder, error, "Make room there, or give another folder with --results") from error
        return StoredJob(folder, request)


class StoredJob:
    """A job whose records are not saved yet. lines: those that have arrived; entries: what they say."""

    def __init__(self, folder: Path, request: JobRequest) -> None:
        """Raises AgentError if its journal cannot be read."""
        self.folder = folder
        self.request = request
        self.where = f"target '{request.target.name}', job {request.id}"
        self._journal = folder / "journal.jsonl"
        self.lines = self._whole_lines()
        self.entries = [self._decode(line) for line in self.lines]
        self._size = sum(len(line) + 1 for line in self.lines)

    def _whole_lines(self) -> list[bytes]:
        """What arrived before; half a line that a kill left is cut off and will be asked for again."""
        data = self._journal.read_bytes() if self._journal.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self._journal, len(whole))
        return whole.splitlines()

    def _decode(self, line: bytes) -> AnyLine:
        return journal.decode(line, self.where, artifacts=len(self.request.artifacts))

    def append(self, line: bytes) -> AnyLine:
        """What it says. Raises AgentError if it does not fit, UserError if it cannot be written down: asking the same
        again later goes on after the line before.
        """
        entry = self._decode(line)
        try:
            with self._journal_stream() as stream:
                stream.write(line + b"\n")
        except OSError as error:
            raise _cannot(self.folder, error, GOES_ON) from error
        self.lines.append(line)
        self.entries.append(entry)
        self._size += len(line) + 1
        return entry

    def _journal_stream(self) -> IO[bytes]:
        """After the lines so far. If somebody deleted their file, it is written anew: there is no other copy."""
        with suppress(FileNotFoundError):
            stream = self._journal.open("ab")
            if stream.tell() == self._size:
                return stream
            stream.close()
        _write_request(self.folder, self.request)
        stream = self._journal.open("wb")
        stream.writelines(line + b"\n" for line in self.lines)
        return stream

    def forget_lines(self) -> None:
        """The device no longer knew the job and has started it again."""
        self._journal.unlink(missing_ok=True)
        self.lines.clear()
        self.entries.clear()
        self._size = 0

    def close(self) -> None:
        """Everything is in records now, or nothing was ever started."""
        with suppress(FileNotFoundError):
            (self.folder / "request.json").unlink()  # without it, what a kill leaves of the folder is not a job
        shutil.rmtree(self.folder, ignore_errors=True)


def _write_request(folder: Path, request: JobRequest) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "request.json", msgspec.json.encode(request))


def _cannot(path: Path, error: OSError, remedy: str) -> UserError:
    return UserError(str(path), f"results cannot be written there ({error.strerror})", remedy)


def _locked(path: Path) -> int | None:
    """The open lock file, with this process's number in it; None if someone else holds it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _cannot(path, error, "Give another folder with --results") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            return descriptor  # a file system without locks
        if _is_at(path, descriptor):
            with suppress(OSError):  # a full disk holds a lock without a number
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
            return descriptor
        os.close(descriptor)  # its holder had ended, and deleted it, in between


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        number = path.read_text().strip()
    except OSError:
        number = ""
    return f" (process {number})" if number.isdigit() else ""
