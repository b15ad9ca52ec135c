"""The agent as the host sees it: the real zipapp, spoken to over pipes."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import device_agents
from device_agents.python import PROTOCOL
from device_agents.python import session as session_
from edgebench.device import agent_zipapp
from tests.conftest import sha256

SOURCES = sorted((Path(device_agents.__file__).parent / "python").rglob("*.py"))
OLDEST = (3, 9)


def old_python() -> str | None:
    """A Python 3.9 that runs; a name on the PATH may be a version manager's empty promise."""
    for python in ["python3.9", *map(str, Path.home().glob(".pyenv/versions/3.9*/bin/python"))]:
        if shutil.which(python) and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    return None


OLD_PYTHON = old_python()


class Session:
    """A started agent; `ask` sends one request and returns the answer's line."""

    def __init__(self, zipapp: Path, root: Path, python: str = sys.executable) -> None:
        self.process = subprocess.Popen(
            [python, "-I", str(zipapp), "session", str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.hello = self.line()

    def line(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, raw: bytes = b"", **request: Any) -> Any:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request).encode() + b"\n" + raw)
        self.process.stdin.flush()
        return self.line()

    def send(self, data: bytes, sha: str = "", size: int = 0) -> Any:
        """A file in two frames, then the answer."""
        assert self.ask(do="receive", sha256=sha or sha256(data), size=size or len(data))["ok"] == {"have": 0}
        assert self.process.stdin
        self.process.stdin.write(frames(data[:3], data[3:]) + b'{"bytes":0}\n')
        self.process.stdin.flush()
        return self.line()

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        assert self.process.wait(timeout=20) == 0
        self.process.stdout.close()


def frames(*pieces: bytes) -> bytes:
    return b"".join(b'{"bytes":%d}\n' % len(piece) + piece for piece in pieces)


@pytest.fixture
def zipapp(tmp_path: Path) -> Path:
    path = tmp_path / "agent.pyz"
    path.write_bytes(agent_zipapp.build_zipapp())
    return path


@pytest.fixture
def session(zipapp: Path, tmp_path: Path) -> Iterator[Session]:
    started = Session(zipapp, tmp_path / "root")
    yield started
    started.close()


def test_the_zipapp_is_small_and_the_same_every_time() -> None:
    assert len(agent_zipapp.build_zipapp()) <= 110_000
    assert agent_zipapp._built.__wrapped__(()) == agent_zipapp.build_zipapp()


