"""What people put into continuous integration: the pytest plugin, the GitHub Action, the examples of the docs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
QUICK = "test_quick.py"


@pytest.fixture
def installed(tmp_path: Path, models: Path) -> dict[str, str]:
    """The environment of a folder with new.onnx and old.onnx, with edgebench installed as pyproject.toml says."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "site" / "edgebench_here-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: edgebench-here\nVersion: 1\n")
    plugins = "\n".join(f"{name} = {value}" for name, value in entries["entry-points"]["pytest11"].items())
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{plugins}\n")
    command = tmp_path / "bin" / "edgebench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edgebench "$@"\n')
    command.chmod(0o755)
    for name in ("new", "old"):
        shutil.copy(models / "relu.onnx", tmp_path / f"{name}.onnx")
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{metadata.parent}",
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
    }


def run_pytest(tmp_path: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:anyio", "-p", "no:cacheprovider", "-q", "-rs", *arguments]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)


def test_the_plugin_costs_next_to_nothing_to_import() -> None:
    code = "import sys, pytest; had = set(sys.modules); import edgebench.pytest_plugin; print(*set(sys.modules) - had)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) <= {"edgebench", "edgebench.pytest_plugin", "__future__"}


def test_assertions_fail_beyond_chance_and_what_is_not_resolved_is_a_state(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    shutil.copy(EXAMPLES / "test_latency.py", tmp_path)  # passes; without OLD, one of its tests is skipped
    (tmp_path / QUICK).write_text(
        "def test_budget(edgebench_deploy):\n    edgebench_deploy('new.onnx').assert_latency(max_ms=1e-6)\n"
        "def test_unknown(edgebench_deploy):\n    edgebench_deploy('new.onnx').assert_accuracy(at_least=0.5)\n"
        "def test_typo(edgebench_deploy):\n    edgebench_deploy('nwe.onnx').assert_size(max_bytes=10)\n"
        "def test_share(edgebench_deploy):\n    edgebench_deploy('new.onnx').assert_accuracy(at_least=90)\n"
        "def test_percentile(edgebench_deploy):\n"
        "    edgebench_deploy('new.onnx').assert_latency(max_ms=1, percentile=95)\n"
        "def test_shape(edgebench_deploy):\n"
        "    edgebench_deploy('new.onnx', shape='x=0').assert_size(max_bytes=1e9)\n"
    )
    environment = installed | {"MODEL": "new.onnx"}
    ran = run_pytest(tmp_path, environment, "--edgebench-unresolved", "skip", "test_latency.py", QUICK)
    assert ran.returncode == 1 and "5 failed, 2 passed, 2 skipped" in ran.stdout, ran.stdout + ran.stderr
    assert "failed: latency_p50 < 0.000001ms: new-onnx on desktop-cpu" in ran.stdout
    assert ran.stdout.count("nwe.onnx: there is no such file") == 1 and "Traceback" not in ran.stdout
    assert "at_least=90: give a number above 0, up to 1" in ran.stdout and "percentile=95: give 50" in ran.stdout
    assert "During handling" not in ran.stdout and "edgebench: --shape: " in ran.stdout
    assert "not resolved: accuracy > 50%: new-onnx on desktop-cpu: accuracy is not known" in ran.stdout


# ------------------------------------------------------------------ the GitHub Action


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    return found


def run_step(step: dict[str, Any], given: dict[str, str], cwd: Path, environment: dict[str, str]) -> int:
    """As the runner does: inputs by name, bash as for `shell: bash`, and the two files that it collects."""
    declared = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    values = {f"${{{{ inputs.{name} }}}}": given.get(name, one.get("default", "")) for name, one in declared.items()}
    values["${{ github.action_path }}"] = str(ROOT)
    own = {name: values[expression] for name, expression in step["env"].items()}
    script = cwd / "step.sh"
    script.write_text(step["run"])
    collected = {name: str(cwd / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
    return subprocess.run(command, cwd=cwd, env=environment | collected | own, timeout=300).returncode


def test_the_actions_steps(tmp_path: Path, installed: dict[str, str]) -> None:
    install, measure, pack = steps()
    assert run_step(install, {}, tmp_path, installed) == 0  # the command is there: nothing is installed
    given = {
        "files": "  new.onnx \r\n\t\r\n", "plan": "quick", "publication": "p.zip",
        "fail-if": "latency_p50 < 1s\r\nlatency_p50 < 1ns\n\n",
    }  # fmt: skip
    assert run_step(measure, given, tmp_path, installed) == 3
    assert "outcome=failed" in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert "1 failed, 0 not resolved, 1 passed" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert (tmp_path / "edgebench.xml").is_file()
    assert run_step(pack, given, tmp_path, installed) == 0 and (tmp_path / "p.zip").is_file()


def test_the_action_does_not_run_what_its_inputs_say(tmp_path: Path, installed: dict[str, str]) -> None:
    given = {"files": "--results=/tmp\n$(touch evil)\n`touch evil`; touch evil", "fail-if": "$(touch evil)"}
    (tmp_path / "edgebench-summary.md").write_text("of an earlier use")
    (tmp_path / "edgebench.xml").write_text("of an earlier use")
    assert run_step(steps()[1], given, tmp_path, installed) == 1
    assert (
        tmp_path / "GITHUB_STEP_SUMMARY"
    ).read_text() == "edgebench: nothing was measured; see the log of this step\n"
    assert not (tmp_path / "edgebench.xml").exists()
    assert not (tmp_path / "evil").exists() and "outcome=error" in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert not any("${{" in step["run"] for step in steps())
    assert run_step(steps()[1], {"files": " \n\r\n"}, tmp_path, installed) == 2  # not the newest bundle instead


def test_the_script_of_the_docs_is_a_gate(tmp_path: Path, installed: dict[str, str]) -> None:
    environment = installed | {"PLAN": "quick", "LIMIT": "30"}
    ran = subprocess.run([EXAMPLES / "ci_gate.sh", "new.onnx", "old.onnx"], cwd=tmp_path, env=environment, timeout=300)
    assert ran.returncode == 0 and (tmp_path / "gate.xml").is_file()
    assert "0 failed, 0 not resolved, 2 passed" in (tmp_path / "summary.md").read_text()
