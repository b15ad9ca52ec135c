"""Every command that prints facts has --json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from edgebench import cli
from tests.conftest import run_cli
from tests.support import tiny_checkpoints
from tests.support.records import make_record, save_all

# What they say is a path, a question, or goes on until it is stopped; or it is written as a report.
WITHOUT = {
    "mcp", "results rm", "meters watch", "meters calibrate", "targets bundle", "targets emulate", "study run",
    "study list", "study exact",
}  # fmt: skip


def without(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, below in getattr(command, "commands", {}).items():
        yield from without(below, (*path, name))
    if not hasattr(command, "commands") and not any("--json" in one.opts for one in command.params):
        yield " ".join(path)


def test_only_these_have_none() -> None:
    assert set(without(typer.main.get_command(cli.app))) == WITHOUT


def test_a_publication_and_findings_as_json(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    done = run_cli("publish", "-o", "ours.zip", "--json", "-", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["path"] == "ours.zip" and found["content"]["records"][0]["artifact"] == "net-onnx-fp32"
    done = run_cli("audit", "results", "--json", "-", cwd=tmp_path)
    assert isinstance(json.loads(done.stdout), list)


def test_a_packed_checkpoint_as_json(tmp_path: Path) -> None:
    made = tiny_checkpoints.make(tmp_path)
    done = run_cli("pack", made.path, "--format", "bitmask", "--json", "-", cwd=tmp_path)
    assert json.loads(done.stdout), done.stderr
