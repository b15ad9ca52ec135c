"""Meters on this machine's ports: their bytes, and the real drivers against serial meters on a pty."""

from __future__ import annotations

import contextlib
import itertools
import math
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_agents.python import facts
from device_agents.python.meters import rapl
from edgebench import plugins
from edgebench.errors import UnknownName, UserError
from edgebench.meters import (
    Sample,
    _calibration,
    _integration,
    _serial,
    _um,
    _watch,
    csv_serial,
    fnb58,
    ppk2,
    tc66c,
    um24c,
    um25c,
    um34c,
)
from edgebench.meters.csv_serial import Lines, Restarted
from tests.conftest import cli_command, run_cli
from tests.fake_meters import FakePpk2, FakeTc66c, SerialMeter, um_frame
from tests.machine import plant

UM25C_VECTOR = bytes.fromhex(
    "09c91403198f00000d18001e00560003" + "00" * 24 + "0000007b000011d7" + "00" * 48 + "003d003e0007"
    "00000064000007d0000a00000e100001" + "00000000" + "0000030f0000fff1"
)  # fmt: skip


def take(meter: Any, count: int) -> list[Sample]:
    with contextlib.closing(meter):
        return list(itertools.islice(meter.samples(), count))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meters that answer at once need not be waited for."""
    monkeypatch.setattr(_serial, "SILENCE_S", 0.5)
    monkeypatch.setattr(_serial, "ANSWER_S", 0.1)
    for module in (_um, tc66c):
        monkeypatch.setattr(module, "POLL_S", 0.01)
    monkeypatch.setattr(csv_serial, "HEADER_S", 0.0)
    for module in (csv_serial, ppk2, fnb58):
        monkeypatch.setattr(module, "SILENCE_S", 0.3)


# ------------------------------------------------------------------ all of them


@pytest.mark.parametrize("name", plugins.names("edgebench.meters"))
def test_a_meter_says_what_it_is_and_how_it_sees_power(name: str) -> None:
    meter = plugins.load("edgebench.meters", name, kind="meter")
    assert meter.DESCRIPTION and meter.SCOPE in ("board_input", "wall")
    assert meter.find() is None or isinstance(meter.find(), list)


# ------------------------------------------------------------------ UM24C, UM25C, UM34C


def test_the_bytes_of_a_um25c() -> None:
    assert len(UM25C_VECTOR) == _um.SIZE
    assert _um.split(UM25C_VECTOR) == (UM25C_VECTOR, b"")
    assert _um.parse(UM25C_VECTOR) == _um.Reading(
        model="UM25C",
        voltage_v=pytest.approx(5.123),
        current_a=pytest.approx(0.6543),
        power_w=3.352,
        temperature_c=30,
        group=3,
        group_mah=123,
        group_mwh=4567,
    )


@pytest.mark.parametrize(("model", "volts", "amperes"), [(0x0963, 5.12, 1.25), (0x0D4C, 5.12, 1.25)])
def test_the_other_models_have_coarser_steps(model: int, volts: float, amperes: float) -> None:
    frame = um_frame(model=model, volts=5.12, power_w=6.4)
    whole, rest = _um.split(b"\x01\x02" + frame + b"\x03")
    assert whole == frame and rest == b"\x03"
    reading = _um.parse(frame)
    assert (reading.voltage_v, reading.current_a) == (pytest.approx(volts), pytest.approx(amperes))


def test_a_um_answer_that_is_garbled_is_none() -> None:
    for frame in (
        UM25C_VECTOR[:-1] + b"\x00",  # trailer
        b"\x09\xca" + UM25C_VECTOR[2:],  # model
        UM25C_VECTOR[:-1],
        um_frame(model=0x0D4C)[:-1] + b"\x55",  # check byte of a UM34C
    ):
        assert _um.split(frame) == (None, frame)
    broken = bytearray(um_frame(model=0x0D4C))
    broken[7] ^= 1
    assert _um.split(bytes(broken))[0] is None


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_um_answer_is_found_among_anything(before: bytes, after: bytes) -> None:
    whole, rest = _um.split(before + UM25C_VECTOR + after)
    assert whole == UM25C_VECTOR and rest == after


@pytest.mark.parametrize("module", [um24c, um25c, um34c])
def test_each_model_is_read_by_its_name_and_none_by_another(module: Any) -> None:
    """A meter that says another model than the user did has another scale."""
    model = module.__name__.rpartition(".")[2]
    codes = {name.lower(): code for code, (name, _, _) in _um.MODELS.items()}
    with SerialMeter(lambda asked: [um_frame(model=codes[model], power_w=3.0)]) as simulated:
        meter = module.open_meter(simulated.port)
        (sample,) = take(meter, 1)
    assert sample.power_w == 3.0 and meter.device_id == model.upper()
    other = next(code for name, code in codes.items() if name != model)
    liar = SerialMeter(lambda asked: [um_frame(model=other)])
    with liar as simulated, pytest.raises(UserError, match="it says that it is a UM") as caught:
        take(module.open_meter(simulated.port), 1)
    assert caught.value.remedy.startswith("Name it um")


def test_a_um25c_that_lies_about_its_model_is_found_out_by_its_power() -> None:
    """A UM34C's steps under a UM25C's number: a hundredth of the power that it shows. One such answer is a slip."""
    liar = bytearray(um_frame(model=0x0D4C, power_w=3.35))
    liar[:2], liar[-2:] = b"\x09\xc9", b"\xff\xf1"
    found_out = pytest.raises(UserError, match=r"are not the 3\.35 W that it shows: it is not the model")
    with SerialMeter(lambda asked: [bytes(liar)]) as simulated, found_out:
        take(um25c.open_meter(simulated.port), 1)
    answers = iter([[bytes(liar)], [UM25C_VECTOR]])
    with SerialMeter(lambda asked: next(answers, [])) as simulated:
        meter = um25c.open_meter(simulated.port)
        (sample,) = take(meter, 1)
    assert sample.power_w == 3.352 and meter.tally.dropped == 1


def test_the_counters_of_a_um25c_start_again_and_power_goes_on() -> None:
    """Energy is of its power: its own counters are too coarse, and wrap."""
    frames = [bytearray(um_frame(seconds=number)) for number in range(2)]
    for frame, energy_mwh in zip(frames, (2**32 - 1, 0), strict=True):
        struct.pack_into(">I", frame, 20, energy_mwh)
    answers = iter([[bytes(frame)] for frame in frames])
    with SerialMeter(lambda asked: next(answers, [])) as simulated:
        samples = take(um25c.open_meter(simulated.port), 2)
    assert [_um.parse(bytes(frame)).group_mwh for frame in frames] == [2**32 - 1, 0]
    assert [sample.power_w for sample in samples] == [3.352, 3.352]


def test_two_answers_at_once_are_the_first_and_something_old() -> None:
    first, second = um_frame(power_w=3.0), um_frame(power_w=9.0)
    assert _um.split(first + second) == (first, second)
    with SerialMeter(lambda asked: [first + second]) as simulated:
        assert {sample.power_w for sample in take(um25c.open_meter(simulated.port), 2)} == {3.0}


def test_a_port_in_use_says_who_has_to_end() -> None:
    refused = pytest.raises(UserError, match="cannot be opened")
    with SerialMeter() as simulated, contextlib.closing(um25c.open_meter(simulated.port)), refused as caught:
        um25c.open_meter(simulated.port)
    assert caught.value.remedy == "End the other program that reads it"


@pytest.mark.parametrize("at", [1, 64, 129])
def test_a_um25c_that_answers_in_pieces(at: int) -> None:
    with SerialMeter(lambda asked: [UM25C_VECTOR[:at], UM25C_VECTOR[at:]]) as meter:
        (sample,) = take(um25c.open_meter(meter.port), 1)
        assert set(meter.received) == {0xF0}
    assert (sample.power_w, sample.voltage_v) == (3.352, pytest.approx(5.123))
    assert abs(sample.t_s - time.monotonic()) < 60


def test_a_um25c_asked_more_often_than_it_has_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """A meter with a value every 0.1 s, asked ten times as often: energy as prescribed, and the rest are duplicates."""
    monkeypatch.setattr(_um, "REFRESH_S", 0.1)
    powers_w = [2.0, 8.0]

    def answer(asked: bytes) -> list[bytes]:
        tick = int(time.monotonic() / 0.1)
        return [um_frame(power_w=powers_w[tick % 2], seconds=tick)]

    with SerialMeter(answer) as simulated:
        meter = um25c.open_meter(simulated.port)
        samples = take(meter, 30)
    times_s, watts = np.array([one.t_s for one in samples]), np.array([one.power_w for one in samples])
    sensor = _integration.Sensor("average", 0.1, latency_s=0.03)
    start_s, end_s = float(times_s[4]), float(times_s[24])
    found = _integration.integrate(times_s, watts, start_s, end_s, sensor)
    assert found.mean_w == pytest.approx(5.0, rel=0.1)  # wide: the answers come from a thread of a busy machine
    assert meter.tally.duplicates > 30


def test_an_even_power_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_um, "REFRESH_S", 0.05)
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        samples = take(um25c.open_meter(simulated.port), 4)
    assert all(later.t_s - earlier.t_s >= 0.05 for earlier, later in itertools.pairwise(samples))


def test_a_um25c_with_noise_on_the_line_is_asked_again() -> None:
    answers = iter([[UM25C_VECTOR[:70]], [b"\xff\xf1" * 65], [b"xx", UM25C_VECTOR]])
    with SerialMeter(lambda asked: next(answers, [])) as simulated:
        meter = um25c.open_meter(simulated.port)
        (sample,) = take(meter, 1)
    assert sample.power_w == 3.352 and meter.tally.dropped == 2


def test_no_current_is_a_value() -> None:
    with SerialMeter(lambda asked: [um_frame(power_w=0.0)]) as simulated:
        (sample,) = take(um25c.open_meter(simulated.port), 1)
    assert (sample.power_w, sample.current_a) == (0.0, 0.0)


@pytest.mark.parametrize("name", ["um25c", "um34c", "tc66c", "ppk2", "csv-serial"])
def test_a_meter_that_is_silent_says_so(name: str) -> None:
    with SerialMeter() as simulated, pytest.raises(UserError, match=f"meter {name} at .*it said nothing that fits"):
        take(plugins.load("edgebench.meters", name, kind="meter").open_meter(simulated.port), 1)


@pytest.mark.parametrize("name", ["um25c", "tc66c", "ppk2", "csv-serial", "fnb58"])
def test_a_port_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(UserError, match="cannot be opened") as caught:
        plugins.load("edgebench.meters", name, kind="meter").open_meter("/dev/none-such")
    assert "edgebench meters" in caught.value.remedy


def test_a_cable_pulled_out_in_an_answer_is_said() -> None:
    with SerialMeter(lambda asked: [UM25C_VECTOR[:50]]) as simulated:
        meter = um25c.open_meter(simulated.port)
        threading.Timer(0.05, meter._port.close).start()
        with pytest.raises(UserError, match="the connection broke"):
            take(meter, 1)


# ------------------------------------------------------------------ TC66C


def test_the_bytes_of_a_tc66c() -> None:
    meter = FakeTc66c(voltage_v=5.1234, current_a=0.65432, power_w=3.3523, temperature_c=-7)
    blocks, rest = tc66c.split(b"\x00\x01\x02" + meter.frame() + b"rest")
    assert blocks is not None and rest == b"rest"
    assert tc66c.parse(blocks) == tc66c.Reading(
        "TC66", "1.14", 2026, pytest.approx(5.1234), pytest.approx(0.65432), pytest.approx(3.3523), -7
    )
    assert tc66c.crc16(b"123456789") == 0x4B37  # the check value of CRC-16/MODBUS


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_tc66c_block_with_a_wrong_checksum_spoils_the_answer(block: int) -> None:
    assert tc66c.split(FakeTc66c(spoilt=block).frame())[0] is None


def test_a_tc66c_answers_over_the_wire() -> None:
    spoilt, fine = FakeTc66c(spoilt=1).frame(), FakeTc66c(power_w=3.3523, current_a=0.67046).frame()
    answers = iter([[spoilt], [fine[:100], fine[100:]]])
    with SerialMeter(lambda asked: next(answers, [])) as simulated:
        meter = tc66c.open_meter(simulated.port)
        (sample,) = take(meter, 1)
        assert simulated.received.startswith(b"getva")
    assert sample.power_w == pytest.approx(3.3523) and meter.tally.dropped == 1


# ------------------------------------------------------------------ PPK2

PLAIN = ppk2.parse_metadata("END\n")


@pytest.mark.parametrize(
    ("word", "amperes", "count", "logic"),
    [("4b021501", 0.5999046, 5, 1), ("e780fc00", 1.000135e-3, 63, 0), ("2ec400ff", 50.02286e-3, 0, 255)],
)
def test_the_words_of_a_ppk2(word: str, amperes: float, count: int, logic: int) -> None:
    decoded = ppk2.decode(bytes.fromhex(word), PLAIN)
    assert decoded.currents_a[0] == pytest.approx(amperes, rel=1e-6)
    assert (decoded.last_count, int(decoded.logic[0]), decoded.lost) == (count, logic, 0)


@pytest.mark.parametrize(("missing", "lost"), [(1, 1), (63, 63), (64, 0)])
def test_lost_words_are_counted_unless_they_are_64(missing: int, lost: int) -> None:
    counts = np.concatenate([np.arange(10), np.arange(10 + missing, 30 + missing)]) % 64
    words = (counts.astype("<u4") << 18).tobytes()
    assert ppk2.decode(words, PLAIN).lost == lost
    first = ppk2.decode(words[:40], PLAIN)
    assert ppk2.decode(words[40:], PLAIN, first.last_count).lost == lost


def test_metadata_have_an_end_and_a_resistance_of_0_has_its_default() -> None:
    found = ppk2.parse_metadata("Calibrated: 0\nR0: 1000.5\nR4: 0.0\nGS1: 2.5\nVDD: 3300\nHW: 9173\nEND\n")
    assert (found.values["R"][0], found.values["R"][1], found.values["R"][4]) == (1000.5, 101.65, 0.043)
    assert found.values["GS"][1] == 2.5 and found.supply_v == 3.3
    with pytest.raises(ValueError, match="no end"):
        ppk2.parse_metadata("Calibrated: 0\nR0: 1000.5\n")


def test_a_ppk2_streams_the_mean_of_what_flows() -> None:
    """It was left streaming; its metadata come in three pieces, its words split anywhere."""
    fake = FakePpk2(amperes=0.6)
    with SerialMeter(fake.answer) as simulated:
        simulated.say(fake.words(333)[:-3])
        meter = ppk2.open_meter(simulated.port, volts=3.3)
        samples = take(meter, 3)
    assert meter.sensor.max_w == pytest.approx(3.3) and "3.3 V" in meter.note
    for sample in samples:
        assert sample.current_a == pytest.approx(0.6, abs=1.02e-3 / 2)  # half a step of its coarsest range
        assert sample.power_w == pytest.approx(3.3 * sample.current_a)
    assert meter.tally.dropped == 0
    assert simulated.received.startswith(ppk2.STOP + ppk2.METADATA)
    assert simulated.received.endswith(ppk2.STOP)  # and what it feeds stays on
    assert b"\x0c\x00" not in simulated.received


@pytest.mark.parametrize("volts", [0.799, 5.001])
def test_a_ppk2_is_not_put_into_a_supply_that_it_does_not_stand(volts: float) -> None:
    with pytest.raises(UserError, match=r"It takes 0\.8 to 5 V"):
        ppk2.open_meter("/dev/none-such", volts=volts)


def test_a_ppk2_says_whether_its_voltage_was_assumed() -> None:
    for volts, flags in ((None, ("voltage_assumed",)), (3.3, ())):
        fake = FakePpk2(amperes=0.1)
        with SerialMeter(fake.answer) as simulated:
            meter = ppk2.open_meter(simulated.port, volts=volts)
            take(meter, 1)
        assert (meter.flags, meter.device_id) == (flags, "PPK2 hardware 9173")


def test_pulses_at_an_input_of_a_ppk2_mark_a_window_word_by_word() -> None:
    """1 A from the word where D0 rises to the word where it falls; between ranges 2 and 4, and split anywhere."""
    marked = np.zeros(3000, bool)
    marked[700:1900] = True
    adc = np.where(marked, round(1.0 * 0.043 / (4 * ppk2.ADC_STEP_V)), round(0.010 * 10.15 / (4 * ppk2.ADC_STEP_V)))
    ranges = np.where(marked, 4, 2)
    words = (adc | ranges << 14 | np.arange(3000) % 64 << 18 | marked.astype(int) << 24).astype("<u4").tobytes()
    currents_a, logic, count = [], [], None
    for start in range(0, len(words), 1024):
        decoded = ppk2.decode(words[start : start + 1024], PLAIN, count)
        count = decoded.last_count
        assert decoded.lost == 0
        currents_a.append(decoded.currents_a)
        logic.append(decoded.logic)
    high = np.concatenate(logic) & 1 == 1
    assert (high == marked).all()
    joules = np.concatenate(currents_a)[high].sum() / ppk2.RATE_HZ * 5.0
    assert joules == pytest.approx(1.0 * 5.0 * 1200 / ppk2.RATE_HZ, rel=1.02e-3)


# ------------------------------------------------------------------ FNB58


def fnb58_report(pairs: list[tuple[int, int]], kind: int = 0x04) -> bytes:
    body = bytes([kind]) + b"".join(struct.pack("<IIHHBH", v, i, 600, 600, 0, 251) for v, i in pairs)
    body = body.ljust(62, b"\0")
    return b"\xaa" + body + bytes([fnb58.crc8(body)])


def test_the_checksums_of_an_fnb58() -> None:
    assert [fnb58.command(number)[-1] for number in (0x81, 0x82, 0x83)] == [0x8E, 0x96, 0x9E]


def test_an_fnb58_report_has_four_values() -> None:
    report = fnb58_report([(512_300 + index, 65_430) for index in range(4)])
    assert fnb58.parse(report) == [(pytest.approx(5.123 + index * 1e-5), pytest.approx(0.6543)) for index in range(4)]
    assert fnb58.parse(fnb58_report([(0, 0)] * 4, kind=0x03)) == []
    with pytest.raises(ValueError, match="checksum"):
        fnb58.parse(report[:-1] + b"\x00")


def test_an_fnb58_is_started_kept_alive_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a pair of sockets that keep reports apart, as hidraw does."""
    monkeypatch.setattr(fnb58, "KEEP_ALIVE_S", 0.05)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        meter = fnb58.Fnb58(near.detach(), "meter fnb58")
        far.send(fnb58_report([(500_000, 100_000)] * 4)[:-1] + b"\x00")
        far.send(fnb58_report([(500_000, 100_000)] * 4))
        with contextlib.closing(meter):
            stream = meter.samples()
            samples = list(itertools.islice(stream, 4))
            time.sleep(0.06)
            far.send(fnb58_report([(500_000, 100_000)] * 4))
            next(stream)
            sent = [far.recv(100) for _ in range(4)]
            with pytest.raises(UserError, match="said nothing for"):
                list(stream)
    assert [one.power_w for one in samples] == [pytest.approx(5.0)] * 4
    assert [round(b.t_s - a.t_s, 6) for a, b in itertools.pairwise(samples)] == [fnb58.PERIOD_S] * 3
    assert sent == [b"\0" + report for report in (*fnb58.START, fnb58.KEEP_ALIVE)]
    assert meter.tally.dropped == 1


