"""RDTech TC66 and TC66C, USB-C power meters on a USB serial port.

It answers `getva` with 192 bytes: three blocks, each with its name and a CRC-16, encrypted with a key that is the same
in all units. About ten answers a second; neither their accuracy nor whether they are averages is specified. Source: the
sigrok project's notes on the TC series.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edgebench.energy.meters import Sample, Tally
from edgebench.energy.meters._scale_check import ScaleCheck
from edgebench.energy.meters._sensor import Sensor
from edgebench.energy.meters._serial import Port, answers
from edgebench.errors import MissingPackage, UserError
from edgebench.schema.energy_reading import Flag

DESCRIPTION = "RDTech TC66, TC66C (USB; tc66c:/dev/ttyACM0)"
SCOPE = "board_input"
POLL_S = 0.1
MWH_J = 3.6
SENSOR = Sensor("point", POLL_S, latency_s=POLL_S, step=1e-4, counter_step_j=MWH_J)

QUESTION = b"getva"
SIZE, BLOCK, AES_BLOCK = 192, 64, 16
NAMES = (b"pac1", b"pac2", b"pac3")
KEY = bytes.fromhex("5821fa5601b2f02687ff1204622a4fb086f40260816f9a0ba7f106619ab87288")


@dataclass(frozen=True)
class Tc66cAnswer:
    """total_mwh: the sum of both counters, the current one and the stored one."""

    model: str
    firmware: str
    serial_number: int
    voltage_v: float
    current_a: float
    power_w: float
    temperature_c: int
    total_mwh: int = 0


def decrypt(data: bytes) -> bytes:
    """AES-256 without chaining: each 16 bytes by themselves."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ModuleNotFoundError as error:
        raise MissingPackage("meter tc66c", "cryptography", "meters") from error
    return Cipher(algorithms.AES(KEY), modes.ECB()).decryptor().update(data)


def split(buffer: bytes) -> tuple[bytes | None, bytes]:
    """The first whole answer, decrypted, and the rest."""
    for start in _begins(buffer):
        blocks = decrypt(buffer[start : start + SIZE])
        if all(_is_whole(blocks[BLOCK * index :][:BLOCK], name) for index, name in enumerate(NAMES)):
            return blocks, buffer[start + SIZE :]
    return None, buffer


def _begins(buffer: bytes) -> list[int]:
    """Where an answer may begin: each 16 bytes are encrypted by themselves, at one of 16 offsets."""
    found = []
    for first in range(min(AES_BLOCK, len(buffer) - SIZE + 1)):
        plain = decrypt(buffer[first : first + (len(buffer) - first) // AES_BLOCK * AES_BLOCK])
        for at in range(0, len(buffer) - SIZE - first + 1, AES_BLOCK):
            if plain.startswith(NAMES[0], at):
                found.append(first + at)
    return sorted(found)


def _is_whole(block: bytes, name: bytes) -> bool:
    return block.startswith(name) and struct.unpack_from("<I", block, BLOCK - 4)[0] == crc16(block[: BLOCK - 4])


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial 0x8005 reflected, from 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_OF[(crc ^ byte) & 0xFF]
    return crc


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_CRC_OF = [_crc_of(byte) for byte in range(256)]


def parse(blocks: bytes) -> Tc66cAnswer:
    """For an answer found by `split`."""
    (serial_number,) = struct.unpack_from("<I", blocks, 12)
    voltage, current, power = struct.unpack_from("<III", blocks, 48)
    energies_mwh = struct.unpack_from("<4I", blocks, BLOCK + 8)[1::2]
    below_zero, degrees = struct.unpack_from("<II", blocks, BLOCK + 24)
    return Tc66cAnswer(
        model=blocks[4:8].decode("ascii", "replace").strip("\0"),
        firmware=blocks[8:12].decode("ascii", "replace").strip("\0"),
        serial_number=serial_number,
        voltage_v=voltage * 1e-4,
        current_a=current * 1e-5,
        power_w=power * 1e-4,
        temperature_c=-degrees if below_zero else degrees,
        total_mwh=sum(energies_mwh),
    )


def find() -> None:
    """Not possible: its USB ids are those of the serial chip, which other devices have too."""


class Tc66c:
    def __init__(self, port: Port) -> None:
        self.sensor = SENSOR
        self.tally = Tally()
        self.note = "its accuracy is not specified: edgebench meters calibrate tc66c:SERIAL"
        self.device_id = ""
        self.serial = ""
        self.firmware = ""
        self.flags: tuple[Flag, ...] = ()
        self._port = port
        self._scale_check = ScaleCheck(port.where, step_v=1e-4, step_a=1e-5, step_w=1e-4)

    def samples(self) -> Iterator[Sample]:
        for now_s, blocks in answers(self._port, QUESTION, split, SIZE, POLL_S):
            reading = parse(blocks) if blocks else None
            if reading and self._is_plausible(reading):
                counter_j = reading.total_mwh * MWH_J
                yield Sample(now_s, reading.power_w, reading.voltage_v, reading.current_a, counter_j)
            else:
                self.tally.dropped += 1

    def _is_plausible(self, reading: Tc66cAnswer) -> bool:
        if not reading.model.startswith("TC66"):
            raise UserError(
                self._port.where, f"it identifies itself as a {reading.model}", "Name that model, or unplug it"
            )
        self.serial = str(reading.serial_number)
        self.device_id, self.firmware = f"{reading.model} no. {reading.serial_number}", reading.firmware
        return self._scale_check.fits(reading.voltage_v, reading.current_a, reading.power_w)

    def close(self) -> None:
        self._port.close()


def open_meter(port: str, volts: float | None = None) -> Tc66c:
    decrypt(bytes(16))  # reports a missing package before the port is opened
    return Tc66c(Port(port, 115200, "tc66c"))
