from __future__ import annotations

import gzip
import json
import lzma
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebench.device.emulator import BOARDS, ensure_running, find, host_tools, monitor, start
from edgebench.device.emulator.boards import find_board
from edgebench.device.emulator.cache import board_folder, image_key, locked, made_whole
from edgebench.device.emulator.debian import mirror
from edgebench.device.emulator.host_tools import missing_packages, require, run_tool
from edgebench.device.emulator.initramfs import CpioEntry, cpio, make_initramfs
from edgebench.device.emulator.machine import EmulatedMachine, _write_ssh_config
from edgebench.errors import UnknownName, UserError

# Found before the `cache` fixture hides it: images take half a minute, and all tests share them.
USERS_CACHE = board_folder(find_board("rpi4")).parents[1]


def silent(line: str) -> None:
    pass


# --- boards


def test_unknown_board_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'rpi4'"):
        ensure_running("rpi44", root=tmp_path)
    assert not (tmp_path / "boards").exists()


@pytest.mark.parametrize("name", BOARDS)
def test_ssh_config_of_a_board_stands_where_targets_yaml_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path))
    machine = find(name)
    assert machine.ssh_config == tmp_path / "boards" / name / "run" / "ssh_config"
    assert machine.host_alias == f"edgebench-{name}"
    assert not machine.is_running()


# --- initramfs