def test_two_programs_do_not_share_an_fnb58(tmp_path: Path) -> None:
    port = tmp_path / "hidraw0"
    port.touch()
    with contextlib.closing(fnb58.open_meter(str(port))), pytest.raises(UserError, match="another program reads it"):
        fnb58.open_meter(str(port))
    fnb58.open_meter(str(port)).close()


def test_an_fnb58_is_found_by_its_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, {"hidraw0/device/uevent": "HID_ID=0003:0000046D:0000C52B\n"})
    plant(tmp_path, {"hidraw3/device/uevent": f"DRIVER=hid-generic\n{fnb58.HID_ID}\n"})
    monkeypatch.setattr(fnb58, "HIDRAW", tmp_path)
    assert fnb58.find() == ["/dev/hidraw3"]


# ------------------------------------------------------------------ lines of a microcontroller

EBCSV = "#ebcsv 1 cols=ms,V,mA,mW fw=1.2 shunt_mohm=100 avg_ms=68 kind=avg"


def told(*lines: str) -> list[tuple[float, float | None, float]]:
    reader = Lines()
    taken = [reader.take(line) for line in lines]
    return [csv_serial.power(values) for values in taken if values]


@pytest.mark.parametrize(
    ("lines", "watts", "volts", "amperes"),
    [
        (["123456,5.10,64.00,5.12,640.00"], 3.2768, 5.12, 0.64),
        (["123456,5.12,640.00"], 3.2768, 5.12, 0.64),
        (["5.10,64.00,5.12,640.00"], 3.2768, 5.12, 0.64),
        (["5.12 V,0.64 A"], 3.2768, 5.12, 0.64),
        (["123456 640.00 3277"], 3.277, None, 0.64),
        (["123456 640.00 3277\r"], 3.277, None, 0.64),
        (
            ["Bus Voltage:   5.10 V", "Shunt Voltage: 64.00 mV", "Load Voltage:  5.12 V", "Current:  640.00 mA", ""],
            3.2768, 5.12, 0.64,
        ),
        ([EBCSV, "123456,5.120,640.2,3277.8"], 3.2778, 5.12, 0.6402),
        (["#ebcsv 1 cols=ms,V,A", "# a comment", "1,5.12,-0.64"], -3.2768, 5.12, -0.64),
        (["1,5.12,640*1B"], 3.2768, 5.12, 0.64),
    ],
)  # fmt: skip
def test_every_convention_of_lines(lines: list[str], watts: float, volts: float | None, amperes: float) -> None:
    ((power_w, voltage_v, current_a),) = told(*lines)
    assert power_w == pytest.approx(watts) and current_a == pytest.approx(amperes)
    assert voltage_v == (None if volts is None else pytest.approx(volts))


