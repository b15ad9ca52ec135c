"""Converters and files that fail: what is said, and that nothing half of a bundle stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import exporters
from edgebench.errors import BadFile, MissingPackage, UnknownName, UserError
from edgebench.export import ExportOptions, check_made, export
from edgebench.schema import bundle, checkpoint
from exporters.pipeline import publishing
from exporters.workers import process
from tests.conftest import cli_command, run_cli
from tests.support.exported import dense as dense
from tests.support.exported import folder as folder

pytestmark = pytest.mark.export

for library in ("torch", "onnx", "onnxruntime", "litert_torch", "ai_edge_quantizer"):
    if not exporters.importlib.util.find_spec(library):
        pytest.skip(f"needs {library}", allow_module_level=True)


def write_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """An export format of a test: a file in a folder that is added to the registry, here and in the workers."""
    package = tmp_path / "more" / "exporters"
    package.mkdir(parents=True)
    (package / "bad.py").write_text(
        "from exporters.onnx import *\nfrom exporters.onnx import open_artifact\nfrom exporters import ConvertedFile\n"
        "FORMAT, SUFFIX, SOURCES, PRECISIONS, PACKAGES, EXTRA = "
        "'onnx', '.onnx', ('checkpoint',), ('fp16',), ('onnx',), 'export'\n" + body
    )
    (tmp_path / "more" / "sitecustomize.py").write_text(
        f"import exporters; exporters.__path__.append({str(package)!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(process.ROOT), str(tmp_path / "more")]))
    monkeypatch.setattr(exporters, "__path__", [*exporters.__path__, str(package)])
    monkeypatch.delitem(sys.modules, "exporters.bad", raising=False)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def convert(job):\n import os; os.kill(os.getpid(), 11)\n", "killed by SIGSEGV"),
        ("def convert(job):\n raise RuntimeError('cannot convert Foo')\n", "RuntimeError: cannot convert Foo"),
        ("def convert(job):\n import sys; sys.exit(3)\n", "ended with status 3"),
    ],
    ids=["crash", "exception", "exit"],
)
def test_a_converter_that_fails(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    write_plugin(tmp_path, monkeypatch, body)
    with pytest.raises(UserError, match=words) as raised:
        export(dense.path, ExportOptions(formats=["bad-fp16"]), out=tmp_path / "out" / "x")
    log = tmp_path / "out" / "x-bad.log"
    assert str(log) in raised.value.remedy
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x-bad.log"], "no half bundle may stay"


def test_an_artifact_that_crashes_its_runtime(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "def convert(job):\n from pathlib import Path; out = Path(job.folder) / 'a'; out.write_bytes(b'x')\n"
        " yield ConvertedFile('fp16', str(out))\n"
        "def open_artifact(path):\n import os; os.abort()\n"
    )
    write_plugin(tmp_path, monkeypatch, body)
    with pytest.raises(UserError, match="killed by SIGABRT"):
        export(dense.path, ExportOptions(formats=["bad-fp16"]), out=tmp_path / "x")


def with_other_bias(bias: str) -> str:
    """A converter whose file is right but for the last layer's `bias`, an expression of the right one."""
    return (
        "def convert(job):\n"
        " import onnx; from pathlib import Path; from onnx import numpy_helper\n"
        " out = Path(job.folder) / 'a.onnx'; from_checkpoint(Path(job.source), out); model = onnx.load(str(out))\n"
        " tensor = next(t for t in model.graph.initializer if 'classifier.bias' in t.name)\n"
        " bias = numpy_helper.to_array(tensor)\n"
        f" tensor.CopyFrom(numpy_helper.from_array({bias}, tensor.name))\n"
        " onnx.save(model, str(out)); yield ConvertedFile('fp16', str(out))\n"
    )


