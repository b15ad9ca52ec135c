"""CI is not green by skipping: what .ci/packages installs, and what tests/support/skips.py says of the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SUITE = """
import pytest
pytestmark = pytest.mark.board

def test_that_runs(): pass

@pytest.mark.skipif(True, reason={reason!r})
def test_that_needs_something(): pass
"""


def run_suite(folder: Path, reason: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real pytest over two tests, one of them skipped for this reason."""
    (folder / "conftest.py").write_text(
        "from tests.support.skips import pytest_sessionfinish, pytest_terminal_summary\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = board: of boards\n")
    (folder / "test_some.py").write_text(SUITE.format(reason=reason))
    surroundings = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:anyio", *options, str(folder)],
        env={**surroundings, "PYTHONPATH": str(REPOSITORY), **environment},
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--numprocesses=2",)], ids=["one process", "several"])
def test_a_tool_that_is_missing_fails_ci_and_nobody_else(tmp_path: Path, options: tuple[str, ...]) -> None:
    reason = "no adb on this machine (apt: adb)"
    at_home = run_suite(tmp_path, reason, *options)
    assert at_home.returncode == 0, at_home.stdout
    assert "board 1, phone 0, adb 0, export 0" in at_home.stdout
    in_ci = run_suite(tmp_path, reason, *options, CI="true")
    assert in_ci.returncode == 1, in_ci.stdout
    assert f"1 x {reason}" in in_ci.stdout
    assert "1 passed, 1 skipped" in in_ci.stdout.splitlines()[-1]


def test_what_ci_may_skip(tmp_path: Path) -> None:
    in_ci = run_suite(tmp_path, "there is no Python 3.9 here", CI="true")
    assert in_ci.returncode == 0, in_ci.stdout
    assert "does not accept" not in in_ci.stdout


# ------------------------------------------------------------------ the packages


def run_packages(folder: Path, *, there: list[str], broken: str = "") -> tuple[str, list[str]]:
    """.ci/packages as root with these commands and an apt-get that cannot install `broken`.

    Returns what it printed and the packages that apt-get was asked for.
    """
    commands = folder / "commands"
    commands.mkdir()
    asked = folder / "asked"
    asked.touch()
    for name in there:
        (commands / name).write_text("#!/bin/sh\n")
    (commands / "id").write_text("#!/bin/sh\necho 0\n")
    (commands / "apt-get").write_text(
        f'#!/bin/sh\n[ "$1" = install ] || exit 0\nfor last; do :; done\necho "$last" >> {asked}\n'
        f'[ "$last" != "{broken}" ]\n'
    )
    for path in commands.iterdir():
        path.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", str(REPOSITORY / ".ci/packages")], env={"PATH": str(commands)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, asked.read_text().split()


def test_packages_are_installed_one_by_one(tmp_path: Path) -> None:
    said, asked = run_packages(tmp_path, there=["ssh", "chromium"], broken="npm")
    assert "npm" in asked and asked.index("npm") < asked.index("adb")
    assert "apt-get install npm failed" in said and "missing: npm (Debian: npm)" in said


def test_only_what_is_missing_is_installed(tmp_path: Path) -> None:
    _, asked = run_packages(tmp_path, there=["ssh", "chromium", "npm"])
    assert not {"openssh-client", "chromium", "npm"} & set(asked)
    assert {"adb", "mmdebstrap", "qemu-user"} <= set(asked)
