"""INA219 and INA226 on a microcontroller that prints lines: ebcsv/1, and five formats of public sketches.

    #ebcsv 1 cols=ms,V,mA avg_ms=68 kind=avg    a header that describes the columns; comments begin with #
    123456,5.120,640.2*01                       *HH (optional): exclusive or of the characters before it

Repeat the header every second, because programs that open the port later miss the first one. Without one within
HEADER_S the columns are guessed from their number:

    millis,busV,shunt_mV,loadV,mA     millis,loadV,mA     busV,shunt_mV,loadV,mA     5.12 V,0.64 A     millis mA mW

and lines `Bus Voltage: 5.12 V` up to an empty line, as Adafruit's example prints them. A value's instant is the arrival
of its line; the board's own milliseconds show if it restarted. Sketches without a header read the chip once a line, so
their values count as points; values are averages if the header says so and they cover most of the time.
"""

from __future__ import annotations

import functools
import math
import operator
import re
import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from edgebench.energy.meters import MeterLost, Sample, Tally
from edgebench.energy.meters._layout import Layout, number
from edgebench.energy.meters._sensor import Sensor
from edgebench.energy.meters._serial import SILENCE_S, Port
from edgebench.errors import UserError
from edgebench.schema.energy_reading import Flag

DESCRIPTION = "INA219/INA226 on a microcontroller that prints lines (USB; csv-serial:/dev/ttyUSB0)"
SCOPE = "board_input"
LATENCY_S = 0.02
HEADER_S = 2.5
# Lines from which their period is estimated, and the period before there are any.
SPACINGS = 101
LONGEST_LINE = 1000
USUAL_PERIOD_S = 0.1
# Averages that cover less of the time between lines count as points.
COVERS = 0.5

HEADER = re.compile(r"^#ebcsv 1\b.*\bcols=(\S+)")
LABELLED = re.compile(r"^(bus|load|shunt) voltage:\s*(\S+)\s*m?V$|^(current|power):\s*(\S+)\s*m[AW]$", re.IGNORECASE)
WITH_UNITS = re.compile(r"^(\S+)\s*V\s*,\s*(\S+)\s*A$")
GUESSED = {5: ("ms", "busV", "shunt_mV", "V", "mA"), 3: ("ms", "V", "mA"), 4: ("busV", "shunt_mV", "V", "mA")}
COLUMNS = {"ms", "V", "busV", "shunt_mV", "mA", "mW", "A", "W"}
# millis() restarts from 0 after 49.7 days. A step longer than MAX_STEP_MS is a garbled line; two are a restart.
WRAP_MS = 2**32
MAX_STEP_MS = 60_000


class Restarted(Exception):
    """The board's own clock went back."""


class GuessedWrongly(Exception):
    """A late header has other columns than were guessed for the lines before it."""


class CsvLines:
    """Parses lines into {column: number}, or None for a line without values."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] | None = None
        self._labelled: dict[str, float] = {}
        self._last_ms: float | None = None
        self._odd_ms: float | None = None
        self._guess: tuple[str, ...] | None = None
        self._contradiction: tuple[str, ...] | None = None
        self._layout = Layout()
        self.guessed = False
        self.averaged_s = 0.0
        self.firmware = ""

    def take(self, line: str) -> dict[str, float] | None:
        """Raises ValueError for a garbled line or one that is not a measurement, and Restarted."""
        line = line.strip()
        if line.startswith("#"):
            self._take_header(line)
            return None
        if not line or LABELLED.match(line):
            return self._take_labelled(line)
        values = self._values(_checked(line))
        if not all(math.isfinite(value) for value in values.values()):
            raise ValueError("a value that is not a number")
        self._check_clock(values.get("ms"))
        return values

    def _take_header(self, line: str) -> None:
        header = HEADER.match(line)
        if header:
            columns = tuple(header[1].split(","))
            if not set(columns) <= COLUMNS or len(set(columns)) < len(columns):
                return
            if self._columns not in (None, columns) and self._contradiction != columns:
                self._contradiction = columns  # a garbled header appears only once
                return
            if self.guessed and columns != self._guess:
                raise GuessedWrongly
            self._columns = columns
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            self.firmware = fields.get("fw", "")
            if fields.get("kind") == "avg" and re.fullmatch(r"[0-9]{1,6}", fields.get("avg_ms", "")):
                self.averaged_s = int(fields["avg_ms"]) / 1000

    def _take_labelled(self, line: str) -> dict[str, float] | None:
        found = LABELLED.match(line)
        if found:
            name = (found[1] or found[3]).lower()
            column = {"bus": "busV", "load": "V", "shunt": "shunt_mV", "current": "mA", "power": "mW"}[name]
            self._labelled[column] = number(found[2] or found[4])
            return None
        whole, self._labelled = self._labelled, {}
        return whole if "mA" in whole and whole.keys() & {"V", "busV", "mW"} else None

    def _values(self, line: str) -> dict[str, float]:
        with_units = WITH_UNITS.match(line)
        if with_units:
            return {"V": number(with_units[1]), "A": number(with_units[2])}
        words = line.split(",") if "," in line else line.split()
        columns = self._columns
        if columns is None:
            columns = GUESSED.get(len(words)) if "," in line else ("ms", "mA", "mW")
        if columns is None or len(words) != len(columns):
            raise ValueError(f"{len(words)} columns")
        values = {name: number(word) for name, word in zip(columns, words, strict=True)}
        self._layout.check(words)
        self.guessed, self._guess = self._columns is None, columns
        return values

    @property
    def has_header(self) -> bool:
        return self._columns is not None

    def _check_clock(self, now_ms: float | None) -> None:
        """Raises ValueError for an instant that does not follow the last one, and Restarted for a second such instant
        that follows the first, soon after the start of the board.
        """
        if now_ms is None:
            return
        follows = self._last_ms is None or (now_ms - self._last_ms) % WRAP_MS <= MAX_STEP_MS
        if follows:
            self._last_ms, self._odd_ms = now_ms, None
            return
        if self._odd_ms is None or (now_ms - self._odd_ms) % WRAP_MS > MAX_STEP_MS:
            self._odd_ms = now_ms
            raise ValueError("a clock that jumped")
        self._last_ms, self._odd_ms = now_ms, None
        if now_ms <= MAX_STEP_MS:
            raise Restarted  # otherwise the line before these two was garbled


def _checked(line: str) -> str:
    """The line without its checksum. Raises ValueError if the checksum is wrong."""
    text, star, given = line.partition("*")
    if star and not re.fullmatch(r"[0-9A-Fa-f]{2}", given):
        raise ValueError("half a checksum")
    if star and functools.reduce(operator.xor, text.encode(), 0) != int(given, 16):
        raise ValueError("a wrong checksum")
    return text


def power(values: dict[str, float]) -> tuple[float, float | None, float]:
    """(W, V, A), with the load's voltage if there is one, else the bus voltage."""
    volts = values.get("V", values.get("busV"))
    amperes = values["A"] if "A" in values else values["mA"] / 1e3
    if "W" in values or "mW" in values:
        return (values["W"] if "W" in values else values["mW"] / 1e3), volts, amperes
    if volts is None:
        raise ValueError("neither voltage nor power")
    return volts * amperes, volts, amperes