def test_another_network_in_the_clothes_of_this_one_is_refused(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converter that mixes up weights gives a file that loads, runs, and answers something else."""
    write_plugin(tmp_path, monkeypatch, with_other_bias("bias[::-1].copy() + 1"))
    with pytest.raises(UserError, match=r"dense-bad-fp16: its answers to 2000 images differ"):
        export(dense.path, ExportOptions(formats=["bad-fp16"]), out=tmp_path / "x")


def test_a_file_whose_answers_overflow_is_refused(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As half precision does to a network that answers beyond 65,504."""
    write_plugin(tmp_path, monkeypatch, with_other_bias("bias * float('inf')"))
    with pytest.raises(UserError, match=r"dense-bad-fp16: some of its answers are not numbers"):
        export(dense.path, ExportOptions(formats=["bad-fp16"]), out=tmp_path / "x")


def test_a_failed_export_leaves_the_old_bundle(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "bundle"
    before = export(dense.path, ExportOptions(formats=["onnx-fp32"]), out=out).bundle
    write_plugin(tmp_path, monkeypatch, "def convert(job):\n raise RuntimeError('no')\n")
    with pytest.raises(UserError):
        export(dense.path, ExportOptions(formats=["bad-fp16"]), out=out)
    assert bundle.load(out) == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def convert(job):\n import os; os.kill(os.getpid(), 11)\n", "bad: the process was killed by SIGSEGV"),
        (with_other_bias("bias[::-1].copy() + 1"), "its answers to 2000 images differ"),
    ],
    ids=["convert", "check"],
)
def test_a_format_that_fails_takes_no_other_with_it(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    """The real program: what was named ends with 1, and its reason is in the bundle."""
    write_plugin(tmp_path, monkeypatch, body)
    formats = ["--formats", "onnx-fp32,bad-fp16,onnx-int8"]
    done = run_cli("export", dense.path, *formats, "--no-cache", "--out", "out/x", cwd=tmp_path)
    said = " ".join(done.stderr.split())
    assert done.returncode == 1 and "--formats: bad-fp16 could not be made" in said and "Traceback" not in said
    assert "not made: bad-fp16: " in done.stdout and words in " ".join(done.stdout.split())
    made = bundle.load(tmp_path / "out" / "x")
    assert [one.name for one in made.artifacts] == ["dense-onnx-fp32", "dense-onnx-int8"]
    assert [(one.format, words in one.reason) for one in made.failed] == [("bad-fp16", True)]
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"x", "x-bad.log"}


