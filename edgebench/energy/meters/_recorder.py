"""A meter read in the background for as long as a job lasts, its values kept on disk as they come.

One that falls silent is opened again, until it answers or the job ends: the windows meanwhile are lost, and said. The
values outlive a killed `deploy`: the monotonic clock they are stamped with goes on, until the machine starts anew.
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
# A meter that was lost is looked for so often; after so long without it nobody waits for it any more.
AGAIN_S = 1.0
GONE_S = 60.0
# Instant, power, and what the meter itself has counted (nan where it counts nothing).
_VALUE = struct.Struct("<ddd")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Recorder:
    """problem: why there are no values now, with the remedy; "" while they come. silences: (when, why) of all times
    at which the meter was lost. Every way in which a meter fails ends up there.

    again: opens it once more. calibration_of: what is known of this unit, asked once it has said which one it is.
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
        """How the meter sees power; its accuracy is that of the calibration, if there is one."""
        if self._calibration is None:
            return self.meter.sensor
        return dataclasses.replace(self.meter.sensor, accuracy=self._calibration.accuracy())

    @property
    def tally(self) -> Tally:
        """Over all times that it was opened."""
        now = self.meter.tally
        return Tally(self._past.duplicates + now.duplicates, self._past.dropped + now.dropped)

    @property
    def is_gone(self) -> bool:
        """No more values are to be expected."""
        return bool(self.problem) and (self._is_final or time.monotonic() - self.silences[-1][0] > GONE_S)

    def wait_for_a_value(self) -> str:
        """Why none came; "" as soon as one did."""
        give_up_s = time.monotonic() + FIRST_VALUE_S
        while len(self._values) == self._before:
            if self.problem or time.monotonic() > give_up_s:
                return self.problem or f"no value within {FIRST_VALUE_S:g} s"
            time.sleep(0.02)
        return ""

    def wait_past(self, instant_s: float, patience_s: float) -> None:
        """Until a value later than this has come, or the patience ends."""
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
            mended = self._calibration.apply(sample) if self._calibration else sample
            value = mended.t_s, mended.power_w, np.nan if mended.counter_j is None else mended.counter_j
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
        """Opens the meter once more, as soon as that is possible."""
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
    """Values of an earlier `deploy` of the same job, without a half one that its end may have left."""
    data = file.read_bytes() if file.exists() else b""
    whole = array("d")
    whole.frombytes(data[: len(data) // _VALUE.size * _VALUE.size])
    return whole


def _boot() -> str:
    try:
        return _BOOT.read_text()[:8]
    except OSError:
        return "unknown"