@pytest.mark.parametrize(
    "line",
    ["INA219 demo ready", "123456,nan,640", "123456,ovf,640", "1,2,3,4,5,6", "12,", "1,5.12,640*06", "1,5.12,640*zz"],
)
def test_lines_that_are_no_measurement_are_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Lines().take(line)


def test_a_header_says_the_columns_and_without_one_they_are_guessed() -> None:
    declared, guessed = Lines(), Lines()
    declared.take(EBCSV)
    declared.take("1,5.12,640,3277")
    guessed.take("1,5.12,640")
    assert (declared.guessed, guessed.guessed) == (False, True)
    with SerialMeter() as simulated:
        meter = csv_serial.open_meter(simulated.port)
        simulated.say(b"\n1,5.12,640\n")
        take(meter, 1)
    assert "guessed" in meter.note


def test_lines_are_not_guessed_before_a_header_had_time_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_serial, "HEADER_S", 60.0)
    with SerialMeter() as simulated:
        meter = csv_serial.open_meter(simulated.port)
        simulated.say(b"\n1,5.12,640\n2,5.12,640\n#ebcsv 1 cols=ms,A,V\n3,0.64,5.12\n")
        (sample,) = take(meter, 1)
    assert sample.power_w == pytest.approx(3.2768) and meter.flags == ()


