"""Converters that are programs: run in a folder of their own, with a time limit, and what they end with in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgebench.errors import UserError
from edgebench.files.plain_text import plain_excerpt

TIMEOUT_S = 900
REMEDY = "Leave the format out with --formats; other formats are not affected"


def run_converter(name: str, command: Sequence[str], folder: Path, timeout_s: float = TIMEOUT_S) -> str:
    """What it printed, which is also in the worker's log. Raises UserError if it dies or does not end."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UserError(name, f"it did not end within {timeout_s:g} s", REMEDY) from error
    said = done.stdout.decode(errors="replace")
    print(said, file=sys.stderr)
    if done.returncode < 0:
        died = signal.Signals(-done.returncode).name
        raise UserError(name, f"it died of {died}{_last(said)}", REMEDY)
    if done.returncode:
        raise UserError(name, f"it ended with status {done.returncode}{_last(said)}", REMEDY)
    return said


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"; its last line: {plain_excerpt(lines[-1][:200])}" if lines else ""
