"""What `import edgebench` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import edgebench

# What lies beside the stories: errors and progress, how plugins are found, deploy with a baseline, pytest's door.
BESIDE = {"__init__", "__main__", "errors", "progress", "plugins", "gated", "pytest_plugin"}


def test_every_story_can_be_had_from_the_package() -> None:
    stories = {path.stem for path in Path(edgebench.__path__[0]).glob("*.py")} - BESIDE
    assert set(edgebench.STEPS) == stories | {"mcp"}


@pytest.mark.parametrize("step", edgebench.STEPS)
def test_each_step_is_a_function_of_the_module_of_its_name(step: str) -> None:
    module = getattr(edgebench, step)
    assert isinstance(module, ModuleType) and module.__name__ == f"edgebench.{step}"
    assert callable(getattr(module, step))


@pytest.mark.parametrize("name", sorted(edgebench._NAMES))
def test_types_and_load_are_there_by_name(name: str) -> None:
    assert getattr(edgebench, name).__module__ == edgebench._NAMES[name]
    assert name in dir(edgebench)


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'deplay'"):
        _ = edgebench.deplay


def test_importing_edgebench_imports_nothing_else() -> None:
    script = "import sys, edgebench; print(*[name for name in sys.modules if name.startswith('edgebench')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["edgebench"]
