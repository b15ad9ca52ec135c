"""Reads a meter in the background during a job, and stores its values on disk as they arrive.

A silent meter is reopened until it answers or the job ends; the windows meanwhile are lost, with the reason. The values
survive a killed `deploy`: their monotonic clock continues until the machine restarts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgebench.energy.meters import Meter, MeterLost, Tally
from edgebench.energy.meters._calibration import Calibration
from edgebench.energy.meters._sensor import Sensor
from edgebench.energy.meters._windows import PowerTrace
from edgebench.errors import UserError

FIRST_VALUE_S = 8.0
# How often to look for a lost meter, and after what time it is given up.
AGAIN_S = 1.0
GONE_S = 60.0
# Instant, power, and the meter's own counter (nan without one).
_VALUE = struct.Struct("<ddd")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Recorder:
    """problem: why there are no values now, with the remedy; "" while they arrive. silences: when and why the meter was
    lost. Every failure of the meter is recorded in both.

    again: reopens the meter. calibration_of: the calibration of a unit, called once the unit has identified itself.
    """

    def __init__(
        self,
        meter: Meter,
        again: Callable[[], Meter],
        calibration_of: Callable[[Meter], Calibration | None],
        folder: Path,
    ) -> None:
        self.meter = meter
        self.problem = ""
        self.silences: list[tuple[float, str]] = []
        self._again = again
        self._calibration_of = calibration_of
        self._calibration: Calibration | None = None
        self._past = Tally()
        self._is_final = False
        self._file = folder / f"meter-{_boot()}-3.f64"
        self._values = array("d", _kept(self._file))
        self._before = len(self._values)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def sensor(self) -> Sensor:
        """The meter's sensor; with the accuracy of the calibration, if there is one."""
        if self._calibration is None:
            return self.meter.sensor
        return dataclasses.replace(self.meter.sensor, accuracy=self._calibration.accuracy())

    @property
    def tally(self) -> Tally:
        """The sum over all times that the meter was open."""
        now = self.meter.tally
        return Tally(self._past.duplicates + now.duplicates, self._past.dropped + now.dropped)

    @property
    def is_gone(self) -> bool:
        """Whether no more values are to be expected."""
        return bool(self.problem) and (self._is_final or time.monotonic() - self.silences[-1][0] > GONE_S)

    def wait_for_a_value(self) -> str:
        """Wait for the first value; returns why there is none, else ""."""
        give_up_s = time.monotonic() + FIRST_VALUE_S
        while len(self._values) == self._before:
            if self.problem or time.monotonic() > give_up_s:
                return self.problem or f"no value within {FIRST_VALUE_S:g} s"
            time.sleep(0.02)
        return ""

    def wait_past(self, instant_s: float, patience_s: float) -> None:
        """Wait for a value later than this instant, for at most `patience_s`."""
        give_up_s = time.monotonic() + patience_s
        while not self.problem and self._last_s() <= instant_s and time.monotonic() < give_up_s:
            time.sleep(0.02)

    def trace(self) -> PowerTrace:
        with self._lock:
            values = np.array(self._values).reshape(-1, 3)
        return PowerTrace(values[:, 0], values[:, 1], values[:, 2])

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.meter.close()

    def _last_s(self) -> float:
        with self._lock:
            return self._values[-3] if self._values else -np.inf

    def _run(self) -> None:
        with contextlib.suppress(UserError), self._file.open("ab") as file:
            while not self._ended.is_set():
                try:
                    self._read(file.write, file.flush)
                    return
                except (MeterLost, OSError) as error:
                    self._lose(error)
                except UserError as error:
                    self._is_final = True
                    self._lose(error)
                    return
                self._find_again()

    def _read(self, write: Callable[[bytes], object], flush: Callable[[], None]) -> None:
        for sample in self.meter.samples():
            if self._ended.is_set():
                return
            if self._calibration is None:
                self._calibration = self._calibration_of(self.meter)
            corrected = self._calibration.apply(sample) if self._calibration else sample
            value = corrected.t_s, corrected.power_w, np.nan if corrected.counter_j is None else corrected.counter_j
            write(_VALUE.pack(*value))
            flush()
            self.problem = ""
            with self._lock:
                self._values.extend(value)

    def _lose(self, error: Exception) -> None:
        why = f"{error.seen}. {error.remedy}" if isinstance(error, UserError) else str(error)
        self.silences.append((time.monotonic(), error.seen if isinstance(error, UserError) else why))
        self.problem = why

    def _find_again(self) -> None:
        """Reopen the meter as soon as possible."""
        tally = self.tally
        with contextlib.suppress(UserError, OSError):
            self.meter.close()
        while not self._ended.wait(AGAIN_S):
            try:
                self.meter = self._again()
            except UserError:
                continue
            self._past = tally
            return


def _kept(file: Path) -> array[float]:
    """Values of an earlier `deploy` of the same job, without an incomplete last one."""
    data = file.read_bytes() if file.exists() else b""
    whole = array("d")
    whole.frombytes(data[: len(data) // _VALUE.size * _VALUE.size])
    return whole


def _boot() -> str:
    try:
        return _BOOT.read_text()[:8]
    except OSError:
        return "unknown"
