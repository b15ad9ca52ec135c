"""Nordic Power Profiler Kit II as an ammeter: 100,000 values a second, up to 1 A, so not for a Raspberry Pi 4.

It measures only current; the voltage of the supply is given or assumed, and known to 1 % at best. This driver averages
over 10 ms. Each word of the stream has a count modulo 64, so losses are noticed unless exactly 64 words are lost.
Source: the format of Nordic's nRF Connect application.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebench.energy.meters import Sample, Tally
from edgebench.energy.meters._pace import Pace
from edgebench.energy.meters._sensor import Sensor
from edgebench.energy.meters._serial import SILENCE_S, Port, ports_of
from edgebench.errors import UserError
from edgebench.schema.energy_reading import Accuracy, Flag

DESCRIPTION = "Nordic PPK2, up to 1 A (USB)"
SCOPE = "board_input"
NEEDS_VOLTS = True
RATE_HZ = 100_000
BIN = 1000  # words per value
# A value is garbled if more than this share of its words are out of sequence; so many words show where words begin.
ODD_SHARE = 0.02
ALIGNED_BY = 200
ASSUMED_V = 5.0
MAX_A = 1.0
SUPPLY_V = (0.8, 5.0)
# Error limit of a voltage that is not measured.
SUPPLY_ERROR_V = 0.05

METADATA, AMPERE_METER, POWER_ON, START, STOP = b"\x19", b"\x11\x01", b"\x0c\x01", b"\x06", b"\x07"
MOST_METADATA = 4096
RANGES = 5
KEYS = ("R", "GS", "GI", "O", "S", "I", "UG")
DEFAULTS = {"R": (1031.64, 101.65, 10.15, 0.94, 0.043), "GS": (0.0,) * 5, "GI": (1.0,) * 5, "UG": (1.0,) * 5}
# A step of the converter in V at the shunt.
ADC_STEP_V = 1.8 / 163840


@dataclass(frozen=True)
class Modifiers:
    """Calibration values of each range, from the meter's own metadata. values: [key][range]."""

    values: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]
    supply_v: float
    hardware: str = ""


def parse_metadata(text: str) -> Modifiers:
    """Lines of `key: value` up to END; a resistance of 0 gets its default. Raises ValueError for damaged ones."""
    if "END" not in text:
        raise ValueError("the metadata are incomplete")
    pairs = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    values = {}
    for key in KEYS:
        default = DEFAULTS.get(key, (0.0,) * RANGES)
        values[key] = np.array([float(pairs.get(f"{key}{index}", default[index])) for index in range(RANGES)])
    values["R"] = np.where(values["R"] > 0, values["R"], DEFAULTS["R"])
    supply_v = float(pairs.get("VDD", 0)) / 1000
    if not np.isfinite([supply_v, *np.concatenate(list(values.values()))]).all():
        raise ValueError("a value that is not a number")
    return Modifiers(values, supply_v, pairs.get("HW", "").strip())


@dataclass(frozen=True)
class Decoded:
    """currents_a, logic: of each word. step_a: of the converter, in the coarsest of their ranges. lost: words that are
    missing before and between them, modulo 64. odd: words that do not follow the one before, or are of no range.
    """

    currents_a: np.ndarray[tuple[int], np.dtype[np.float64]]
    logic: np.ndarray[tuple[int], np.dtype[np.uint32]]
    lost: int
    odd: int
    last_count: int | None
    step_a: float = 0.0


def decode(data: bytes, modifiers: Modifiers, last_count: int | None = None) -> Decoded:
    """Whole words of 4 bytes, little-endian: bits 0-13 converter / 4, 14-16 range, 18-23 count, 24-31 logic inputs."""
    words = np.frombuffer(data, "<u4")
    adc = (words & 0x3FFF).astype(np.float64) * 4
    ranges = np.minimum(words >> 14 & 7, RANGES - 1)
    counts = (words >> 18 & 63).astype(np.int64)
    m = {key: values[ranges] for key, values in modifiers.values.items()}
    raw = (adc - m["O"]) * ADC_STEP_V / m["R"]
    currents_a = m["UG"] * (raw * (m["GS"] * raw + m["GI"]) + m["S"] * modifiers.supply_v + m["I"])
    before = counts[:1] - 1 if last_count is None else [last_count]
    steps = np.diff(np.concatenate([before, counts])) % 64
    lost = int(((steps - 1) % 64).sum())
    odd = int(((steps != 1) | (words >> 14 & 7 >= RANGES)).sum())
    last = int(counts[-1]) if len(counts) else last_count
    step_a = 4 * ADC_STEP_V / float(m["R"].min()) if len(words) else 0.0
    return Decoded(currents_a, (words >> 24).astype(np.uint32), lost, odd, last, step_a)


