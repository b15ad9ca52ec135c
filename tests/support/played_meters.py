"""Meters that are not there, playing their own protocols: a prescribed power, and prescribed faults.

    kind            what it plays            how it sees power
    um24c ... um34c answers to 0xF0          mean of the last half second, counters of 1 mWh
    tc66c           answers to getva         of the instant, ten times a second, counters of 1 mWh
    csv-serial      lines, 10 a second       of the instant
    csv-average     lines with a header      mean since the last line
    ppk2            100,000 words a second   of the instant
    fnb58           reports of 4 values      of the instant, 100 a second

`on_pty` plays one in real time for the real driver to open; `record` on a clock of its own, hours in seconds: the real
driver again, only its port is made up. A fault more is a field of Faults and a line where it acts.
"""

from __future__ import annotations

import contextlib
import functools
import struct
import threading
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol
from unittest import mock

import numpy as np

from edgebench import plugins
from edgebench.energy.meters import Meter, _serial, _um, csv_serial, fnb58, ppk2, tc66c
from edgebench.energy.meters._recorder import PowerTrace
from tests.support.fake_meters import FakePpk2, FakeTc66c, SerialMeter, um_frame

SUPPLY_V = 5.0
UM_REFRESH_S, TC_REFRESH_S, CSV_PERIOD_S = 0.497, 0.097, 0.1


class Truth(Protocol):
    """power_w: at instants; joules: since some beginning. Both exact."""

    def power_w(self, at_s: Any) -> Any: ...

    def joules(self, at_s: Any) -> Any: ...


@dataclass(frozen=True)
class Constant:
    watts: float = 3.0

    def power_w(self, at_s: Any) -> Any:
        return np.full(np.shape(at_s), self.watts)

    def joules(self, at_s: Any) -> Any:
        return self.watts * np.asarray(at_s)


@dataclass(frozen=True)
class Faults:
    """frozen_s, silent_s: from when to when, on the player's clock. garbled: share of the bytes. lost: share of whole
    answers. reversed: the leads. late_s: all that it says. jitter_s: each answer, at random. model: the number of
    another one. gone_s: the cable is pulled out.
    """

    frozen_s: tuple[float, float] = (np.inf, np.inf)
    silent_s: tuple[float, float] = (np.inf, np.inf)
    garbled: float = 0.0
    lost: float = 0.0
    reversed: bool = False
    late_s: float = 0.0
    jitter_s: float = 0.0
    model: int = 0
    gone_s: float = np.inf


