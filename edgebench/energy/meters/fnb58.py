"""FNIRSI FNB58, a USB power meter, read as a HID device (/dev/hidraw*, without a library).

It sends reports of 64 bytes, with four values 10 ms apart, as long as it gets a request to continue once a second. Its
accuracy is not specified, so calibrate it. Source: the project fnirsi-usb-power-data-logger. Not yet tested with a real
meter.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from edgebench.energy.meters import MeterLost, Sample, Tally
from edgebench.energy.meters._pace import Pace
from edgebench.energy.meters._sensor import Sensor
from edgebench.errors import UserError
from edgebench.schema.energy_reading import Flag

DESCRIPTION = "FNIRSI FNB58 (USB, /dev/hidraw*)"
SCOPE = "board_input"
PERIOD_S = 0.01
SENSOR = Sensor("point", PERIOD_S, latency_s=4 * PERIOD_S, step=1e-5, given_jitter_s=1e-3, is_steady=True)

HIDRAW = Path("/sys/class/hidraw")
HID_ID = "HID_ID=0003:00002E3C:00005558"
SIZE = 64
# Above its measuring range: for the supply, and for the data lines, which fast chargers raise to 20 V.
MOST_V, MOST_A, MOST_DATA_MV = 50.0, 12.0, 25_000
DATA = 0x04
KEEP_ALIVE_S = 1.0
SILENCE_S = 3.0


def crc8(data: bytes) -> int:
    """Polynomial 0x39, from 0x42, not reflected."""
    crc = 0x42
    for byte in data:
        crc = _CRC_OF[crc ^ byte]
    return crc


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1 ^ 0x39) & 0xFF if byte & 0x80 else byte << 1
    return byte


_CRC_OF = [_crc_of(byte) for byte in range(256)]


def command(number: int) -> bytes:
    """A report to the meter, with a checksum over all but the first and the last byte."""
    body = bytes([number]) + bytes(SIZE - 3)
    return b"\xaa" + body + bytes([crc8(body)])


START = (command(0x81), command(0x82), command(0x82))
KEEP_ALIVE = command(0x83)


def parse(report: bytes) -> list[tuple[float, float]]:
    """Four (V, A), oldest first; [] for a report of another kind. Raises ValueError for a garbled one."""
    if len(report) != SIZE or crc8(report[1:-1]) != report[-1]:
        raise ValueError("a report with a wrong checksum")
    if report[1] != DATA:
        return []
    values = [struct.unpack_from("<IIHHBH", report, 2 + 15 * index) for index in range(4)]
    for volts, amperes, plus_mv, minus_mv, _, tenths_c in values:
        # A checksum of 8 bits misses one garbled report in 256.
        if volts > MOST_V * 1e5 or amperes > MOST_A * 1e5 or max(plus_mv, minus_mv) > MOST_DATA_MV or tenths_c > 1500:
            raise ValueError("more than it can measure")
    return [(volts * 1e-5, amperes * 1e-5) for volts, amperes, *_ in values]


def find() -> list[str]:
    return [
        f"/dev/{folder.name}" for folder in sorted(HIDRAW.glob("hidraw*")) if HID_ID in _text(folder / "device/uevent")
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


class Fnb58:
    """descriptor: of the open device; each read returns one report."""

    def __init__(self, descriptor: int, port: str) -> None:
        self.sensor = SENSOR
        self.tally = Tally()
        self.note = f"its accuracy is not specified: edgebench meters calibrate fnb58:{port}"
        self.device_id = "FNB58"
        self.serial = ""
        self.firmware = ""
        self.flags: tuple[Flag, ...] = ()
        self._descriptor = descriptor
        self._pace = Pace(PERIOD_S)
        self._where = f"meter fnb58 at {port}"

    def samples(self) -> Iterator[Sample]:
        for report in START:
            self._send(report)
        asked_s = heard_s = time.monotonic()
        while True:
            report = self._receive()
            now_s = time.monotonic()
            if now_s - asked_s >= KEEP_ALIVE_S:
                self._send(KEEP_ALIVE)
                asked_s = now_s
            if report:
                heard_s = now_s
                yield from self._samples(report, now_s)
            elif now_s - heard_s > SILENCE_S:
                raise self._lost(f"silent for {SILENCE_S:g} s")

    def _samples(self, report: bytes, now_s: float) -> Iterator[Sample]:
        try:
            pairs = parse(report)
        except ValueError:
            self.tally.dropped += 1
            return
        for age, (volts, amperes) in zip((3, 2, 1, 0), pairs, strict=False):
            yield Sample(self._pace.at(now_s - age * PERIOD_S), volts * amperes, volts, amperes)

    def _send(self, report: bytes) -> None:
        try:
            os.write(
                self._descriptor, b"\0" + report
            )  # hidraw expects the number of the report first; this one has none
        except OSError as error:
            raise self._lost(f"the connection broke ({error.strerror})") from error

    def _receive(self) -> bytes:
        """One report, or b"" if none arrives within a tenth of a second."""
        if not select.select([self._descriptor], [], [], 0.1)[0]:
            return b""
        try:
            return os.read(self._descriptor, SIZE)
        except OSError as error:
            raise self._lost(f"the connection broke ({error.strerror})") from error

    def _lost(self, seen: str) -> MeterLost:
        return MeterLost(self._where, seen, "Unplug it, plug it in, and check that `edgebench meters` lists it")

    def close(self) -> None:
        os.close(self._descriptor)


def open_meter(port: str, volts: float | None = None) -> Fnb58:
    where = f"meter fnb58 at {port}"
    try:
        descriptor = os.open(port, os.O_RDWR)
    except PermissionError as error:
        raise UserError(where, "only root may read it", f"sudo chmod a+rw {port} (until unplugged)") from error
    except OSError as error:
        raise UserError(
            where, f"it cannot be opened ({error.strerror})", "Plug it in; see `edgebench meters`"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise UserError(where, "another program is reading it", "Stop the other program that is reading it") from error
    return Fnb58(descriptor, port)
