"""Ctrl-C and a full disk: they leave the old bundle or the new one, and nothing half."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

import exporters
from edgebench.export import ExportOptions, export
from edgebench.schema import bundle, checkpoint
from exporters.pipeline import publishing
from tests.conftest import cli_command
from tests.support.export_sources import dense as dense
from tests.support.export_sources import folder as folder
from tests.support.export_sources import small as small
from tests.support.export_sources import tiny as tiny

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)

STAGES: dict[str, str] = {
    "opening": "exporters.pipeline.opening.open_source",
    "loading the images": "exporters.pipeline.export_images.load",
    "asking the parent": "exporters.pipeline.reference_data.collect",
    "starting a worker": "exporters.workers.process.WorkerProcess.__init__",
    "writing golden files": "exporters.pipeline.golden.write",
    "writing bundle.json": "edgebench.schema.bundle.save",
    "putting it in place": "pathlib.Path.rename",
    "deleting the old one": "shutil.rmtree",
}


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_leaves_the_old_bundle_or_the_new_one(
    tiny: Path, tmp_path: Path, relu_bundle: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    out = tmp_path / "out" / "bundle"
    out.parent.mkdir()
    relu_bundle.rename(out)
    before = bundle.load(out)

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(STAGES[stage], interrupt)
        with pytest.raises(KeyboardInterrupt):
            export(tiny, ExportOptions(formats=["onnx-fp32"]), out=out)
    after = bundle.load(out)
    assert (after == before) == (stage != "deleting the old one")
    others = [path for path in out.parent.iterdir() if path != out]
    assert not any((path / "bundle.json").exists() for path in others)
    if stage != "deleting the old one":
        assert others == []


@pytest.mark.parametrize(
    ("limit_bytes", "native"), [(300_000, False), pytest.param(425_000, True, marks=pytest.mark.slow)]
)
def test_no_room_for_a_file_is_said(dense: checkpoint.Checkpoint, folder: Path, limit_bytes: int, native: bool) -> None:
    """A limit on the size of files stands for a full disk: native libraries say of it "unexpected pos 412544"."""
    source = ["my.models:dense", "--input", "1x28x28"] if native else [dense.path]
    command = cli_command("export", *source, "--formats", "torch-fp32", "--out", folder / "out" / "x", "--no-cache")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1, done.stderr
    assert "no space is left for the files of this export" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not [path for path in (folder / "out").glob("*") if path.suffix != ".log"]


def test_a_failure_that_is_not_about_room_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="unexpected pos"), publishing.room(tmp_path, tmp_path / "nothing"):
        raise RuntimeError("unexpected pos")
    assert list(tmp_path.iterdir()) == []
