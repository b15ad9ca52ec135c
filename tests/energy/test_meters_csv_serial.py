"""Lines of a microcontroller: all formats, their header, and boards that restart."""

from __future__ import annotations

import time

import pytest

from edgebench.energy.meters import csv_serial
from edgebench.energy.meters.csv_serial import CsvLines, Restarted
from edgebench.errors import UserError
from tests.support.fake_meters import SerialMeter
from tests.support.host_meters import quick as quick
from tests.support.host_meters import take

EBCSV = "#ebcsv 1 cols=ms,V,mA,mW fw=1.2 shunt_mohm=100 avg_ms=68 kind=avg"


def told(*lines: str) -> list[tuple[float, float | None, float]]:
    reader = CsvLines()
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
        CsvLines().take(line)


def test_a_header_says_the_columns_and_without_one_they_are_guessed() -> None:
    declared, guessed = CsvLines(), CsvLines()
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
        with pytest.raises(UserError, match="its columns differ from those guessed"):
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
    reader = CsvLines()
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
        with pytest.raises(UserError, match="the board restarted"):
            take(meter, 2)
