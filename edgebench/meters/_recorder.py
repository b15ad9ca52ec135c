"""A meter read in the background for as long as a job lasts, its values kept on disk as they come.

The values outlive a killed `deploy`: the monotonic clock they are stamped with goes on, until the machine starts anew.
"""

from __future__ import annotations

import dataclasses
import struct
import threading
import time
from array import array
from pathlib import Path

import numpy as np

from edgebench.errors import UserError
from edgebench.meters import Meter
from edgebench.meters._calibration import Calibration
from edgebench.meters._integration import Floats, Sensor

FIRST_VALUE_S = 8.0
_PAIR = struct.Struct("<dd")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Recorder:
    """problem: why there are no more values; "" while they come. Every way in which a meter fails ends up there."""

    def __init__(self, meter: Meter, calibration: Calibration | None, folder: Path) -> None:
        self.meter = meter
        self.problem = ""
        self._calibration = calibration
        self._file = folder / f"meter-{_boot()}.f64"
        self._pairs = array("d", _kept(self._file))
        self._before = len(self._pairs)
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

    def wait_for_a_value(self) -> str:
        """Why none came; "" as soon as one did."""
        give_up_s = time.monotonic() + FIRST_VALUE_S
        while len(self._pairs) == self._before:
            if self.problem or time.monotonic() > give_up_s:
                return self.problem or f"no value within {FIRST_VALUE_S:g} s"
            time.sleep(0.02)
        return ""

    def wait_past(self, instant_s: float, patience_s: float) -> None:
        """Until a value later than this has come, or the patience ends."""
        give_up_s = time.monotonic() + patience_s
        while not self.problem and self._last_s() <= instant_s and time.monotonic() < give_up_s:
            time.sleep(0.02)

    def samples(self) -> tuple[Floats, Floats]:
        """(times_s on this machine's monotonic clock, W)."""
        with self._lock:
            pairs = np.array(self._pairs).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self.meter.close()

    def _last_s(self) -> float:
        with self._lock:
            return self._pairs[-2] if self._pairs else -np.inf

    def _run(self) -> None:
        try:
            with self._file.open("ab") as file:
                for sample in self.meter.samples():
                    if self._ended.is_set():
                        return
                    mended = self._calibration.apply(sample) if self._calibration else sample
                    file.write(_PAIR.pack(mended.t_s, mended.power_w))
                    file.flush()
                    with self._lock:
                        self._pairs.extend((mended.t_s, mended.power_w))
        except (UserError, OSError) as error:
            self.problem = error.seen if isinstance(error, UserError) else str(error)


def _kept(file: Path) -> array[float]:
    """Values of an earlier `deploy` of the same job, without a half one that its end may have left."""
    data = file.read_bytes() if file.exists() else b""
    whole = array("d")
    whole.frombytes(data[: len(data) // _PAIR.size * _PAIR.size])
    return whole


def _boot() -> str:
    try:
        return _BOOT.read_text()[:8]
    except OSError:
        return "unknown"
