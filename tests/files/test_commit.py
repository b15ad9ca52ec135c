"""The commit that a record was deployed from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgebench.files import commit


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_repository_has_a_commit_and_a_mark_if_it_was_changed(tmp_path: Path) -> None:
    assert commit.of_folder(tmp_path) == ""
    git(tmp_path, "init", "-q")
    assert commit.of_folder(tmp_path) == ""  # without a commit
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit.of_folder(tmp_path) == head[:12]
    (tmp_path / "new").write_text("untracked files change nothing")
    assert commit.of_folder(tmp_path) == head[:12]
    (tmp_path / "a").write_text("2")
    assert commit.of_folder(tmp_path) == f"{head[:12]}+"


def test_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit.of_folder(tmp_path) == ""
