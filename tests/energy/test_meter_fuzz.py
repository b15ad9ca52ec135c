"""Whatever arrives from a meter: no crash, no hang, no growth, and no value that is not a number.

Each example is a valid answer that mutations garble one after the other, and every stage of it is an input of the
decoder and of the real driver. A few hundred inputs for each kind run with all tests; 20,000 for each of six
decoders, and as many for their drivers, by

    EDGEBENCH_FUZZ=2000 python -m pytest tests/energy/test_meter_fuzz.py
"""

from __future__ import annotations

import contextlib
import math
import os
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgebench.energy.meters import MeterLost, _serial, _um, csv_serial, fnb58, ppk2, tc66c
from edgebench.errors import UserError
from tests.support.fake_meters import FakePpk2, FakeTc66c, um_frame
from tests.support.played_meters import Constant, Player

EXAMPLES = int(os.environ.get("EDGEBENCH_FUZZ", "25"))
STAGES = 10
CHUNK = 400
slow = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

LINES = (
    b"#ebcsv 1 cols=ms,V,mA avg_ms=68 kind=avg fw=7\n1000,5.12,640.20*3f\n1100,5.12,640.21\n\n5.12 V,0.64 A\n"
    b"Bus Voltage: 5.12 V\nCurrent: 640 mA\n\n1200 640 3276\n1300,5.12,nan\n"
)
ANSWERS = {
    "um25c": um_frame() + um_frame(power_w=4.0),
    "um34c": um_frame(model=0x0D4C) * 2,
    "tc66c": FakeTc66c().frame() * 2,
    "csv-serial": LINES,
    "fnb58": Player("fnb58", Constant())._report(0.0, 1.0),
    "ppk2": FakePpk2.METADATA + FakePpk2(amperes=0.3).words(3000),
    "nothing": b"",
}
Mutation = tuple[str, int, bytes]
mutations = st.lists(
    st.tuples(st.sampled_from(["put", "insert", "cut", "repeat"]), st.integers(0, 2**16), st.binary(max_size=12)),
    min_size=STAGES,
    max_size=STAGES,
)


def stages(data: bytes, changes: list[Mutation]) -> list[bytes]:
    """The data with one change more each time."""
    found = []
    for how, where, piece in changes:
        at = where % (len(data) + 1)
        if how == "insert":
            data = data[:at] + piece + data[at:]
        elif how == "put":
            data = data[:at] + piece + data[at + len(piece) :]
        elif how == "cut":
            data = data[:at] + data[at + max(len(piece), 1) :]
        else:
            data = (data[:at] + data[: 2 * len(piece)] + data[at:])[: 2**15]
        found.append(data)
    return found


# ------------------------------------------------------------------ decoders


def decode_um(data: bytes) -> None:
    whole, rest = _um.split(data)
    assert len(whole or b"") + len(rest) <= len(data)
    if whole is not None:
        reading = _um.parse(whole)
        assert all(map(math.isfinite, (reading.voltage_v, reading.current_a, reading.power_w)))


def decode_tc66c(data: bytes) -> None:
    whole, rest = tc66c.split(data)
    assert len(whole or b"") + len(rest) <= len(data)
    if whole is not None:
        assert math.isfinite(tc66c.parse(whole).power_w)


def decode_lines(data: bytes) -> None:
    reader = csv_serial.CsvLines()
    for line in data.decode("ascii", "replace").split("\n"):
        with contextlib.suppress(ValueError, KeyError, csv_serial.Restarted, csv_serial.GuessedWrongly):
            values = reader.take(line)
            if values:
                assert all(map(math.isfinite, values.values()))