def test_what_fails_of_a_converter_leaves_what_it_made_before(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fp16 crashes; fp32 was made by then, and INT8 is made in another process. Nobody named any of them."""
    body = (
        "import exporters.onnx as real\nPRECISIONS = ('fp32', 'fp16', 'int8')\n"
        "def convert(job):\n for made in real.convert(job):\n"
        "  if made.precision == 'fp16': import os; os.abort()\n  yield made\n"
    )
    write_plugin(tmp_path, monkeypatch, body)
    monkeypatch.setattr("exporters.pipeline.wanted.names", lambda *_, **__: ["bad-fp32", "bad-fp16", "bad-int8"])
    monkeypatch.setattr("exporters.other_route", lambda *_: None)
    made = export(dense.path, out=tmp_path / "x")
    assert [one.name for one in made.bundle.artifacts] == ["dense-bad-fp32", "dense-bad-int8"]
    assert [one.format for one in made.bundle.failed] == ["bad-fp16"]
    check_made(made, ())


def test_a_library_that_is_not_installed_is_a_reason_too(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(tmp_path, monkeypatch, "PACKAGES = ('onnx', 'no_such_package')\n")
    monkeypatch.setattr("exporters.pipeline.wanted.names", lambda *_, **__: ["onnx-fp32", "bad-fp16"])
    made = export(dense.path, out=tmp_path / "x")
    assert [one.format for one in made.bundle.failed] == ["bad-fp16"]
    assert "'no_such_package' is not installed" in made.bundle.failed[0].reason
    with pytest.raises(MissingPackage):
        export(dense.path, ExportOptions(formats=["onnx-fp32", "bad-fp16"]), out=tmp_path / "y")


def test_interrupting_ends_the_workers_and_leaves_nothing(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGINT to edgebench alone, as `kill -INT` sends it: a converter that has work for minutes must not go on."""
    started = tmp_path / "started"
    write_plugin(
        tmp_path,
        monkeypatch,
        "def convert(job):\n import os, time; from pathlib import Path\n"
        f" Path({str(started)!r}).write_text(str(os.getpid())); time.sleep(300); yield\n",
    )
    code = (
        "from pathlib import Path; from edgebench.export import ExportOptions, export; "
        f"export(Path({str(dense.path)!r}), ExportOptions(['bad-fp16']), out=Path('bundles/x'))"
    )
    program = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            if started.exists() and started.read_text():
                break
            time.sleep(0.1)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=30)
    finally:
        program.kill()
        worker = Path("/proc") / started.read_text()
        gone = not worker.exists()
        if not gone:
            os.kill(int(worker.name), signal.SIGKILL)
    assert gone
    assert program.returncode != 0
    assert b"KeyboardInterrupt" in errors
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_an_export_ends_its_workers(
    ends: signal.Signals, dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A converter in native code that never lets Python look, as those of TensorFlow are for minutes."""
    started = tmp_path / "started"
    write_plugin(
        tmp_path,
        monkeypatch,
        "def convert(job):\n import ctypes, os; from pathlib import Path\n"
        f" Path({str(started)!r}).write_text(str(os.getpid()))\n ctypes.PyDLL(None).sleep(300); yield\n",
    )
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    program = subprocess.Popen(
        cli_command("export", dense.path, "--formats", "bad-fp16", "--no-cache", "--out", "out/x"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert soon(lambda: started.exists() and bool(started.read_text()))
        program.send_signal(ends)
        _, errors = program.communicate(timeout=60)
        worker = Path("/proc") / started.read_text()
        gone = soon(lambda: not worker.exists() or " Z " in (worker / "stat").read_text())
    finally:
        program.kill()
        subprocess.run(["kill", "-9", started.read_text()], capture_output=True)
    assert gone and b"Traceback" not in errors
    if ends == signal.SIGKILL:
        assert program.returncode == -signal.SIGKILL
        monkeypatch.setattr(publishing, "YOUNG_S", -1.0)
        publishing.clear(tmp_path / "out", ".x.*.part")
        publishing.clear(tmp_path / "tmp", "edgebench-export-*")
    else:
        assert program.returncode == 128 + ends
    assert not list((tmp_path / "out").glob("*")) and not list((tmp_path / "tmp").glob("edgebench-export-*"))


def soon(happened: Callable[[], bool]) -> bool:
    """Within a minute."""
    for _ in range(600):
        if happened():
            return True
        time.sleep(0.1)
    return False


def test_what_somebody_works_in_is_not_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "YOUNG_S", -1.0)
    with publishing.part(tmp_path / "x") as mine:
        (mine / "bundle.json").write_text("{}")
        publishing.clear(tmp_path, ".x.*.part")
        assert mine.is_dir()
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["x"]


def test_names_that_cannot_be_made(
    dense: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'onnx-int8'"):
        export(dense.path, ExportOptions(formats=["onnx-in8"]), out=tmp_path / "x")
    with pytest.raises(BadFile, match="no such file"):
        export(tmp_path / "nothing.safetensors", out=tmp_path / "x")
    (tmp_path / "net.pth").write_bytes(b"x")
    with pytest.raises(BadFile, match="export does not read '.pth' files"):
        export(tmp_path / "net.pth", out=tmp_path / "x")
    real = exporters.importlib.util.find_spec
    monkeypatch.setattr(
        exporters.importlib.util, "find_spec", lambda name: None if name == "litert_torch" else real(name)
    )
    with pytest.raises(MissingPackage, match=r"pip install 'edgebench\[export\]'"):
        export(dense.path, ExportOptions(formats=["tflite-fp32"]), out=tmp_path / "x")
