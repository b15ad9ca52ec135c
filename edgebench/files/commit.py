"""The commit of the user's own work, by which runs of a file are told apart."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

_SECONDS = 5.0


def of_folder(folder: Path) -> str:
    """`1c3c22f0a1b2`, with a `+` if tracked files were changed since; empty without git or outside a repository."""
    with suppress(OSError, subprocess.SubprocessError):
        found = _git(folder, "rev-parse", "--short=12", "HEAD")
        return found + "+" * bool(_git(folder, "status", "--porcelain", "--untracked-files=no")) if found else ""
    return ""


def _git(folder: Path, *arguments: str) -> str:
    """Raises CalledProcessError."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
    )
    return done.stdout.strip()