def test_a_header_that_comes_late_and_contradicts_the_guess_ends_it() -> None:
    with SerialMeter() as simulated:
        meter = csv_serial.open_meter(simulated.port)
        simulated.say(b"\n1,5.12,640\n#ebcsv 1 cols=ms,A,V\n3,0.64,5.12\n")
        with pytest.raises(UserError, match="says other columns than were guessed"):
            take(meter, 2)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("#ebcsv 1 cols=ms,V,mA avg_ms=20 kind=avg fw=1.2", "average"),
        ("#ebcsv 1 cols=ms,V,mA avg_ms=1 kind=avg", "point"),  # an average of a twentieth of the time is a point
        ("#ebcsv 1 cols=ms,V,mA kind=point", "point"),
        ("", "point"),
    ],
)
def test_lines_are_averages_only_if_they_say_so_and_cover_the_time(header: str, kind: str) -> None:
    with SerialMeter() as simulated:
        meter = csv_serial.open_meter(simulated.port)
        stream = meter.samples()
        simulated.say(f"\n{header}\n".encode())
        for number in range(6):
            simulated.say(f"{20 * number},5.12,640\n".encode())
            time.sleep(0.02)
            next(stream)
        meter.close()
    assert meter.sensor.kind == kind
    assert 0.015 < meter.sensor.period_s < 0.2  # as the lines came, on a busy machine
    assert meter.firmware == ("1.2" if "fw=" in header else "")
    assert meter.flags == (() if header else ("column_map_guessed",))


