"""Exports to ExecuTorch: what is computed in which precision, on whose kernels, and what it says where it cannot."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from device_agents.python import runtimes
from device_agents.python.runtimes._pte_file import PteFile
from edgebench import deploy, export, inspect, modelfile
from edgebench.analysis.verdict import failures
from edgebench.errors import BadFile, UserError
from edgebench.modelfile.feeding import InputRequest
from edgebench.schema.plan import Plan
from edgebench.schema.record import Outcome
from edgebench.schema.targets import Target

pytest.importorskip("executorch")
pytest.importorskip("torchao")


def _executorch_program(before: bytes, after: bytes) -> bytes:
    """relu, for another backend."""
    content = base64.b64decode(runtimes.module("executorch").TINY_MODEL)
    assert content.count(before) == 1 and len(before) == len(after)
    return content.replace(before, after)


FORMATS = ("executorch-fp32", "executorch-int8")
OPTIONS = {"threads": 1, "device": "cpu", "precision": "file"}
pytestmark = pytest.mark.export

NETWORK = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.scores = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(4, 6)

    def forward(self, image, extra):
        return {"map": torch.relu(self.conv(image)), "scores": torch.cumsum(self.scores(extra), 1)}

class Sorted(Two):
    def forward(self, image):
        return torch.sort(self.conv(image), 1)[0]
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> export.Exported:
    """A network of one's own, of two inputs, one of which ends in an operator that XNNPACK lacks."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "nets.py").write_text(NETWORK)
    rng = np.random.default_rng(0)
    given = {"image": rng.standard_normal((24, 3, 8, 8)), "extra": rng.standard_normal((24, 4))}
    np.savez(folder / "in.npz", **{name: values.astype("float32") for name, values in given.items()})
    sizes = InputRequest({"image": (1, 3, 8, 8), "extra": (1, 4)})
    options = export.ExportOptions(formats=FORMATS, wanted=sizes, inputs=folder / "in.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return export.export("nets:Two", options, out=folder / "bundle", cache=folder / "cache")


def test_both_precisions_answer_like_their_network_and_are_what_they_say(exported: export.Exported) -> None:
    fp32, int8 = exported.bundle.artifacts
    assert [(one.format, one.precision) for one in (fp32, int8)] == [("executorch", "fp32"), ("executorch", "int8")]
    for one in (fp32, int8):
        assert [spec.shape for spec in one.inputs] == [(1, 3, 8, 8), (1, 4)]
        assert [spec.dtype for spec in one.inputs] == ["float32", "float32"]
        assert one.golden is not None and len(one.golden.expected) == 2
    session = runtimes.module("executorch").load(str(exported.path / fp32.content.file), OPTIONS)
    assert session.notes()["threads"] == 1 and session.notes()["precision"] == {"reported": {"f32": 2}}
    of_int8 = PteFile((exported.path / int8.content.file).read_bytes())
    assert [one.precision for one in of_int8.xnnpack if one.precision] == ["i8", "i8"]
    assert session.notes()["backends"]["XnnpackBackend"] >= 1 and "aten::cumsum.out" in session.notes()["kernels"]


def test_it_runs_without_torch(exported: export.Exported) -> None:
    program = (
        "import sys; from device_agents.python.runtimes import executorch as runtime\n"
        f"session = runtime.load({str(exported.path / exported.bundle.artifacts[0].content.file)!r}, {OPTIONS!r})\n"
        "session.invoke(); print(len(session.arrays()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_they_answer_on_a_target_as_at_export(exported: export.Exported, tiny_plan: Plan, tmp_path: Path) -> None:
    target = Target(name="here", transport="local", runtimes=("executorch",), threads=2)
    records = deploy.deploy(target, deploy.artifacts_at([exported.path]), tiny_plan, tmp_path / "results")
    assert [(one.runtime.name, one.artifact.precision) for one in records] == [
        ("executorch", "fp32"), ("executorch", "int8"),
    ]  # fmt: skip
    for one in records:
        assert one.rounds and one.golden is not None and one.golden.passed and one.runtime.threads == 2


def test_a_program_is_described_without_any_library(exported: export.Exported) -> None:
    model = modelfile.read(exported.path / exported.bundle.artifacts[0].content.file)
    assert model is not None
    assert [(one.name, one.shape, one.dtype) for one in model.inputs] == [
        ("input 0", (1, 3, 8, 8), "float32"), ("input 1", (1, 4), "float32"),
    ]  # fmt: skip
    assert [one.shape for one in model.outputs] == [(1, 5, 8, 8), (1, 6)]


def test_inspect_shows_the_layers_of_a_program_and_what_they_compute_in(exported: export.Exported) -> None:
    found = inspect.inspect(exported.path / exported.bundle.artifacts[1].content.file)
    layers = {one.operator: one for one in found.network.layers}
    conv = layers["Conv2d"]
    assert (conv.arithmetic, conv.output_shape, conv.macs, conv.scales) == ("integer", (1, 8, 8, 5), 8640, 5)
    assert layers["FullyConnected"].macs == 24 and "aten::cumsum.out" in layers
    assert found.network.conversions["Convert"] >= 2 and not found.network.remarks
    assert [one.shape for one in found.network.inputs] == [(1, 3, 8, 8), (1, 4)]


@pytest.mark.parametrize(
    ("content", "seen"),
    [(b"ET12ET12", "not a program of ExecuTorch"), (b"\xff\xff\xff\x7fET12" + bytes(64), "or truncated")],
)
def test_damaged_programs_are_refused_before_they_are_sent(content: bytes, seen: str, tmp_path: Path) -> None:
    (tmp_path / "x.pte").write_bytes(content)
    with pytest.raises(BadFile, match=seen):
        modelfile.read(tmp_path / "x.pte")


def test_a_cut_program_never_reads_beyond_its_end(exported: export.Exported) -> None:
    content = (exported.path / exported.bundle.artifacts[1].content.file).read_bytes()
    for size in range(8, min(len(content), 3000), 61):
        try:
            PteFile(content[:size])
        except ValueError as error:
            assert "ExecuTorch" in str(error) or "tensor" in str(error) or "method" in str(error)


def test_an_operator_without_a_kernel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    options = export.ExportOptions(formats=("executorch-fp32",), input_shape=(3, 8, 8))
    with pytest.raises(UserError) as raised:
        export.export("nets:Sorted", options, out=tmp_path / "bundle", cache=tmp_path / "cache")
    assert "aten::sort" in str(raised.value)


def test_another_version_is_refused_and_not_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "executorch-1.6.0.dist-info").mkdir()
    (tmp_path / "executorch-1.6.0.dist-info/METADATA").write_text("Name: executorch\nVersion: 1.6.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match=r"ExecuTorch 1\.6\.0 is installed, and only >=1\.5,<1\.6 is known"):
        runtimes.module("executorch").facts(OPTIONS)


@pytest.mark.parametrize(
    ("content", "kind", "seen"),
    [
        (b"ET12ET12", "no model", "not a program of ExecuTorch"),
        (_executorch_program(b"XnnpackBackend", b"SamsungBackend"), "operator", "made for SamsungBackend"),
    ],
    ids=["no program", "other backend"],
)
def test_what_executorch_refuses_has_its_remedy(content: bytes, kind: str, seen: str, tmp_path: Path) -> None:
    (tmp_path / "x.pte").write_bytes(content)
    with pytest.raises((RuntimeError, ValueError)) as raised:
        runtimes.module("executorch").load(str(tmp_path / "x.pte"), OPTIONS)
    found = failures.explain(Outcome("failed", "check", "error", f"ValueError: {raised.value}"))
    assert found.kind == kind and seen in found.seen