def read_cpio(archive: bytes) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Name -> mode, content, device numbers; an independent reading of the newc format."""
    entries: dict[str, tuple[int, bytes, tuple[int, int]]] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + name_size - 1].decode()
        data_at = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return entries
        assert name not in entries
        entries[name] = (mode, archive[data_at : data_at + size], (fields[9], fields[10]))
        at = (data_at + size + 3) & ~3


def test_cpio_holds_files_of_any_length_behind_their_folders() -> None:
    files = [CpioEntry(f"a/b/{'x' * n}", stat.S_IFREG | 0o644, b"d" * n) for n in range(1, 6)]
    entries = read_cpio(cpio([*files, CpioEntry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))]))
    assert list(entries)[:2] == ["a", "a/b"]
    assert stat.S_ISDIR(entries["a/b"][0])
    assert all(entries[file.name] == (file.mode, file.data, (0, 0)) for file in files)
    assert entries["dev/console"] == (stat.S_IFCHR | 0o600, b"", (5, 1))


def test_initramfs_loads_the_modules_that_the_kernel_has_in_order(tmp_path: Path) -> None:
    modules = tmp_path / "6.1/kernel"
    modules.mkdir(parents=True)
    (modules / "ext4.ko").write_bytes(b"ext4")
    (modules / "virtio.ko.xz").write_bytes(lzma.compress(b"virtio"))
    (tmp_path / "init").write_text("#!/bin/busybox sh\n")
    (tmp_path / "busybox").write_bytes(b"\x7fELF")
    image = make_initramfs(tmp_path / "init", tmp_path / "busybox", tmp_path)
    entries = read_cpio(gzip.decompress(image))
    assert entries["modules/order"][1] == b"virtio.ko\next4.ko\n"
    assert entries["modules/virtio.ko"][1] == b"virtio"
    assert entries["init"][0] == stat.S_IFREG | 0o755
    assert image == make_initramfs(tmp_path / "init", tmp_path / "busybox", tmp_path)


# --- the programs of this computer


def test_missing_tools_are_named_with_one_line_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_tools, "_SEARCH_PATH", "/nonexistent")
    with pytest.raises(UserError) as caught:
        require(building=True)
    assert "qemu-system-aarch64" in caught.value.seen
    assert "apt-get install --no-install-recommends" in caught.value.remedy
    assert caught.value.remedy.count("openssh-client") == 1
    assert "mmdebstrap" not in missing_packages(building=False)


def test_failed_tool_is_quoted_by_its_first_error(tmp_path: Path) -> None:
    script = "echo 'Reading lists'; echo 'E: no such host' >&2; echo 'E: update failed' >&2; exit 3"
    with pytest.raises(UserError, match="exit code 3: E: no such host. Look up"):
        run_tool("sh", "-c", script, remedy="Look up")
    with pytest.raises(UserError, match="exit code 1: one / two"):
        run_tool("sh", "-c", "echo one; echo two; exit 1", remedy="")
    with pytest.raises(UserError, match="no-such-program: not installed"):
        run_tool("no-such-program", remedy="")


def test_computer_without_a_debian_mirror_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEBENCH_DEBIAN_MIRROR", raising=False)
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setattr(host_tools, "_SEARCH_PATH", str(tmp_path))
    with pytest.raises(UserError, match="has no Debian mirror.*EDGEBENCH_DEBIAN_MIRROR"):
        mirror()
    monkeypatch.setenv("EDGEBENCH_DEBIAN_MIRROR", "file:///mirror")
    assert mirror() == "file:///mirror"


# --- the cache


def test_images_are_told_apart_by_board_and_qemu() -> None:
    rpi4, rpi5 = find_board("rpi4"), find_board("rpi5")
    assert image_key(rpi4, "QEMU 7.2") == image_key(rpi4, "QEMU 7.2")
    assert len({image_key(rpi4, "QEMU 7.2"), image_key(rpi4, "QEMU 10.0"), image_key(rpi5, "QEMU 7.2")}) == 3


def test_interrupted_image_leaves_nothing_and_a_killed_one_is_cleared_away(tmp_path: Path) -> None:
    image = tmp_path / "image-1"
    with pytest.raises(KeyboardInterrupt), made_whole(image) as out:
        (out / "half").touch()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())

    (tmp_path / "image-1.partial-killed").mkdir()
    with made_whole(image) as out:
        (out / "whole").touch()
        assert not image.exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["image-1", "whole"]


def test_second_process_says_that_it_waits(tmp_path: Path) -> None:
    said = threading.Event()
    entered = threading.Event()

    def second() -> None:
        with locked(tmp_path, lambda line: said.set()):
            entered.set()

    other = threading.Thread(target=second)
    with locked(tmp_path, silent):
        other.start()
        assert said.wait(10)
        assert not entered.is_set()
    other.join(10)
    assert entered.is_set()


# --- the monitor


class FakeQemu:
    """Answers the monitor's protocol on a socket, one prepared answer for each command."""

    greeting: dict[str, Any] = {"QMP": {"version": {}, "capabilities": []}}
    answers: dict[str, list[dict[str, Any]]] = {
        "qmp_capabilities": [{"return": {}}],
        "set_link": [{"event": "NIC_RX_FILTER_CHANGED"}, {"return": {}}],
        "stop": [{"error": {"class": "GenericError", "desc": "not now"}}],
        "human-monitor-command": [
            {"return": "Hub -1:\r\n  TCP[HOST_FORWARD]  11  127.0.0.1 39717  10.0.2.15  22  0  0\r\n"}
        ],
    }

    def __init__(self, path: Path) -> None:
        self.heard: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX)
        folder = os.open(path.parent, os.O_PATH)
        self._socket.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection, connection.makefile("rw") as stream:
            print(json.dumps(self.greeting), file=stream, flush=True)
            for line in stream:
                self.heard.append(json.loads(line))
                for answer in self.answers.get(self.heard[-1]["execute"], []):
                    print(json.dumps(answer), file=stream, flush=True)
                if self.heard[-1]["execute"] == "quit":
                    return

    def close(self) -> None:
        self._socket.close()
        self._thread.join(10)


@pytest.fixture
def fake_run(tmp_path: Path) -> Iterator[tuple[Path, FakeQemu]]:
    """A run folder with a monitor in it, whose path is too long for a socket and full of traps."""
    run = tmp_path / ("long" * 30) / "100% of it, with a comma"
    run.mkdir(parents=True)
    qemu = FakeQemu(run / "monitor")
    yield run, qemu
    qemu.close()


def test_link_is_set_through_the_monitor(fake_run: tuple[Path, FakeQemu]) -> None:
    run, qemu = fake_run
    EmulatedMachine("rpi4", run).link(False)
    assert qemu.heard[-1] == {"execute": "set_link", "arguments": {"name": "net0", "up": False}}


