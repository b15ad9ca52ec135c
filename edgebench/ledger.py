"""Jobs that were started and whose records are not saved yet: how a killed host finds its way back.

results/<target>/.jobs/<job id>/request.json     what was asked, written before the job starts
                                journal.jsonl    the agent's lines as far as they have arrived
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgebench.bundle import Artifact, model_files
from edgebench.errors import UserError
from edgebench.plan import Plan
from edgebench.targets import Target


class Test(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole test set: labels (uint16, little-endian, base64), and the (sha256, images) of its pieces."""

    __test__ = False  # it is no test of pytest's

    dataset: str
    labels_base64: str
    pieces: tuple[tuple[str, int], ...]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job as the host asked for it. `artifacts` and `specs` (what the agent gets) are in the same order.

    tests: {artifact's name: what it is asked on the device}.
    """

    id: str
    key: str
    created: str
    target: Target
    plan: Plan
    artifacts: tuple[Artifact, ...]
    specs: tuple[dict[str, Any], ...]
    tests: dict[str, Test] = {}


def job_key(
    target: Target, plan: Plan, artifacts: list[Artifact], agent_sha256: str, fed: Sequence[dict[str, Any]] = ()
) -> str:
    """The same for the same question: by it a second `deploy` finds the job that a killed one left running.

    fed: the sizes and the signature of each artifact, where they were asked for.
    """
    files = [[ref.sha256 for ref in model_files(artifact)] for artifact in artifacts]
    asked = msgspec.json.encode([target, plan, files, agent_sha256, fed])
    return hashlib.sha256(asked).hexdigest()[:12]


class Ledger:
    """The open jobs of one target. Making one checks that results can be written, before anything is measured."""

    def __init__(self, results: Path, target: str) -> None:
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

    def open_job(self, key: str) -> OpenJob | None:
        """The unfinished job that asked the same, if there is one."""
        for path in sorted(self._folder.glob("*/request.json"), reverse=True):
            try:
                request = msgspec.json.decode(path.read_bytes(), type=Request)
            except (msgspec.MsgspecError, ValueError):
                continue  # another version's; this one cannot have asked it
            if request.key == key:
                return OpenJob(path.parent, request)
        return None

    def add(self, request: Request) -> OpenJob:
        folder = self._folder / request.id
        folder.mkdir()
        partial = folder / "request.part"
        partial.write_bytes(msgspec.json.encode(request))
        partial.replace(folder / "request.json")
        return OpenJob(folder, request)


class OpenJob:
    """A job whose records are not saved yet, with the lines that have arrived."""

    def __init__(self, folder: Path, request: Request) -> None:
        self.folder = folder
        self.request = request
        self._journal = folder / "journal.jsonl"
        self.lines = self._whole_lines()

    def _whole_lines(self) -> list[bytes]:
        """What arrived before; a half line that a kill left is cut off and will be asked for again."""
        data = self._journal.read_bytes() if self._journal.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self._journal, len(whole))
        return whole.splitlines()

    def append(self, line: bytes) -> None:
        with self._journal.open("ab") as stream:
            stream.write(line + b"\n")
        self.lines.append(line)

    def forget_lines(self) -> None:
        """The device no longer knew the job and has begun it anew."""
        self._journal.unlink(missing_ok=True)
        self.lines.clear()

    def close(self) -> None:
        """Everything is in records now, or nothing ever started."""
        shutil.rmtree(self.folder)
