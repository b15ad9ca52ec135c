"""Throttle bits: from the firmware's mailbox and from the kernel, sampled once a second."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from device_agents.python import facts, firmware, watch
from edgebench.analysis import verdict
from tests.support.machine import all_facts, plant
from tests.support.machine import root as root
from tests.support.records import make_record

# ------------------------------------------------------------------ throttle bits


def install_vcgencmd(tmp_path: Path, body: str) -> None:
    firmware._has_program.cache_clear()
    program = tmp_path / "bin/vcgencmd"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_throttle_bits_are_what_the_firmware_says(tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, '[ "$1" = get_throttled ] && echo throttled=0x50005')
    assert facts.throttled() == 0x50005
    assert all_facts().throttled == 0x50005


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("0x1", "under-voltage"),
        ("0xf000f", "under-voltage, clock capped, throttled, soft temperature limit"),
        ("0xf0000", "under-voltage, clock capped, throttled, soft temperature limit"),  # between two looks
        ("0x40000", "throttled"),
    ],
)
def test_bits_of_now_and_bits_that_came_up_meanwhile_have_names(said: str, names: str, tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, f"echo throttled={said}")
    known = all_facts()
    assert known.throttled == int(said, 16)
    judged = verdict.judge(make_record(facts_after=known))
    assert judged.level == "invalid"
    assert f"the board reported: {names}" in [reason.seen for reason in judged.reasons]


def test_bits_of_an_earlier_throttling_are_none_of_now(tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, "echo throttled=0xf0000")
    known = all_facts()
    judged = verdict.judge(make_record(facts=known, facts_after=known))
    assert not any("the board reported" in reason.seen for reason in judged.reasons)


def test_no_throttle_bits_are_zero_and_not_unknown(tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, "echo throttled=0x0")
    assert facts.throttled() == 0
    assert facts.momentary_facts()["throttled"] == 0


@pytest.mark.parametrize(
    "body",
    ["echo VCHI initialization failed; exit 255", 'echo error=1 error_msg="Command not registered"', "echo", "exit 1"],
)
def test_a_firmware_that_does_not_answer_is_unknown(body: str, tmp_path: Path) -> None:
    install_vcgencmd(tmp_path, body)
    assert facts.throttled() is None


def test_a_firmware_that_hangs_is_unknown_and_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads from a pipe without a writer."""
    monkeypatch.setattr(firmware, "PROGRAM_TIMEOUT_S", 0.1)
    os.mkfifo(tmp_path / "never")
    install_vcgencmd(tmp_path, f"read answer < {tmp_path / 'never'}; echo throttled=0x4")
    assert facts.throttled() is None


def mailbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: list[int]) -> list[tuple[int, ...]]:
    """A firmware that answers a property message with these numbers; records the requests."""
    asked = []

    def ioctl(handle: int, request: int, message: bytearray, mutate: bool) -> int:
        assert request == {8: 0xC0086400, 4: 0xC0046400}[struct.calcsize("P")] and mutate
        asked.append(struct.unpack("=7I", message))
        message[:] = struct.pack("=7I", *answer)
        return 0

    (tmp_path / "vcio").touch()
    monkeypatch.setattr(firmware, "MAILBOX", str(tmp_path / "vcio"))
    monkeypatch.setattr(firmware.fcntl, "ioctl", ioctl)
    return asked


def test_the_firmware_is_asked_through_its_mailbox_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = mailbox(monkeypatch, tmp_path, [28, 0x80000000, 0x30046, 4, 0x80000004, 0x50005, 0])
    assert facts.throttled() == 0x50005
    assert asked == [(28, 0, 0x30046, 4, 0, 0, 0)]


@pytest.mark.parametrize(
    "answer", [[28, 0x80000001, 0x30046, 4, 0x80000004, 5, 0], [28, 0x80000000, 0x30046, 4, 0, 5, 0]]
)
def test_a_mailbox_that_does_not_answer_is_not_believed(
    answer: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mailbox(monkeypatch, tmp_path, answer)
    assert facts.throttled() is None
    install_vcgencmd(tmp_path, "echo throttled=0x4")
    assert facts.throttled() == 4


def test_the_kernels_own_alarm_is_a_low_supply(root: Path, tmp_path: Path) -> None:
    plant(root, {"sys/class/hwmon/hwmon3/name": "rpi_volt\n", "sys/class/hwmon/hwmon3/in0_lcrit_alarm": "1\n"})
    assert facts.throttled() == 1
    install_vcgencmd(tmp_path, "echo throttled=0x50000")
    assert facts.throttled() == 0x50001
    plant(root, {"sys/class/hwmon/hwmon3/in0_lcrit_alarm": "0\n"})
    assert facts.throttled() == 0x50000


def test_a_machine_without_vcgencmd_has_no_throttle_bits() -> None:
    assert facts.throttled() is None and "throttled" not in facts.momentary_facts()


# ------------------------------------------------------------------ looked at once a second


class Sick:
    """Its bits and clock come from a list, one sample after another."""

    def __init__(self, bits: list[int | None], clocks_hz: list[int | None]) -> None:
        self._bits, self._clocks_hz = iter(bits), iter(clocks_hz)

    def throttled(self) -> int | None:
        return next(self._bits)

    def clock_hz(self) -> int | None:
        return next(self._clocks_hz)

    def temperature_c(self) -> float:
        return 50.0


def test_a_round_has_the_bits_of_every_look_and_the_lowest_clock_of_its_own() -> None:
    watched = watch.DeviceWatch(Sick([0, 4, 0, 1, 0], [600, 1800, 1500, 600, 900]))
    watched._look()  # before the round, with a clock that idles
    watched.begin()
    watched._look()
    watched._look()
    assert watched.take() == {"throttled": 4, "clock_hz": 1500, "temperature_c": 50.0}
    watched._look()
    watched.begin()
    assert watched.take() == {"throttled": 1, "clock_hz": None, "temperature_c": 50.0}
    assert watched.take()["throttled"] is None


def test_a_device_that_tells_nothing_is_watched_for_nothing() -> None:
    watched = watch.DeviceWatch(Sick([None], [None]))
    watched.begin()
    watched._look()
    assert watched.take() == {"throttled": None, "clock_hz": None, "temperature_c": 50.0}


def test_the_watch_looks_by_itself_and_ends_with_its_rounds() -> None:
    looks = threading.Event()
    device = SimpleNamespace(throttled=lambda: looks.set(), clock_hz=lambda: None, temperature_c=lambda: None)
    with watch.DeviceWatch(device, period_s=0.001) as watched:
        assert looks.wait(10)
    assert not watched._thread.is_alive()