def find() -> None:
    """Not possible: the port of a microcontroller does not show what runs on it."""


class CsvSerial:
    def __init__(self, port: Port) -> None:
        self.tally = Tally()
        self.device_id = ""
        self.serial = ""
        self._port = port
        self._lines = CsvLines()
        self._arrived_s: deque[float] = deque(maxlen=SPACINGS)

    @property
    def sensor(self) -> Sensor:
        """As estimated from the lines so far."""
        spacings_s = np.diff(self._arrived_s)
        period_s = float(np.median(spacings_s)) if len(spacings_s) > 1 else USUAL_PERIOD_S
        covers = self._lines.averaged_s >= COVERS * period_s
        return Sensor("average" if covers else "point", max(period_s, 1e-3), latency_s=LATENCY_S)

    @property
    def firmware(self) -> str:
        return self._lines.firmware

    @property
    def flags(self) -> tuple[Flag, ...]:
        return ("column_map_guessed",) if self._lines.guessed else ()

    @property
    def note(self) -> str:
        return (
            "its columns are guessed from their number; better let it print an ebcsv header"
            if self._lines.guessed
            else ""
        )

    def samples(self) -> Iterator[Sample]:
        heard_s = opened_s = time.monotonic()
        for now_s, line in self._whole_lines():
            is_early = now_s - opened_s < HEADER_S and not self._lines.has_header
            if is_early and not (line or "").startswith("#"):
                continue
            try:
                values = self._lines.take(line) if line is not None else None
                measured = power(values) if values else None
            except (ValueError, KeyError):
                self.tally.dropped += 1
                continue
            except Restarted:
                raise MeterLost(self._port.where, "the board restarted", "Check its supply, then try again") from None
            except GuessedWrongly:
                raise UserError(
                    self._port.where, "its header came late, and its columns differ from those guessed", "Start again"
                ) from None
            if measured:
                heard_s = now_s
                self._arrived_s.append(now_s)
                yield Sample(now_s, *measured)
            elif now_s - heard_s > SILENCE_S:
                raise self._port.silent()

    def _whole_lines(self) -> Iterator[tuple[float, str | None]]:
        """(arrival, line); None when nothing arrived. The first line is skipped, because its beginning is missing."""
        buffer, first = b"", True
        while True:
            buffer += self._port.read()
            now_s = time.monotonic()
            *lines, buffer = buffer.split(b"\n")
            for line in lines[1:] if first else lines:
                yield now_s, line.decode("ascii", "replace")
            if len(buffer) > LONGEST_LINE:
                self.tally.dropped += 1
                first, buffer = True, b""
            first = first and not lines
            yield now_s, None

    def close(self) -> None:
        self._port.close()


def open_meter(port: str, volts: float | None = None) -> CsvSerial:
    return CsvSerial(Port(port, 115200, "csv-serial"))
