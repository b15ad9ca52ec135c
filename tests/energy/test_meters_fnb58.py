"""FNB58: its reports, and the real driver over a pair of sockets in place of hidraw."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import time
from pathlib import Path

import pytest

from edgebench.energy.meters import fnb58
from edgebench.errors import UserError
from tests.support.host_meters import quick as quick
from tests.support.machine import plant


def fnb58_report(pairs: list[tuple[int, int]], kind: int = 0x04) -> bytes:
    body = bytes([kind]) + b"".join(struct.pack("<IIHHBH", v, i, 600, 600, 0, 251) for v, i in pairs)
    body = body.ljust(62, b"\0")
    return b"\xaa" + body + bytes([fnb58.crc8(body)])


def test_the_checksums_of_an_fnb58() -> None:
    assert [fnb58.command(number)[-1] for number in (0x81, 0x82, 0x83)] == [0x8E, 0x96, 0x9E]


def test_an_fnb58_report_has_four_values() -> None:
    report = fnb58_report([(512_300 + index, 65_430) for index in range(4)])
    assert fnb58.parse(report) == [(pytest.approx(5.123 + index * 1e-5), pytest.approx(0.6543)) for index in range(4)]
    assert fnb58.parse(fnb58_report([(0, 0)] * 4, kind=0x03)) == []
    with pytest.raises(ValueError, match="checksum"):
        fnb58.parse(report[:-1] + b"\x00")


def test_an_fnb58_is_started_kept_alive_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a pair of sockets that keep reports apart, as hidraw does."""
    monkeypatch.setattr(fnb58, "KEEP_ALIVE_S", 0.05)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        meter = fnb58.Fnb58(near.detach(), "meter fnb58")
        far.send(fnb58_report([(500_000, 100_000)] * 4)[:-1] + b"\x00")
        far.send(fnb58_report([(500_000, 100_000)] * 4))
        with contextlib.closing(meter):
            stream = meter.samples()
            samples = list(itertools.islice(stream, 4))
            time.sleep(0.06)
            far.send(fnb58_report([(500_000, 100_000)] * 4))
            next(stream)
            sent = [far.recv(100) for _ in range(4)]
            with pytest.raises(UserError, match="silent for"):
                list(stream)
    assert [one.power_w for one in samples] == [pytest.approx(5.0)] * 4
    assert [round(b.t_s - a.t_s, 6) for a, b in itertools.pairwise(samples)] == [fnb58.PERIOD_S] * 3
    assert sent == [b"\0" + report for report in (*fnb58.START, fnb58.KEEP_ALIVE)]
    assert meter.tally.dropped == 1


def test_two_programs_do_not_share_an_fnb58(tmp_path: Path) -> None:
    port = tmp_path / "hidraw0"
    port.touch()
    with (
        contextlib.closing(fnb58.open_meter(str(port))),
        pytest.raises(UserError, match="another program is reading it"),
    ):
        fnb58.open_meter(str(port))
    fnb58.open_meter(str(port)).close()


def test_an_fnb58_is_found_by_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, {"hidraw0/device/uevent": "HID_ID=0003:0000046D:0000C52B\n"})
    plant(tmp_path, {"hidraw3/device/uevent": f"DRIVER=hid-generic\n{fnb58.HID_ID}\n"})
    monkeypatch.setattr(fnb58, "HIDRAW", tmp_path)
    assert fnb58.find() == ["/dev/hidraw3"]
