"""Runtimes of one's own, by the examples of docs/npu.md, each with a fake of its vendor's library."""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agents.python import runtimes
from device_agents.python.runtimes import litert
from edgebench import deploy, plugins
from edgebench.device import agent_zipapp, own_runtimes
from edgebench.errors import BadFile, UserError
from edgebench.modelfile.feeding import InputRequest
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target

EXAMPLES = Path("docs/examples/runtimes").absolute()
FAKES = Path("tests/stubs/npu").absolute()
# What each vendor's files begin with.
FILES = {
    "hailo": ("net.hef", b"\x01HEF"), "rknn": ("net.rknn", b"RKNN"), "imx500": ("net.rpk", b"9464"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The list of folders is this process's; packages that the fakes stand for have metadata of their own."""
    monkeypatch.setattr(runtimes, "__path__", list(runtimes.__path__))
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    yield
    for name in ("hailo", "rknn", "imx500", "edgetpu"):
        sys.modules.pop(f"{runtimes.__name__}.{name}", None)


def measured(name: str, path: Path, plan: Plan, results: Path, sizes: dict[str, Any] | None = None) -> Record:
    target = Target(name="board", transport="local", runtimes=(name,), own_runtimes=str(EXAMPLES))
    wanted = deploy.artifacts_at([path], InputRequest(sizes or {}))
    (one,) = deploy.deploy(target, wanted[:1], plan, results)
    return one


@pytest.mark.parametrize("name", FILES)
def test_the_example_measures_a_file_by_its_vendors_library(name: str, tiny_plan: Plan, tmp_path: Path) -> None:
    file, beginning = FILES[name]
    (tmp_path / file).write_bytes(beginning + bytes(64))
    one = measured(name, tmp_path / file, tiny_plan, tmp_path / "results", {"": (1, 4, 4, 3)} if name == "rknn" else {})
    assert one.rounds and (one.runtime.name, one.artifact.format) == (name, name)
    if name == "imx500":  # by the camera's clock: 16.5 or 17.5 ms, whatever the fake takes
        assert {value for part in one.rounds for value in part.values_ns} <= {16_500_000, 17_500_000}
        assert not one.runtime.notes.get("fed")
    else:
        (fed,) = one.fed
        assert (fed.shape, fed.dtype) == ((1, 4, 4, 3), "uint8")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_chip_refuses_is_a_failed_record(name: str, tiny_plan: Plan, tmp_path: Path) -> None:
    file, _ = FILES[name]
    (tmp_path / file).write_bytes(b"something else" * 8)
    one = measured(name, tmp_path / file, tiny_plan, tmp_path / "results", {"": (1, 4, 4, 3)})
    assert one.outcome.status == "failed" and not one.rounds and one.outcome.reason


def test_the_edge_tpu_answers_the_golden_inputs(relu_bundle: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    tflite = [one for one in deploy.artifacts_at([relu_bundle]) if one.artifact.format == "tflite"]
    target = Target(name="board", transport="local", runtimes=("edgetpu",), own_runtimes=str(EXAMPLES))
    (one,) = deploy.deploy(target, tflite, tiny_plan, tmp_path / "results")
    assert one.rounds and one.golden is not None and one.golden.passed
    assert one.runtime.notes["delegate"] == "libedgetpu.so.1"


def test_what_the_edge_tpu_does_not_take_is_never_timed(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setenv("FAKE_NPU_UNCOMPILED", "1")
    tflite = [one for one in deploy.artifacts_at([relu_bundle]) if one.artifact.format == "tflite"]
    target = Target(name="board", transport="local", runtimes=("edgetpu",), own_runtimes=str(EXAMPLES))
    (one,) = deploy.deploy(target, tflite, tiny_plan, tmp_path / "results")
    assert (one.outcome.status, one.outcome.kind, one.rounds) == ("failed", "fallback", ())
    assert "CONV_2D" in one.outcome.reason


@pytest.mark.parametrize(("name", "said"), [("hailo", "no Hailo chip here"), ("edgetpu", "is it plugged in")])
def test_a_board_without_the_chip_is_told_so(
    name: str, said: str, tiny_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NPU_ABSENT", "1")
    suffix = ".hef" if name == "hailo" else ".tflite"
    (tmp_path / f"net{suffix}").write_bytes(b"\x01HEF" + bytes(64))
    if suffix == ".tflite":
        (tmp_path / "net.tflite").write_bytes(base64.b64decode(litert.TINY_MODEL))
    monkeypatch.setattr("edgebench.device.provisioning.can_install", lambda name, target: False)
    with pytest.raises(UserError, match=said):
        measured(name, tmp_path / f"net{suffix}", tiny_plan, tmp_path / "results")


def test_a_folder_of_runtimes_joins_once_and_is_part_of_the_agent(tmp_path: Path) -> None:
    before = agent_zipapp.build_zipapp()
    own_runtimes.join(str(EXAMPLES))
    own_runtimes.join(str(EXAMPLES))
    assert "hailo" in plugins.names("device_agents.python.runtimes")
    assert plugins.names("device_agents.python.runtimes").count("hailo") == 1
    assert agent_zipapp.build_zipapp() != before
    for folder, said in ((tmp_path, "no .py file"), (tmp_path / "none", "no such folder")):
        with pytest.raises(BadFile, match=said):
            own_runtimes.join(str(folder))
    shutil.copy(EXAMPLES / "hailo.py", tmp_path / "onnxruntime.py")
    with pytest.raises(BadFile, match="another runtime of this name"):
        own_runtimes.join(str(tmp_path))
