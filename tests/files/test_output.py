"""Files that users name: pipes, devices, links, stdout, and names under which nothing can be written."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from edgebench.errors import UserError
from edgebench.files import output
from edgebench.schema import checkpoint
from exporters.pipeline import publishing
from tests.conftest import cli_command, run_cli
from tests.support.records import make_record, save_all

TEXT = "one\ntwo\n"


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ------------------------------------------------------------------ what is no file is written into


def read_in_background(path: Path) -> tuple[threading.Thread, list[str]]:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(path.read_text()), daemon=True)
    thread.start()
    return thread, found


def test_a_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    output.check(pipe)  # waits for nobody
    reader, found = read_in_background(pipe)
    output.write(pipe, TEXT)
    reader.join(30)
    assert found == [TEXT] and pipe.is_fifo() and listed(tmp_path) == ["pipe"]


def test_a_link_to_a_pipe_leads_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    reader, found = read_in_background(tmp_path / "pipe")
    output.write(tmp_path / "link", TEXT)
    reader.join(30)
    assert found == [TEXT] and (tmp_path / "link").is_symlink() and (tmp_path / "pipe").is_fifo()


def test_a_terminal_is_written_into_and_stays() -> None:
    leader, follower = os.openpty()
    try:
        name = Path(os.ttyname(follower))
        output.check(name)
        output.write(name, "one line\n")
        assert os.read(leader, 100) == b"one line\r\n" and name.is_char_device()
    finally:
        os.close(leader)
        os.close(follower)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_written_into_and_stays(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_text("")
    except OSError:
        pytest.skip("no devices in this folder")
    output.check(device)
    output.write(device, TEXT)
    assert device.is_char_device() and listed(tmp_path) == ["null"]


def test_a_file_that_a_process_holds_open_is_written_into(tmp_path: Path) -> None:
    """As /dev/stderr is when a shell sends it to a file."""
    with (tmp_path / "log").open("w+") as stream:
        stream.write("before\n")
        stream.flush()
        (tmp_path / "link").symlink_to(f"/proc/self/fd/{stream.fileno()}")
        for path in (Path(f"/dev/fd/{stream.fileno()}"), tmp_path / "link"):
            output.check(path)
            output.write(path, TEXT)
        stream.seek(0)
        assert stream.read() == "before\n" + 2 * TEXT
    assert listed(tmp_path) == ["link", "log"]


# ------------------------------------------------------------------ links and files


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    (tmp_path / "there" / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("there/file")
    output.check(tmp_path / "link")
    output.write(tmp_path / "link", TEXT)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "file").read_text() == TEXT
    assert stat.S_IMODE((tmp_path / "there" / "file").stat().st_mode) == 0o640
    assert listed(tmp_path) == ["link", "there"] and listed(tmp_path / "there") == ["file"]


def test_a_link_to_nothing_yet_gives_a_file_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    output.write(tmp_path / "link", TEXT)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == TEXT


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "folder: cannot be written .it is a folder"),
        ("", "it is a folder"),
        ("no/such/file", "no/such/file: cannot be written .No such file or directory"),
        ("file/under", "Not a directory"),
        ("circle", "circle: cannot be written"),
        ("nowhere", "nowhere: cannot be written .No such file or directory"),
    ],
)
def test_names_under_which_nothing_can_be_written(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("old")
    Path("circle").symlink_to("circle")
    Path("nowhere").symlink_to("no/such/file")
    before = listed(tmp_path)
    for attempt in (output.check, lambda path: output.write(path, TEXT)):
        with pytest.raises(UserError, match=said):
            attempt(Path(name))
    assert listed(tmp_path) == before and Path("file").read_text() == "old"


def test_nothing_half_written_stays_when_the_disk_is_full(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="file: cannot be written .File too large"):
            output.write(tmp_path / "file", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert listed(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_a_bundle_replaces_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "there" / "old").mkdir(parents=True)
    (tmp_path / "there" / "old" / "bundle.json").write_text("old")
    (tmp_path / "link").symlink_to("there/old")
    publishing.check_replaceable(tmp_path / "link")
    with publishing.part(tmp_path / "link") as made:
        (made / "bundle.json").write_text("new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "link" / "bundle.json").read_text() == "new"
    assert listed(tmp_path / "there") == ["old"] and listed(tmp_path) == ["link", "there"]


def test_stdout_is_no_place_for_what_is_read_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.safetensors")
    for out in (output.STDOUT, tmp_path / "net.safetensors"):
        with pytest.raises(UserError, match="a checkpoint is"):
            checkpoint.new_path("net", out)
    with pytest.raises(UserError, match="a bundle is a folder"):
        publishing.check_replaceable(output.STDOUT)


# ------------------------------------------------------------------ the real program


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_stdout_holds_the_file_and_nothing_else(name: str, tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    plain = run_cli("compare", "--csv", "out.csv", cwd=tmp_path)
    done = run_cli("compare", "--csv", name, cwd=tmp_path)
    assert (done.returncode, plain.returncode) == (0, 0), done.stderr
    assert done.stdout == (tmp_path / "out.csv").read_bytes().decode().replace("\r\n", "\n")
    assert "net-onnx-fp32" in done.stderr and name not in done.stderr.splitlines()


def test_stdout_that_a_shell_sends_to_a_file_is_not_replaced(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    with (tmp_path / "out.csv").open("w+") as stream:
        done = subprocess.run(
            cli_command("compare", "--csv", "/dev/stdout"), cwd=tmp_path, stdout=stream, stderr=subprocess.PIPE
        )
        stream.seek(0)
        assert done.returncode == 0 and stream.read().startswith("record,target,")
    assert not [name for name in listed(tmp_path) if name.endswith(".part")]


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["compare", "--csv", ""], 2, "--csv: an empty name"),
        (["train", "ultralight", "--out="], 2, "--out: an empty name"),
        (["compare", "--csv", "."], 1, "it is a folder"),
        (["compare", "--html", "no/such/report.html"], 1, "no/such/report.html: cannot be written"),
        (["compare", "--csv", "-", "--html", "/dev/stdout"], 1, "two outputs have the same name"),
        (["sparsity", "net.safetensors", "--csv", "no/such/file.csv"], 1, "no/such/file.csv: cannot be written"),
        (["train", "ultralight", "--out", "-"], 1, "a checkpoint is read again later"),
        (["export", "net.onnx", "--out", "-"], 1, "a bundle is a folder"),
    ],
)
def test_a_name_that_is_none_is_said_before_anything_is_done(
    typed: list[str], code: int, said: str, tmp_path: Path
) -> None:
    """There is nothing to compare here either, which is found out later."""
    done = run_cli(*typed, cwd=tmp_path)
    assert done.returncode == code and said in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr and set(listed(tmp_path)) <= {"cache"}