def decode_fnb58(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert all(0 <= volts <= fnb58.MOST_V and 0 <= amperes <= fnb58.MOST_A for volts, amperes in fnb58.parse(data))


def decode_ppk2(data: bytes) -> None:
    modifiers = ppk2.parse_metadata("END")
    decoded = ppk2.decode(data[: len(data) // 4 * 4], modifiers)
    assert all(map(math.isfinite, decoded.currents_a)) and 0 <= decoded.odd <= len(decoded.currents_a)
    with contextlib.suppress(ValueError):
        told = ppk2.parse_metadata(data.decode("ascii", "replace"))
        assert all(math.isfinite(value) for values in told.values.values() for value in values)


DECODERS: dict[str, Callable[[bytes], None]] = {
    "um25c": decode_um,
    "um34c": decode_um,
    "tc66c": decode_tc66c,
    "csv-serial": decode_lines,
    "fnb58": decode_fnb58,
    "ppk2": decode_ppk2,
}


@pytest.mark.parametrize("kind", DECODERS)
@given(changes=mutations, blank=st.booleans())
@example(changes=[("insert", 0, b"1_0,2_0,3_0\n")] * STAGES, blank=True)
@slow
def test_a_decoder_stands_what_arrives(kind: str, changes: list[Mutation], blank: bool) -> None:
    for data in stages(b"" if blank else ANSWERS[kind][:4000], changes):
        DECODERS[kind](data)


# ------------------------------------------------------------------ drivers


class FedPort:
    """Returns the given data piece by piece, and is then unplugged. Each read takes a moment."""

    where = name = "fed"

    def __init__(self, data: bytes, clock: Any) -> None:
        self._chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
        self._clock = clock

    def read(self) -> bytes:
        self._clock.now_s += 0.01
        if not self._chunks:
            raise self.lost("pulled out")
        return self._chunks.pop(0)

    def write(self, data: bytes) -> None:
        self._clock.now_s += 0.001

    silent, lost = _serial.Port.silent, _serial.Port.lost


def drive(kind: str, data: bytes) -> int:
    """How many samples the real driver makes of these bytes. Raises any error but UserError."""
    clock = SimpleNamespace(now_s=100.0)
    fake = SimpleNamespace(monotonic=lambda: clock.now_s, sleep=lambda seconds: None)
    port: Any = FedPort(data, clock)
    made = 0
    with contextlib.ExitStack() as patched:
        for module in (_serial, csv_serial, ppk2, fnb58):
            patched.enter_context(mock.patch.object(module, "time", fake))
        meter: Any
        if kind.startswith("um"):
            meter = _um.UmMeter(port, kind.upper())
        elif kind == "fnb58":
            meter = fnb58.Fnb58(-1, "fed")
            meter._send, meter._receive = port.write, port.read
        else:
            meter = {"tc66c": tc66c.Tc66c, "csv-serial": csv_serial.CsvSerial}.get(
                kind, lambda port: ppk2.Ppk2(port, 5.0)
            )(port)
        with contextlib.suppress(UserError):
            for sample in meter.samples():
                assert math.isfinite(sample.power_w) and math.isfinite(sample.t_s)
                made += 1
        assert meter.sensor.period_s > 0
    return made


@pytest.mark.parametrize("kind", DECODERS)
@given(changes=mutations)
@slow
def test_a_driver_ends_in_a_sentence_whatever_arrives(kind: str, changes: list[Mutation]) -> None:
    for data in stages(ANSWERS[kind], changes):
        drive(kind, data)


@pytest.mark.parametrize("kind", DECODERS)
def test_a_driver_does_not_grow_with_what_it_cannot_read(kind: str) -> None:
    """Two hundred kilobytes of the same byte: neither an answer nor a line."""
    data = b"\x55" * 200_000
    tracemalloc.start()
    try:
        drive(kind, data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * len(data)  # the data, cut into pieces, are half of that


def test_a_meter_that_streams_on_when_told_to_stop_is_said() -> None:
    with pytest.raises(MeterLost, match="it keeps streaming"):
        clock = SimpleNamespace(now_s=100.0)
        fake = SimpleNamespace(monotonic=lambda: clock.now_s)
        with mock.patch.object(ppk2, "time", fake):
            next(ppk2.Ppk2(FedPort(b"\0" * 10**6, clock), 5.0).samples())  # type: ignore[arg-type]