def test_refusal_and_end_of_qemu_are_told(fake_run: tuple[Path, FakeQemu]) -> None:
    run, _ = fake_run
    with monitor.connect(run / "monitor") as qmp:
        with pytest.raises(UserError, match="stop: not now"):
            qmp.execute("stop")
        with pytest.raises(UserError, match="QEMU has ended"):
            qmp.execute("quit")
    with pytest.raises(UserError, match="Is the board running"), monitor.connect(run / "nothing"):
        pass


def test_ssh_reads_the_config_back(fake_run: tuple[Path, FakeQemu]) -> None:
    run, _ = fake_run
    machine = EmulatedMachine("rpi4", run)
    _write_ssh_config(machine)
    command = ["ssh", "-G", "-F", str(machine.ssh_config), machine.host_alias]
    try:
        settings = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("needs ssh (openssh-client)")
    assert "port 39717\n" in settings
    assert "stricthostkeychecking true\n" in settings
    assert f"hostkeyalias {machine.host_alias}\n" in settings
    assert "comma/id_ed25519" in settings


def test_process_number_of_another_program_is_no_machine(tmp_path: Path) -> None:
    machine = EmulatedMachine("rpi4", tmp_path)
    (tmp_path / "pid").write_text(str(os.getpid()))
    assert not machine.is_running()
    machine.stop()  # and this process continues
    assert not (tmp_path / "pid").exists()


# --- the real thing


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedMachine]:
    if missing := missing_packages(building=True):
        pytest.skip(f"needs {', '.join(missing)}")
    machine = start("rpi4", run=tmp_path_factory.mktemp("board"), root=USERS_CACHE)
    yield machine
    machine.stop()
    assert not machine.is_running()


def on_board(machine: EmulatedMachine, command: str, connect_s: int = 30) -> subprocess.CompletedProcess[str]:
    ssh = ["ssh", "-F", str(machine.ssh_config), "-o", f"ConnectTimeout={connect_s}", machine.host_alias]
    return subprocess.run([*ssh, command], text=True, capture_output=True, timeout=120, check=False)


@pytest.mark.board
def test_board_is_an_emulated_raspberry_pi(board: EmulatedMachine) -> None:
    assert board.is_running()
    assert on_board(board, "uname -m; id -un").stdout == "aarch64\npi\n"
    assert "Raspberry Pi 4" in on_board(board, "cat /proc/device-tree/model").stdout
    assert "linux,dummy-virt" in on_board(board, "cat /proc/device-tree/compatible").stdout
    assert on_board(board, "vcgencmd get_throttled").stdout == "throttled=0x0\n"
    with pytest.raises(UserError, match="already runs in this folder"):
        start("rpi4", run=board.run, root=USERS_CACHE)


@pytest.mark.board
def test_board_has_a_bare_python_and_no_internet(board: EmulatedMachine) -> None:
    assert on_board(board, "python3 -c 'import sys; print(sys.version_info[:2])'").stdout == "(3, 11)\n"
    for package in ("numpy", "onnxruntime", "pip"):
        assert "ModuleNotFoundError" in on_board(board, f"python3 -c 'import {package}'").stderr
    dial = "import socket; socket.create_connection(('1.1.1.1', 53), 5)"
    assert "Error" in on_board(board, f'python3 -c "{dial}"').stderr
    # The standard library is compiled once, not at each start.
    assert "__pycache__" in on_board(board, "python3 -v -c 'import json' 2>&1 | grep json/").stdout


@pytest.mark.board
def test_board_comes_back_when_its_link_does(board: EmulatedMachine) -> None:
    board.link(False)
    try:
        assert on_board(board, "true", connect_s=2).returncode == 255
    finally:
        board.link(True)
    assert on_board(board, "true").returncode == 0


@pytest.mark.board
def test_failure_to_start_leaves_no_process(board: EmulatedMachine, tmp_path: Path) -> None:
    """`board` is only requested so that the image exists."""

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgebench.device.emulator.machine._wait_for_ssh", interrupt)
        with pytest.raises(KeyboardInterrupt):
            start("rpi4", run=tmp_path, root=USERS_CACHE)
    assert (tmp_path / "ssh_config").exists()
    assert not EmulatedMachine("rpi4", tmp_path).is_running()
    assert not (tmp_path / "disk.qcow2").exists()