class Player:
    """What a meter would say at an instant. seed: of its phase and its faults."""

    def __init__(self, kind: str, truth: Truth, faults: Faults | None = None, seed: int = 0) -> None:
        self.kind = kind
        self.truth = truth
        self.faults = faults or Faults()
        self.rng = np.random.default_rng(seed)
        self._phase_s = float(self.rng.random())
        self._started_s = 0.0
        self._said_s: float | None = None
        self._count = 0
        self._streams = False
        self._ppk2 = FakePpk2(amperes=0.0)

    # ------------------------------------------------------------------ what it is asked

    def hears(self, asked: bytes, now_s: float) -> bytes:
        """The answer; b"" from one that is asked nothing."""
        if self.kind.startswith("um"):
            return self._line(self._um(now_s) if asked.endswith(_um.QUESTION) else b"", now_s)
        if self.kind == "tc66c":
            return self._line(self._tc66c(now_s) if asked.endswith(tc66c.QUESTION) else b"", now_s)
        if self.kind == "ppk2":
            # Orders may arrive together.
            starts = asked.endswith(ppk2.START)
            self._streams = starts or (self._streams and not asked.startswith(ppk2.STOP))
            self._said_s = now_s if starts else self._said_s
            return FakePpk2.METADATA if ppk2.METADATA in asked else b""
        return b""

    # ------------------------------------------------------------------ what it says unasked

    def next_s(self, now_s: float) -> float:
        """When it will say something of its own."""
        period_s = {"csv-serial": CSV_PERIOD_S, "csv-average": CSV_PERIOD_S, "ppk2": 0.05, "fnb58": 0.04}.get(self.kind)
        if period_s is None or (self.kind == "ppk2" and not self._streams):
            return np.inf
        if self._said_s is None:
            self._said_s = now_s - period_s * self._phase_s
        return self._said_s + period_s

    def says(self, now_s: float) -> bytes:
        """At `next_s`."""
        since_s, self._said_s = float(self._said_s or 0.0), now_s
        say = {"ppk2": self._words, "fnb58": self._report}.get(self.kind, self._csv)
        return self._line(say(since_s, now_s), now_s)

    # ------------------------------------------------------------------ its protocols

    def _seen_s(self, at_s: Any) -> Any:
        """The instants that values are of."""
        from_s, to_s = self.faults.frozen_s
        late_s = np.asarray(at_s) - self.faults.late_s
        return np.where((late_s >= from_s) & (late_s < to_s), from_s, late_s)

    def _point_w(self, at_s: Any) -> Any:
        watts = self.truth.power_w(self._seen_s(at_s))
        return -watts if self.faults.reversed else watts

    def _mean_w(self, from_s: float, to_s: float) -> float:
        ends_s = self._seen_s(to_s) - np.array([to_s - from_s, 0.0])
        low_j, high_j = self.truth.joules(ends_s)
        watts = float(high_j - low_j) / (to_s - from_s)
        return -watts if self.faults.reversed else watts

    def _um(self, now_s: float) -> bytes:
        tick_s = np.floor((now_s - self._phase_s) / UM_REFRESH_S) * UM_REFRESH_S + self._phase_s
        watts = abs(self._mean_w(tick_s - UM_REFRESH_S, tick_s))
        model = self.faults.model or {"um24c": 0x0963, "um25c": 0x09C9, "um34c": 0x0D4C}[self.kind]
        frame = bytearray(um_frame(model=model, volts=SUPPLY_V, power_w=watts))
        counted_j = float(self.truth.joules(self._seen_s(tick_s))) % 1e7
        struct.pack_into(">I", frame, 20, int(counted_j / _um.MWH_J))
        if model == 0x0D4C:
            frame[-1] = functools.reduce(lambda a, b: a ^ b, (frame[index] for index in _um.CHECKED))
        return bytes(frame)

    def _tc66c(self, now_s: float) -> bytes:
        tick_s = np.floor((now_s - self._phase_s) / TC_REFRESH_S) * TC_REFRESH_S + self._phase_s
        watts = abs(float(self._point_w(tick_s)))
        counted_j = float(self.truth.joules(self._seen_s(tick_s))) % 1e7
        fake = FakeTc66c(
            voltage_v=SUPPLY_V,
            current_a=watts / SUPPLY_V,
            power_w=watts,
            total_mwh=int(counted_j / tc66c.MWH_J),
        )
        return fake.frame()

    def _csv(self, since_s: float, now_s: float) -> bytes:
        averages = self.kind == "csv-average"
        watts = self._mean_w(since_s, now_s) if averages else float(self._point_w(now_s))
        line = f"{int(now_s * 1e3) % 2**32},{SUPPLY_V:.3f},{watts / SUPPLY_V * 1e3:.2f}\n"
        self._count += 1
        header = f"#ebcsv 1 cols=ms,V,mA avg_ms={CSV_PERIOD_S * 1e3:.0f} kind=avg\n"
        return ((header if averages and self._count % 10 == 1 else "") + line).encode()

    def _words(self, since_s: float, now_s: float) -> bytes:
        number = round((now_s - since_s) * ppk2.RATE_HZ)
        amperes = self._point_w(since_s + np.arange(number) / ppk2.RATE_HZ) / SUPPLY_V
        adc = np.clip(np.round(amperes * ppk2.DEFAULTS["R"][3] / (4 * ppk2.ADC_STEP_V)), 0, 0x3FFF).astype("<u4")
        counts = (self._count + np.arange(number, dtype="<u4")) % 64
        self._count += number
        words: np.ndarray = adc | (3 << 14) | (counts << 18)
        return words.astype("<u4").tobytes()

    def _report(self, since_s: float, now_s: float) -> bytes:
        watts = np.abs(self._point_w(now_s - 0.01 * np.arange(3, -1, -1)))
        pairs = [(round(SUPPLY_V * 1e5), round(one / SUPPLY_V * 1e5)) for one in watts]
        body = b"\x04" + b"".join(struct.pack("<IIHHBH", v, i, 600, 600, 0, 251) for v, i in pairs)
        body = body.ljust(62, b"\0")
        return b"\xaa" + body + bytes([fnb58.crc8(body)])

    # ------------------------------------------------------------------ the line

    def _line(self, data: bytes, now_s: float) -> bytes:
        """What arrives of it."""
        from_s, to_s = self.faults.silent_s
        if from_s <= now_s < to_s or (self.faults.lost and self.rng.random() < self.faults.lost):
            return b""
        if not self.faults.garbled or not data:
            return data
        garbled = np.frombuffer(data, np.uint8).copy()
        hit = self.rng.random(len(garbled)) < self.faults.garbled
        garbled[hit] = self.rng.integers(0, 256, int(hit.sum()))
        return garbled.tobytes()


