"""The store of a study: one folder per step, either complete or absent."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgebench.errors import UserError
from edgebench.files import output
from edgebench.files.replacing import replacing
from edgebench.studies.study.matrix import StudyStep

DESCRIPTION = "step.json"
NETWORK = "network.safetensors"
EVALUATION = "evaluation.json"
SPARSITY = "sparsity.json"
PACKED = "packed.json"

FILES = {"train": (NETWORK,), "change": (NETWORK,), "read": (EVALUATION, SPARSITY, PACKED)}


class StudyStore:
    """folder: of one study. steps/<label>-<key>/ holds a step's files; names that end in .part are work in progress."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        output.make_folder(folder / "steps")

    @contextmanager
    def one_run_at_a_time(self) -> Iterator[None]:
        """Two runs would train the same step in the same place. The lock ends with the process. Raises UserError."""
        with (self.folder / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    str(self.folder),
                    "another run of this study is using it",
                    "Wait for it, or choose another folder with --results",
                ) from error
            for half_written in (self.folder / "steps").glob(".*.part"):  # by a run that was killed
                shutil.rmtree(half_written, ignore_errors=True)
            yield

    def path(self, step: StudyStep) -> Path:
        """Found by its key: a new label is no reason to repeat a step."""
        steps = self.folder / "steps"
        return next(steps.glob(f"*-{step.key}"), steps / step.folder)

    def scratch(self, step: StudyStep) -> Path:
        return self.folder / "steps" / f"{step.folder}.part"

    def has(self, step: StudyStep) -> bool:
        """Whether all its files exist; `edgebench.studies.study.intact` checks their content."""
        return all((self.path(step) / name).is_file() for name in (DESCRIPTION, *FILES[step.kind]))

    def read(self, step: StudyStep, name: str) -> bytes:
        return (self.path(step) / name).read_bytes()

    def keep(self, step: StudyStep, files: dict[str, bytes]) -> None:
        """All files of a step, or none: written beside, then renamed. Raises UserError if they cannot be written."""
        try:
            with replacing(self.path(step)) as partial:
                partial.mkdir()
                for name, content in files.items():
                    (partial / name).write_bytes(content)
                (partial / DESCRIPTION).write_bytes(msgspec.json.format(msgspec.json.encode(step)))
                shutil.rmtree(self.path(step), ignore_errors=True)
        except OSError as error:
            raise UserError(
                str(self.path(step)),
                f"it cannot be written ({error.strerror})",
                "Fix that and run the same command again to continue",
            ) from error
        shutil.rmtree(self.scratch(step), ignore_errors=True)