class WithoutTypes(ast.NodeTransformer):
    """What only mypy needs is removed; fields of dataclasses stay."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        kept = [one if isinstance(one, ast.AnnAssign) else self.visit(one) for one in node.body]
        node.body = [one for one in kept if one is not None]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return ast.copy_location(ast.Assign([node.target], node.value), node) if node.value else None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if ast.unparse(node) == "TYPE_CHECKING = False" else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_traceback_from_a_device_points_at_the_sources(path: Path) -> None:
    """Only docstrings and types are left out: every statement stays the same, in its place."""

    def statements(source: str) -> list[tuple[int, str]]:
        nodes = [node for node in ast.walk(WithoutTypes().visit(ast.parse(source))) if isinstance(node, ast.stmt)]
        return [(node.lineno, ast.dump(node)) for node in nodes if not isinstance(node, (*BLOCKS, ast.Pass))]

    BLOCKS = (ast.ClassDef, ast.FunctionDef)
    whole = path.read_text()
    docstrings = {
        (node.body[0].lineno, ast.dump(node.body[0]))
        for node in ast.walk(ast.parse(whole))
        if isinstance(node, (ast.Module, *BLOCKS)) and ast.get_docstring(node) is not None
    }
    sent = statements(agent_zipapp.as_sent(whole))
    assert sent == [one for one in statements(whole) if one not in docstrings]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_agent_imports_only_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=OLDEST)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {id(child) for function in functions for child in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"


@pytest.mark.skipif(OLD_PYTHON is None, reason="there is no Python 3.9 here")
def test_the_agent_runs_on_the_oldest_python(zipapp: Path, tmp_path: Path) -> None:
    assert OLD_PYTHON
    session = Session(zipapp, tmp_path / "root", OLD_PYTHON)
    assert session.hello["python"].startswith("3.9")
    assert session.ask(do="facts")["ok"]["kernel"]
    looked = session.ask(do="runtimes", names=["onnxruntime"], options={"threads": 1, "device": "cpu"})["ok"]
    assert "No module named" in looked["onnxruntime"]["problem"]
    session.close()


def test_hello_comes_first(session: Session, tmp_path: Path) -> None:
    assert session.hello["hello"] == PROTOCOL
    assert session.hello["root"] == str(tmp_path / "root")


def test_a_folder_that_cannot_be_written_is_said_in_the_hello(zipapp: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = Session(zipapp, tmp_path / "file")
    assert "cannot write" in said.hello["error"]
    said.close()


def test_unknown_and_malformed_requests_are_answered_and_survived(session: Session) -> None:
    assert "unknown request" in session.ask(do="dance")["error"]
    assert "error" in session.ask(do="missing")
    assert "error" in session.ask(do="tail", job="no-such-job", line=0)
    assert session.ask(do="missing", blobs={})["ok"] == []


def test_a_blob_gets_its_name_only_if_its_content_is_right(session: Session, tmp_path: Path) -> None:
    data = b"weights"
    assert session.ask(do="missing", blobs={sha256(data): len(data)})["ok"] == [sha256(data)]
    assert session.send(b"wejghts", sha256(data)) == {"ok": {"whole": False}}
    assert session.ask(do="missing", blobs={sha256(data): len(data)})["ok"] == [sha256(data)]
    assert session.send(data) == {"ok": {"whole": True}}
    assert session.ask(do="missing", blobs={sha256(data): len(data)})["ok"] == []
    assert [p.name for p in (tmp_path / "root/blobs").iterdir()] == [sha256(data)]


def test_what_looks_like_a_request_inside_a_file_is_no_request(session: Session) -> None:
    data = b'{"do":"facts"}\n' * 4
    assert session.send(data) == {"ok": {"whole": True}}
    assert session.ask(do="missing", blobs={sha256(data): len(data)})["ok"] == []


def test_a_file_that_is_damaged_there_is_missing_again(session: Session, tmp_path: Path) -> None:
    data = b"weights"
    session.send(data)
    (tmp_path / "root/blobs" / sha256(data)).write_bytes(b"wejghts")  # as long as before
    assert session.ask(do="missing", blobs={sha256(data): len(data)})["ok"] == [sha256(data)]
    assert session.send(data) == {"ok": {"whole": True}}


def test_an_upload_goes_on_where_the_last_one_ended(session: Session, zipapp: Path, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    assert session.ask(do="receive", sha256=sha256(data), size=len(data))["ok"] == {"have": 0}
    assert session.process.stdin
    session.process.stdin.write(frames(data[:5000]))
    session.process.stdin.flush()
    partial = tmp_path / "root/blobs" / (sha256(data) + ".part")
    while not partial.exists() or partial.stat().st_size < 5000:
        time.sleep(0.01)
    again = Session(zipapp, tmp_path / "root")
    assert again.ask(do="receive", sha256=sha256(data), size=len(data))["ok"] == {"have": 5000}
    assert again.process.stdin
    again.process.stdin.write(frames(data[5000:]) + b'{"bytes":0}\n')
    again.process.stdin.flush()
    assert again.line() == {"ok": {"whole": True}}
    again.close()


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", "", ".hidden", "a b"])
def test_names_from_the_host_never_leave_the_folder(session: Session, name: str) -> None:
    assert "not a plain name" in session.ask(do="tail", job=name, line=0)["error"]
    assert "not a plain name" in session.ask(do="forget", job=name)["error"]
    assert "not a plain name" in session.ask(do="install", name=name, wheels=[])["error"]
    assert "not a sha256" in session.ask(do="receive", sha256=name, size=1)["error"]


def test_a_wheel_is_unpacked_inside_its_own_folder(session: Session, tmp_path: Path) -> None:
    wheel = tmp_path / "evil.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/__init__.py", "x = 1")
        archive.writestr("../../outside.py", "x = 1")
    data = wheel.read_bytes()
    session.send(data)
    folder = Path(session.ask(do="install", name="demo", wheels=[sha256(data)])["ok"]["folder"])
    assert folder.parent == tmp_path / "root/runtimes"
    assert (folder / "package/__init__.py").exists()
    assert not list((tmp_path / "root").glob("outside.py")) and not list(tmp_path.glob("outside.py"))


def test_a_runtime_that_is_damaged_there_is_removed_and_asked_for_again(session: Session, tmp_path: Path) -> None:
    wheel = tmp_path / "runtime.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("onnxruntime/__init__.py", "__version__ = '1'")
    session.send(wheel.read_bytes())
    asked = {"name": "onnxruntime", "wheels": [sha256(wheel.read_bytes())]}
    folder = Path(session.ask(do="install", **asked)["ok"]["folder"])
    (folder / "onnxruntime/__init__.py").write_text("__version__ = '2'")
    options = {"threads": 1, "device": "gpu"}  # the system's own has no such device: what was brought is looked at
    looked = session.ask(do="runtimes", names=["onnxruntime"], options=options)["ok"]["onnxruntime"]
    assert looked["problem"] == "the copy that was sent here was damaged, and has been removed" and not folder.exists()
    assert Path(session.ask(do="install", **asked)["ok"]["folder"]) == folder
    assert (folder / "onnxruntime/__init__.py").read_text() == "__version__ = '1'"


def test_a_wheel_that_is_damaged_there_is_not_unpacked(session: Session, tmp_path: Path) -> None:
    data = b"no wheel"
    session.send(data)
    (tmp_path / "root/blobs" / sha256(data)).write_bytes(b"no wheal")
    assert "was damaged on this device" in session.ask(do="install", name="demo", wheels=[sha256(data)])["error"]
    assert session.ask(do="missing", blobs={sha256(data): len(data)})["ok"] == [sha256(data)]


def test_what_was_cut_short_long_ago_is_removed(zipapp: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "root/blobs"
    blobs.mkdir(parents=True)
    for name, age_s in (("a.part", 2 * 86_400), ("b.part", 60)):
        (blobs / name).write_bytes(b"half")
        os.utime(blobs / name, (time.time() - age_s,) * 2)
    Session(zipapp, tmp_path / "root").close()
    assert [path.name for path in blobs.iterdir()] == ["b.part"]


def test_what_a_library_prints_cannot_be_taken_for_an_answer(tmp_path: Path) -> None:
    """A worker's file descriptor 1 belongs to the protocol: native and Python prints land on stderr."""
    script = (
        "import os, sys\n"
        "from device_agents.python.channel import Channel\n"
        "channel = Channel.stdio()\n"
        "os.write(1, b'native noise\\n'); print('python noise', flush=True)\n"
        "channel.send({'answer': 1})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=Path(__file__).parents[2])
    assert done.stdout == b'{"answer":1}\n'
    assert b"native noise" in done.stderr and b"python noise" in done.stderr


def test_a_growing_journal_is_read_in_whole_lines_each_once(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    with session_._JournalReader(journal, 2) as reader:
        assert reader.new_lines() == b""
        with journal.open("ab", buffering=0) as written:
            written.write(b'{"n":0}\n{"n":')
            assert reader.new_lines() == b""
            written.write(b'1}\n{"n":2}\n{"n":3}\n{"n"')
            assert reader.new_lines() == b'{"n":2}\n{"n":3}\n'
            assert reader.new_lines() == b""
            written.write(b':4,"event":"round","said":"end"}\n')
            assert reader.new_lines() == b'{"n":4,"event":"round","said":"end"}\n' and not reader.ended
            written.write(b'{"n":5,"t_ns":1,"event":"end","status":"done"}\n')
            assert reader.new_lines().startswith(b'{"n":5') and reader.ended


def test_a_journal_that_the_host_has_already_ends_all_the_same(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b'{"n":0,"event":"job"}\n{"n":1,"event":"end"}\n')
    with session_._JournalReader(journal, 2) as reader:
        assert reader.new_lines() == b"" and reader.ended