# ---------------------------------------------------------------------- on a clock of its own


class VirtualPort:
    """In place of _serial.Port: time passes while it waits."""

    def __init__(self, player: Player, clock: VirtualClock) -> None:
        self.where = self.name = f"virtual:{player.kind}"
        self._player, self._clock = player, clock
        self._arriving: list[tuple[float, bytes]] = []

    def read(self) -> bytes:
        give_up_s = self._clock.now_s + _serial.READ_S
        while True:
            said_s = self._player.next_s(self._clock.now_s)
            coming_s = self._arriving[0][0] if self._arriving else np.inf
            if min(said_s, coming_s) > give_up_s:
                self._clock.now_s = give_up_s
                return b""
            if coming_s <= said_s:
                self._clock.now_s = max(self._clock.now_s, coming_s)
                return self._arriving.pop(0)[1]
            self._send(self._player.says(said_s), said_s)

    def write(self, data: bytes) -> None:
        if self._player.faults.gone_s <= self._clock.now_s:
            raise self.lost("the connection broke")
        self._send(self._player.hears(data, self._clock.now_s), self._clock.now_s)

    def _send(self, data: bytes, at_s: float) -> None:
        if data:
            late_s = self._player.faults.jitter_s * float(self._player.rng.random())
            last_s = self._arriving[-1][0] if self._arriving else 0.0
            self._arriving.append((max(at_s + late_s, last_s), data))

    def close(self) -> None:
        pass

    silent, lost = _serial.Port.silent, _serial.Port.lost


class VirtualClock:
    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def _driver(player: Player, clock: VirtualClock) -> Meter:
    port: Any = VirtualPort(player, clock)
    if player.kind == "fnb58":
        meter = fnb58.Fnb58(-1, "virtual")
        with_port: Any = meter
        with_port._send = lambda report: port.write(report)
        with_port._receive = port.read
        return meter
    if player.kind.startswith("um"):
        return _um.UmMeter(port, player.kind.upper())
    if player.kind == "ppk2":
        return ppk2.Ppk2(port, SUPPLY_V)
    return tc66c.Tc66c(port) if player.kind == "tc66c" else csv_serial.CsvSerial(port)


def record(
    kind: str, truth: Truth, start_s: float, end_s: float, faults: Faults | None = None, seed: int = 0
) -> tuple[PowerTrace, Meter]:
    """What the real driver makes of a meter between two instants. Raises what the driver raises."""
    clock = VirtualClock(start_s)
    fake_time = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep)
    with contextlib.ExitStack() as patched:
        for module in (_serial, ppk2, csv_serial, fnb58):
            patched.enter_context(mock.patch.object(module, "time", fake_time))
        meter = _driver(Player(kind, truth, faults, seed), clock)
        values: list[tuple[float, float, float]] = []
        for sample in meter.samples():
            values.append((sample.t_s, sample.power_w, np.nan if sample.counter_j is None else sample.counter_j))
            if sample.t_s > end_s:
                break
    times_s, watts, counters_j = np.array(values).T
    return PowerTrace(times_s, watts, counters_j), meter


# ---------------------------------------------------------------------- on a pty, in real time


class OnPty(SerialMeter):
    """One of the serial kinds; `port` is what a driver opens. The player's clock is time.monotonic."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self._quiet = threading.Event()
        self._talking = threading.Thread(target=self._talk)
        super().__init__(lambda asked: [said] if (said := player.hears(asked, time.monotonic())) else [])

    def __enter__(self) -> OnPty:
        super().__enter__()
        self._talking.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._quiet.set()
        self._talking.join()
        super().__exit__(*error)

    def _talk(self) -> None:
        while not self._quiet.is_set():
            now_s = time.monotonic()
            said_s = self.player.next_s(now_s)
            if said_s > now_s:
                self._quiet.wait(min(said_s - now_s, 0.05))
                continue
            with contextlib.suppress(OSError):
                self.say(self.player.says(said_s))


def kinds() -> list[str]:
    """All host meters, and the second way of csv-serial."""
    return [*plugins.names("edgebench.energy.meters"), "csv-average"]


def driver_name(kind: str) -> str:
    return "csv-serial" if kind.startswith("csv") else kind
