"""RDTech's UM24C, UM25C and UM34C: USB power meters with Bluetooth (a serial port once bound: rfcomm bind 0 ADDRESS).

It answers a request of one byte with 130 bytes, big-endian, without a start mark. Its accuracy is not specified, so
calibrate it. It has new values twice a second, presumably averages, so windows should be 30 s or longer. Current has no
sign: backward current is shown as forward. Power is compared with its ten energy counters (steps of 1 mWh). Source: the
sigrok project's notes on the UM series.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edgebench.energy.meters import Sample, Tally
from edgebench.energy.meters._scale_check import ScaleCheck
from edgebench.energy.meters._sensor import Sensor
from edgebench.energy.meters._serial import Port, answers
from edgebench.errors import UserError
from edgebench.schema.energy_reading import Flag

POLL_S = 0.1
REFRESH_S = 0.5
MWH_J = 3.6
# A new value is seen up to one poll late, and Bluetooth sometimes adds half of that.
JITTER_S = 1.12 * POLL_S
SENSOR = Sensor("average", REFRESH_S, latency_s=2 * POLL_S, step=1e-3, counter_step_j=MWH_J, given_jitter_s=JITTER_S)

# Maximum share of lost answers; beyond it there are gaps, and no energy.
MOST_LOST = 0.8
# If more than this share is garbled, a value that changes long before its time is an undetected error.
GARBLED, SOON = 0.01, 0.6
GROUPS = 10

# Answers with more are garbled.
HOTTEST_C = 150
QUESTION = b"\xf0"
SIZE = 130
TRAILER = b"\xff\xf1"
# (model, V and A of one step)
MODELS = {0x0963: ("UM24C", 0.01, 0.001), 0x09C9: ("UM25C", 0.001, 0.0001), 0x0D4C: ("UM34C", 0.01, 0.001)}
_BEGINS = re.compile(b"(?=" + b"|".join(re.escape(number.to_bytes(2, "big")) for number in MODELS) + b")")
# The last byte of a UM34C's answer is the exclusive or of the bytes at these positions.
CHECKED = (
    1, 3, 7, 9, 15, 17, 19, 23, 31, 39, 41, 45, 49, 53, 55, 57, 59, 63, 67, 69, 73, 79, 83, 89, 97, 99, 109, 111, 113,
    119, 121, 127,
)  # fmt: skip


@dataclass(frozen=True)
class UmAnswer:
    """group: the counter in use, of ten; its energy and charge restart from 0 at 2^32. total_mwh: the sum of all ten,
    which continues when another one is selected.
    """

    model: str
    voltage_v: float
    current_a: float
    power_w: float
    temperature_c: int
    group: int
    group_mah: int
    group_mwh: int
    total_mwh: int


def split(buffer: bytes) -> tuple[bytes | None, bytes]:
    """The first whole answer, wherever it begins, and the rest."""
    for begin in _BEGINS.finditer(buffer):
        frame = buffer[begin.start() :][:SIZE]
        if len(frame) == SIZE and _is_whole(frame):
            return frame, buffer[begin.start() + SIZE :]
    return None, buffer


def _is_whole(frame: bytes) -> bool:
    model = MODELS.get(int.from_bytes(frame[:2], "big"))
    if model is None:
        return False
    if model[0] == "UM34C":
        return functools.reduce(operator.xor, (frame[index] for index in CHECKED)) == frame[-1]
    return frame.endswith(TRAILER)


def parse(frame: bytes) -> UmAnswer:
    """For an answer found by `split`."""
    model, volts, amperes = MODELS[int.from_bytes(frame[:2], "big")]
    voltage, current, power_mw, temperature_c = struct.unpack_from(">HHIH", frame, 2)
    (group,) = struct.unpack_from(">H", frame, 14)
    counters = struct.unpack_from(f">{2 * GROUPS}I", frame, 16)
    charge_mah, energy_mwh = counters[2 * min(group, 9) :][:2]
    return UmAnswer(
        model=model,
        voltage_v=voltage * volts,
        current_a=current * amperes,
        power_w=power_mw / 1e3,
        temperature_c=temperature_c,
        group=group,
        group_mah=charge_mah,
        group_mwh=energy_mwh,
        total_mwh=sum(counters[1::2]),
    )


def _values(reading: UmAnswer) -> tuple[float, float, float]:
    return reading.voltage_v, reading.current_a, reading.power_w


def _sample(at_s: float, reading: UmAnswer) -> Sample:
    return Sample(at_s, reading.power_w, reading.voltage_v, reading.current_a, reading.total_mwh * MWH_J)


class UmMeter:
    """model: as named by the user."""

    def __init__(self, port: Port, model: str) -> None:
        self.tally = Tally()
        self.note = (
            f"its accuracy is not specified: edgebench meters calibrate {model.lower()}:{port.name}; its values are "
            "presumably averages"
        )
        self.device_id = model
        self.serial = ""
        self.firmware = ""
        self.flags: tuple[Flag, ...] = ()
        self._port = port
        (steps,) = [(volts, amperes) for name, volts, amperes in MODELS.values() if name == model]
        self._scale_check = ScaleCheck(port.where, *steps, step_w=1e-3)
        self._other = ""
        self._asked = 0

    @property
    def sensor(self) -> Sensor:
        """The more answers are lost, the later a new value is noticed."""
        lost = min(self._lost, MOST_LOST)
        return dataclasses.replace(SENSOR, given_jitter_s=JITTER_S * math.sqrt(1 + lost) / (1 - lost))

    @property
    def _lost(self) -> float:
        """Share of the answers."""
        return self.tally.dropped / max(self._asked, 1)

    def samples(self) -> Iterator[Sample]:
        """It is polled faster than it has new values, and does not mark them. A value is new if it differs, or after
        REFRESH_S if power is constant. An answer with a garbled byte elsewhere is not the next value.

            polled    · · · · · · · · · ·      a constant value is yielded once the next one is there, so that each
            covers value     a a a a a a a b b b      the REFRESH_S before it
            yielded   ─────a──|───a──|──b
        """
        last: UmAnswer | None = None
        last_s = heard_s = 0.0
        for now_s, frame in answers(self._port, QUESTION, split, SIZE, POLL_S):
            self._asked += 1
            reading = parse(frame) if frame else None
            if reading is None or not self._is_believed(reading):
                self.tally.dropped += 1
                continue
            missed_s, heard_s = max(now_s - heard_s - POLL_S, 0.0), now_s
            if last is not None and _values(reading) == _values(last):
                self.tally.duplicates += 1
                if now_s - last_s >= 2 * REFRESH_S:
                    last, last_s = reading, last_s + REFRESH_S
                    yield _sample(last_s, last)
                continue
            if last is not None and now_s - last_s < SOON * REFRESH_S and self._lost > GARBLED:
                self.tally.dropped += 1
                continue
            # It became new during the lost answers, on average halfway.
            new_s = max(now_s - missed_s / 2, last_s) if last is not None else now_s
            if last is not None and new_s - last_s > 1.5 * REFRESH_S:
                yield _sample(new_s - REFRESH_S, last)
            last, last_s = reading, new_s
            yield _sample(last_s, last)

    def _is_believed(self, reading: UmAnswer) -> bool:
        """False for a garbled answer. Raises UserError for another model."""
        if not self._is_of_the_model(reading.model) or reading.group >= GROUPS or reading.temperature_c > HOTTEST_C:
            return False
        return self._scale_check.fits(reading.voltage_v, reading.current_a, reading.power_w)

    def _is_of_the_model(self, said: str) -> bool:
        """One answer with the number of another model is garbled; a second one means that it is another model."""
        if said != self.device_id and said == self._other:
            raise UserError(self._port.where, f"it identifies itself as a {said}", f"Name it {said.lower()}")
        self._other = said if said != self.device_id else ""
        return said == self.device_id

    def close(self) -> None:
        self._port.close()


def open_model(model: str, port: str) -> UmMeter:
    return UmMeter(Port(port, 9600, model.lower()), model)
