"""Choosing and keeping wheels, without a network: pip is replaced by a stand-in that writes small wheels."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edgebench.device import provisioning
from edgebench.device.provisioning import NoWheel, Platform
from edgebench.errors import UserError
from edgebench.schema.facts import Facts

PI = Facts(machine="aarch64", python="3.11.2", libc="glibc 2.36")


class Pip:
    """Replaces `pip download`: writes a wheel, or fails with the given message."""

    def __init__(self, says: str = "") -> None:
        self.says = says
        self.calls: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        if self.says:
            return subprocess.CompletedProcess(command, 1, "", self.says)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "thing-1.0-cp311-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr("thing/__init__.py", "x = 1\n" * 1000)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    stand_in = Pip()
    monkeypatch.setattr(provisioning.subprocess, "run", stand_in)
    return stand_in


def test_wheels_are_asked_for_the_boards_python_and_libc(pip: Pip) -> None:
    provisioning.wheels_for({"thing": "<2"}, PI)
    (command,) = pip.calls
    assert command[-1] == "thing<2"
    assert command[command.index("--python-version") + 1] == "3.11"
    platforms = [command[i + 1] for i, word in enumerate(command) if word == "--platform"]
    assert platforms[0] == "manylinux_2_36_aarch64"
    assert "manylinux_2_17_aarch64" in platforms and "manylinux2014_aarch64" in platforms
    assert not any("2_37" in platform for platform in platforms)
    assert "--no-deps" in command and "--only-binary=:all:" in command


def test_a_wheel_is_kept_uncompressed_and_asked_for_once(pip: Pip) -> None:
    (first,) = provisioning.wheels_for({"thing": ""}, PI)
    (second,) = provisioning.wheels_for({"thing": ""}, PI)
    assert first == second and len(pip.calls) == 1
    with zipfile.ZipFile(first) as wheel:
        (info,) = wheel.infolist()
        assert info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size == 6000


def test_another_rule_is_another_wheel(pip: Pip) -> None:
    assert provisioning.wheels_for({"thing": ""}, PI) != provisioning.wheels_for({"thing": "<2"}, PI)
    assert len(pip.calls) == 2


def test_no_wheel_for_this_board_is_told_from_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning.subprocess, "run", Pip("ERROR: No matching distribution found for thing"))
    with pytest.raises(NoWheel, match="no wheel of .* for aarch64 .*online"):
        provisioning.wheels_for({"thing": ""}, PI)
    offline = "WARNING: Retrying after connection broken by NewConnectionError\nERROR: No matching distribution found"
    monkeypatch.setattr(provisioning.subprocess, "run", Pip(offline))
    with pytest.raises(UserError, match="Connect this machine") as caught:
        provisioning.wheels_for({"thing": ""}, PI)
    assert not isinstance(caught.value, NoWheel)


def test_a_system_without_glibc_has_no_wheels() -> None:
    with pytest.raises(NoWheel, match="Install the runtime on the device yourself"):
        Platform(Facts(machine="aarch64", python="3.12.1"))


def test_a_32_bit_userland_gets_32_bit_wheels() -> None:
    platform = Platform(Facts(machine="armv7l", python="3.11.2", libc="glibc 2.36"))
    assert all(tag.endswith("_armv7l") for tag in platform.tags)