def test_milliseconds_start_again_after_49_days_and_after_a_reset() -> None:
    reader = Lines()
    for now_ms in (4294967200, 4294967295, 0, 100):
        assert reader.take(f"{now_ms},5.12,640")
    with pytest.raises(ValueError, match="a clock that jumped"):
        reader.take("9999999,5.12,640")  # one line may be garbled
    assert reader.take("300,5.12,640")
    with pytest.raises(ValueError, match="a clock that jumped"):
        reader.take("0,5.12,640")
    with pytest.raises(Restarted):
        reader.take("100,5.12,640")


def test_a_microcontroller_read_from_the_middle_of_a_line() -> None:
    with SerialMeter() as simulated:
        meter = csv_serial.open_meter(simulated.port)
        simulated.say(b"34,5.12,640\r\nboot v1\r\n1250,5.12,nan\r\n1260,5.1")
        simulated.say(b"2,640\r\n1270,5.12,-320\r\n")
        samples = take(meter, 2)
    assert [one.power_w for one in samples] == [pytest.approx(3.2768), pytest.approx(-1.6384)]
    assert meter.tally.dropped == 2


def test_a_microcontroller_that_starts_anew_ends_the_measurement() -> None:
    with SerialMeter() as simulated:
        meter = csv_serial.open_meter(simulated.port)
        simulated.say(b"\n900000,5.12,640\nboot v1\n12,5.12,640\n22,5.12,640\n")
        with pytest.raises(UserError, match="the board started anew"):
            take(meter, 2)


