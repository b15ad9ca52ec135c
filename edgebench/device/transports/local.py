"""This machine: the same agent, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from edgebench.errors import Unreachable
from edgebench.files import cache
from edgebench.files.replacing import replacing
from edgebench.progress import Progress
from edgebench.schema.targets import Target


def open_transport(target: Target) -> Local:
    return Local(python=target.python or sys.executable, workdir=target.workdir or str(cache.folder() / "agent"))


class Local:
    def __init__(self, python: str, workdir: str) -> None:
        self.python = python
        self.workdir = workdir

    def connect(self, progress: Progress) -> None:
        pass

    def put(self, source: Path, destination: str) -> None:
        path = Path(destination).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                shutil.copyfile(source, partial)
        except OSError as error:
            raise Unreachable(
                str(path.parent), f"the agent cannot be written there ({error.strerror})",
                "Free up space there, or set `workdir` in targets.yaml",
            ) from error  # fmt: skip

    def run(self, script: str) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C must only reach edgebench, which then asks the job to stop.
        return subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        pass
