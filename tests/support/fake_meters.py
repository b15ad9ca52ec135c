"""Fake meters: a vcgencmd, the NVIDIA driver's library, and serial meters on a pty."""

from __future__ import annotations

import os
import select
import struct
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from edgebench.energy.meters import _um, ppk2, tc66c

PI_5_ADC = """\
   3V7_WL_SW_A current(0)=0.08685632A
     3V3_SYS_A current(1)=0.07612600A
     1V8_SYS_A current(2)=0.16592000A
    DDR_VDD2_A current(3)=0.02146440A
    DDR_VDDQ_A current(4)=0.00000000A
     1V1_SYS_A current(5)=0.17860500A
      0V8_SW_A current(6)=0.32497500A
    VDD_CORE_A current(7)=0.91750000A
     3V3_DAC_A current(17)=0.00012207A
     3V3_ADC_A current(18)=0.00030525A
     0V8_AON_A current(16)=0.00459456A
        HDMI_A current(22)=0.01281760A
   3V7_WL_SW_V volt(8)=3.69460800V
     3V3_SYS_V volt(9)=3.31312800V
     1V8_SYS_V volt(10)=1.79843280V
    DDR_VDD2_V volt(11)=1.10841840V
    DDR_VDDQ_V volt(12)=0.60805860V
     1V1_SYS_V volt(13)=1.10548920V
      0V8_SW_V volt(14)=0.80315520V
    VDD_CORE_V volt(15)=0.72007470V
     3V3_DAC_V volt(20)=3.30647400V
     3V3_ADC_V volt(21)=3.30860940V
     0V8_AON_V volt(19)=0.79584670V
        HDMI_V volt(23)=5.11524000V
     EXT5V_V volt(24)=5.11218000V
      BATT_V volt(25)=0.00000000V
"""


def plant_vcgencmd(folder: Path, script: str) -> None:
    """A `vcgencmd` that runs these lines of sh."""
    folder.mkdir(exist_ok=True)
    path = folder / "vcgencmd"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class FakeNvml:
    """The driver's library as ctypes calls it. Values, or what they answer when called, are put out; of a Refusal the
    code is returned.
    """

    def __init__(self, boards: int = 1, energy_mj: Any = 0, power_mw: Any = 70_000, init: int = 0) -> None:
        self.boards = boards
        self.energy_mj = energy_mj
        self.power_mw = power_mw
        self.init = init

    def nvmlInit_v2(self) -> int:
        return self.init

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = self.boards
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        handle._obj.value = 1 + index.value
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, energy: Any) -> int:
        return _put(energy, self.energy_mj)

    def nvmlDeviceGetPowerUsage(self, handle: Any, power: Any) -> int:
        return _put(power, self.power_mw)


def _put(pointer: Any, value: Any) -> int:
    value = value() if callable(value) else value
    if isinstance(value, Refusal):
        return value.code
    pointer._obj.value = value
    return 0


class Refusal:
    def __init__(self, code: int) -> None:
        self.code = code


class SerialMeter:
    """The far end of a serial cable: calls `answer(bytes)` for what arrives and writes back what it returns.

    `port` is what a driver opens. say() writes unasked; hang_up() pulls the cable.
    """

    def __init__(self, answer: Callable[[bytes], list[bytes]] | None = None) -> None:
        self._answer = answer or (lambda received: [])
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.received = b""
        self._thread = threading.Thread(target=self._serve)
        self._wake, self._waker = os.pipe()

    def __enter__(self) -> SerialMeter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._waker, b"x")
        self._thread.join()
        for descriptor in (self._slave, self._master, self._wake, self._waker):
            os.close(descriptor)

    def say(self, data: bytes) -> None:
        os.write(self._master, data)

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._master not in ready:
                return  # woken, and all that was sent has been read
            received = os.read(self._master, 4096)
            self.received += received
            for chunk in self._answer(received):
                os.write(self._master, chunk)


def um_frame(*, model: int = 0x09C9, volts: float = 5.123, power_w: float = 3.352, seconds: int = 0) -> bytes:
    """An answer of a UM24C (0x0963), UM25C or UM34C (0x0D4C), in its own steps."""
    _, step_v, step_a = _um.MODELS.get(model, _um.MODELS[0x09C9])
    frame = bytearray(130)
    shown = round(volts / step_v), round(power_w / volts / step_a), round(power_w * 1e3)
    struct.pack_into(">HHHI", frame, 0, model, *shown)
    struct.pack_into(">I", frame, 112, seconds)
    if model == 0x0D4C:
        for index in _um.CHECKED:
            frame[-1] ^= frame[index]
    else:
        frame[-2:] = b"\xff\xf1"
    return bytes(frame)


class FakeTc66c:
    """What a TC66C answers, encrypted. spoilt: the block whose wrong checksum."""

    def __init__(
        self,
        *,
        voltage_v: float = 5.0,
        current_a: float = 1.0,
        power_w: float = 5.0,
        temperature_c: int = 25,
        spoilt: int | None = None,
        total_mwh: int = 0,
    ) -> None:
        blocks = [bytearray(64) for _ in range(3)]
        for number, block in enumerate(blocks):
            block[:4] = b"pac%d" % (number + 1)
        blocks[0][4:12] = b"TC661.14"
        struct.pack_into("<I", blocks[0], 12, 2026)
        shown = round(voltage_v * 1e4), round(current_a * 1e5), round(power_w * 1e4)
        struct.pack_into("<III", blocks[0], 48, *shown)
        struct.pack_into("<I", blocks[1], 12, total_mwh)
        struct.pack_into("<II", blocks[1], 24, temperature_c < 0, abs(temperature_c))
        for number, block in enumerate(blocks):
            struct.pack_into("<I", block, 60, tc66c.crc16(bytes(block[:60])) ^ (number == spoilt))
        self._plain = b"".join(blocks)

    def frame(self) -> bytes:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        return Cipher(algorithms.AES(tc66c.KEY), modes.ECB()).encryptor().update(self._plain)


class FakePpk2:
    """Follows the commands of a PPK2 with default modifiers, in range 4: a current, in chunks of odd length."""

    METADATA = b"Calibrated: 0\nR0: 1031.64\nVDD: 3300\nHW: 9173\nIA: 56\nEND\n"

    def __init__(self, *, amperes: float) -> None:
        self._adc = round(amperes * 0.043 / (4 * ppk2.ADC_STEP_V))
        self._count = 0

    def answer(self, received: bytes) -> list[bytes]:
        chunks = []
        if ppk2.METADATA in received:
            chunks += [self.METADATA[:20], self.METADATA[20:41], self.METADATA[41:]]
        if received.endswith(ppk2.START):
            data = self.words(4 * ppk2.BIN)
            chunks += [data[at : at + 1021] for at in range(0, len(data), 1021)]
        return chunks

    def words(self, number: int) -> bytes:
        counts = [(self._count + index) % 64 for index in range(number)]
        self._count += number
        return b"".join(struct.pack("<I", self._adc | 4 << 14 | count << 18) for count in counts)