# ------------------------------------------------------------------ edgebench meters


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A processor with counters that stand still."""
    zone = "sys/class/powercap/intel-rapl:0"
    plant(tmp_path, {f"{zone}/name": "package-0", f"{zone}/energy_uj": "7"})
    monkeypatch.setattr(rapl, "ROOT", tmp_path)
    monkeypatch.setattr(facts, "ROOT", tmp_path)
    return tmp_path


def test_every_meter_is_listed_with_where_it_is_or_why_not(packages: Path) -> None:
    listed = {one.name: one for one in _watch.listing()}
    assert listed.keys() >= {"rapl", "nvml", "rpi-pmic", "um25c", "tc66c", "fnb58", "ppk2", "csv-serial"}
    assert "simulated" not in listed
    assert listed["rapl"].available
    assert all(one.available or one.note for one in listed.values())


def test_a_counter_is_watched(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "SHOW_S", 0.05)
    shown = list(_watch.watch("rapl", seconds=0.2))
    assert len(shown) >= 3 and shown[-1].seconds >= 0.2
    assert all(one.power_w == {"cpu_package": 0.0} for one in shown)


def test_a_meter_on_a_port_is_watched_and_mended_by_its_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "SHOW_S", 0.1)
    monkeypatch.setattr(_um, "REFRESH_S", 0.02)
    file = tmp_path / "meters.yaml"
    _calibration.save("um25c", _calibration.Calibration("2026-11-20", 2.0, 0.5, 0.01), file)
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        shown = list(_watch.watch("um25c", port=simulated.port, seconds=0.3, calibrations=file))
    assert len(shown) >= 2
    assert [one.window is not None for one in shown] == [False] * (len(shown) - 1) + [True]
    window = shown[-1].window
    assert window is not None and window.energy_j == pytest.approx(shown[-1].energy_j["board_input"])
    assert window.u_systematic_j == pytest.approx(0.01 * window.energy_j / math.sqrt(3))
    for one in shown:
        assert one.power_w == {"board_input": pytest.approx(2 * 3.352 + 0.5)}
        assert one.energy_j["board_input"] == pytest.approx(one.seconds * (2 * 3.352 + 0.5), rel=1e-6)


def test_a_meter_that_cannot_be_watched_says_why() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'um25c'"):
        _watch.watch("um25")
    with pytest.raises(UserError, match="--port /dev/"):
        list(_watch.watch("um25c"))
    with pytest.raises(UserError, match="only a Raspberry Pi has it"):
        list(_watch.watch("rpi-pmic"))


def test_the_command_line_lists_watches_and_calibrates(tmp_path: Path) -> None:
    listed = run_cli("meters", cwd=tmp_path)
    assert listed.returncode == 0 and "um25c" in listed.stdout and "rapl" in listed.stdout
    assert "Serial ports: " in listed.stdout
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        watched = run_cli("meters", "watch", "um25c", "--port", simulated.port, "--seconds", "0.6", cwd=tmp_path)
    assert watched.returncode == 0, watched.stderr
    assert "board_input 3.352 W" in watched.stdout
    assert "J by sampling; the meter's own accuracy is not known; short window" in watched.stdout
    assert watched.stdout.count("note: nobody states its accuracy: edgebench meters calibrate um25c") == 1
    points = ["--point", "1.1:1.0", "--point", "5.3:5.0"]
    assert run_cli("meters", "calibrate", "um25c", *points, cwd=tmp_path).returncode == 0
    assert _calibration.load(tmp_path / "meters.yaml")["um25c"].gain == pytest.approx(4.0 / 4.2)
    assert run_cli("meters", "calibrate", "um25c", "--point", "1.1", cwd=tmp_path).returncode == 2
    gone = run_cli("meters", "watch", "um25c", "--port", "/dev/none-such", cwd=tmp_path)
    assert gone.returncode == 1 and "cannot be opened" in gone.stderr


def test_ctrl_c_ends_watching_cleanly(tmp_path: Path) -> None:
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        command = cli_command("meters", "watch", "um25c", "--port", simulated.port)
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert "board_input 3.352 W" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and said == ""