def _aligned(data: bytes) -> bytes:
    """The data after a garbled value, realigned where words at its end are best in sequence: a lost byte shifts the
    rest.
    """
    ends = [data[4 * (BIN - ALIGNED_BY - 1) + at :][: 4 * ALIGNED_BY] for at in range(4)]
    fits = [_following(np.frombuffer(end, "<u4") >> 18 & 63) for end in ends]
    return data[4 * (BIN - 1) + fits.index(max(fits)) :]


def _following(counts: np.ndarray[tuple[Any, ...], np.dtype[Any]]) -> int:
    return int((counts[1:] == (counts[:-1] + 1) % 64).sum())


def find() -> list[str]:
    return ports_of(lambda vendor, product, name: vendor == 0x1915 and name == "PPK2")


class Ppk2:
    """given_v: supply voltage; without it ASSUMED_V, with the flag voltage_assumed."""

    def __init__(self, port: Port, given_v: float | None) -> None:
        volts = ASSUMED_V if given_v is None else given_v
        accuracy = Accuracy(SUPPLY_ERROR_V / volts, 0.0, f"a supply of {volts:g} V, +/-{SUPPLY_ERROR_V * 1e3:g} mV")
        # A jump of power is anywhere between two words; values show it as two moves, whose squares are on average two
        # thirds of its own.
        self._sensor = Sensor(
            "average", BIN / RATE_HZ, latency_s=0.02, max_w=MAX_A * volts, accuracy=accuracy,
            given_jitter_s=1.5**0.5 / RATE_HZ, is_steady=True,
        )  # fmt: skip
        self._step_a = 0.0
        self.tally = Tally()
        self.note = f"it measures only current: power is for a supply of {volts:g} V, which --volts changes"
        self.device_id = "PPK2"
        self.serial = ""
        self.firmware = ""
        self.flags: tuple[Flag, ...] = ("voltage_assumed",) if given_v is None else ()
        self._port = port
        self._volts = volts

    @property
    def sensor(self) -> Sensor:
        """The step is that of the coarsest range that was in use."""
        return dataclasses.replace(self._sensor, step=self._step_a * self._volts)

    def samples(self) -> Iterator[Sample]:
        modifiers = self._begin()
        self.device_id = f"PPK2 hardware {modifiers.hardware}".removesuffix(" hardware ")
        data, count = b"", None
        pace = Pace(BIN / RATE_HZ)
        heard_s = fine_s = time.monotonic()
        while True:
            arrived = self._port.read()
            now_s = time.monotonic()
            if arrived:
                heard_s = now_s
            elif now_s - heard_s > SILENCE_S:
                raise self._port.silent()
            data += arrived
            while len(data) >= 4 * BIN:
                decoded = decode(data[: 4 * BIN], modifiers, count)
                if decoded.odd > ODD_SHARE * BIN:
                    self.tally.dropped += BIN
                    data, count = _aligned(data), None
                    if now_s - fine_s > SILENCE_S:
                        raise self._port.silent()
                    continue
                data, count, fine_s = data[4 * BIN :], decoded.last_count, now_s
                self.tally.dropped += decoded.lost
                self._step_a = max(self._step_a, decoded.step_a)
                amperes = float(decoded.currents_a.mean())
                yield Sample(pace.at(now_s - len(data) // 4 / RATE_HZ), amperes * self._volts, None, amperes)

    def _begin(self) -> Modifiers:
        """Read the metadata first: during the stream they would be hidden in it."""
        self._port.write(STOP)
        asked_s = time.monotonic()
        while self._port.read():
            if time.monotonic() - asked_s > SILENCE_S:
                raise self._port.lost("it keeps streaming after the command to stop")
        self._port.write(METADATA)
        text, asked_s = b"", time.monotonic()
        while b"END" not in text:
            if time.monotonic() - asked_s > SILENCE_S:
                raise self._port.silent()
            text = text[-MOST_METADATA:] + self._port.read()
        try:
            modifiers = parse_metadata(text.decode("ascii", "replace"))
        except ValueError as error:
            raise self._port.lost(f"its metadata cannot be read ({error})") from error
        for order in (AMPERE_METER, POWER_ON, START):
            self._port.write(order)
        return modifiers

    def close(self) -> None:
        """End the stream; the device under test stays powered."""
        with contextlib.suppress(UserError):  # it may have been unplugged
            self._port.write(STOP)
        self._port.close()


def open_meter(port: str, volts: float | None = None) -> Ppk2:
    low_v, high_v = SUPPLY_V
    if volts is not None and not low_v <= volts <= high_v:
        raise UserError("meter ppk2", f"{volts:g} V is outside its range", f"Its supply is {low_v:g} to {high_v:g} V")
    return Ppk2(Port(port, 115200, "ppk2"), volts)
