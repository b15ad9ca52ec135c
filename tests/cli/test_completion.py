"""What the shell completes: names of targets, formats, runtimes and plans."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgebench.cli import _completion


def test_the_shell_is_given_names_of_targets(tmp_path: Path) -> None:
    (tmp_path / "targets.yaml").write_text("bench-pi: {transport: local}\nother: {transport: local}\n")
    asked = {"COMP_WORDS": "edgebench deploy --target be", "COMP_CWORD": "3", "_EDGEBENCH_COMPLETE": "complete_bash"}
    script = "import sys; sys.argv = ['edgebench']; from edgebench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=os.environ | asked, capture_output=True, text=True
    )
    assert done.stdout.split() == ["bench-pi"] and not done.stderr


def test_the_last_of_several_is_completed() -> None:
    assert "onnx-fp32,tflite-int8" in _completion.formats("onnx-fp32,tflite-i")
    assert "onnx-fp32,onnx-fp32" not in _completion.formats("onnx-fp32,onnx-")
    assert _completion.runtimes("onnxruntime,openv") == ["onnxruntime,openvino"]
    assert "all" in _completion.runtimes("") and "duty:" in _completion.plans("d")


def test_a_damaged_or_missing_file_completes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "targets.yaml").write_text("{")
    assert _completion.targets("") == [] and _completion.measured("") == []
