"""The machine that `export --emulate` starts ends with it, however that ends: with a fake QEMU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebench.device import emulator
from edgebench.device.emulator import host_tools, qemu
from edgebench.device.emulator.boards import find_board
from edgebench.device.emulator.cache import board_folder, image_key
from edgebench.device.emulator.files import BoardImage
from edgebench.device.emulator.machine import EmulatedMachine

# Goes on in the background, and answers the monitor once: the port of the board's sshd.
QEMU = """#!{python}
import json, os, socket, sys
words = sys.argv[1:]
if "--version" in words:
    print("QEMU made up"); sys.exit()
listening = socket.socket(socket.AF_UNIX)
folder = os.open(".", os.O_PATH)
listening.bind("/proc/self/fd/%d/monitor" % folder)
listening.listen()
if os.fork():
    os._exit(0)
os.setsid()
os.closerange(0, 3)
open(words[words.index("-pidfile") + 1], "w").write(str(os.getpid()))
connection, _ = listening.accept()
stream = connection.makefile("rw")
print(json.dumps({{"QMP": {{}}}}), file=stream, flush=True)
for line in stream:
    table = "  TCP[HOST_FORWARD]  11  127.0.0.1 39717  10.0.2.15  22  0  0"
    print(json.dumps({{"return": table}}), file=stream, flush=True)
while True:
    __import__("time").sleep(60)
"""
USER = """
import sys, time
from pathlib import Path
from edgebench.device import emulator
with emulator.borrowed("rpi4") as machine:
    print(machine.run, flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def tools(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the front of the PATH, and an image in the cache."""
    folder = tmp_path / "tools"
    folder.mkdir()
    program(folder / "qemu-system-aarch64", QEMU.format(python=sys.executable))
    for name in ("qemu-img", "ssh"):
        program(folder / name, "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(host_tools, "_SEARCH_PATH", os.environ["PATH"])
    board = find_board("rpi4")
    image = BoardImage(board_folder(board) / f"image-{image_key(board, qemu.version())}")
    image.folder.mkdir(parents=True)
    for path in (image.snapshot, image.disk, image.login_key):
        path.touch()
    image.host_key.with_suffix(".pub").write_text("ssh-ed25519 AAAA made-up\n")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def use(seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", USER, str(seconds)], stdout=subprocess.PIPE, text=True)


def machines(cache: Path) -> list[int]:
    """The processes of QEMU."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"-daemonize" in words and os.fsencode(cache) in words:
            found.append(int(path.parent.name))
    return found


def wait_until(is_so: Callable[[], object]) -> None:
    give_up = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_killed_user_leaves_no_machine(tools: Path, cache: Path) -> None:
    with use(60) as user:
        assert user.stdout is not None
        run = Path(user.stdout.readline().strip())
        assert EmulatedMachine("rpi4", run).is_running() and len(machines(cache)) == 1
        user.send_signal(signal.SIGKILL)
    wait_until(lambda: not machines(cache) and not run.exists())


def test_a_user_that_is_killed_while_it_starts_leaves_none(tools: Path, cache: Path) -> None:
    program(tools / "ssh", "#!/bin/sh\nexit 255\n")  # the board never answers
    with use(60) as user:
        wait_until(lambda: machines(cache))
        user.send_signal(signal.SIGKILL)
    wait_until(lambda: not machines(cache) and not list(cache.glob("boards/rpi4/run-*")))


def test_what_was_off_is_off_again(tools: Path, cache: Path) -> None:
    user = use(0)
    user.communicate()
    assert user.returncode == 0 and not machines(cache) and not list(cache.glob("boards/rpi4/run-*"))


def test_what_was_on_stays_on(tools: Path, cache: Path) -> None:
    shared = emulator.ensure_running("rpi4")
    try:
        with use(60) as user:
            assert user.stdout is not None and Path(user.stdout.readline().strip()) == shared.run
            user.send_signal(signal.SIGKILL)
        assert shared.is_running()
    finally:
        shared.stop()
    assert not machines(cache)
