"""PPK2: its words and its metadata, and the real driver against such a meter on a pty."""

from __future__ import annotations

import numpy as np
import pytest

from edgebench.energy.meters import ppk2
from edgebench.errors import UserError
from tests.support.fake_meters import FakePpk2, SerialMeter
from tests.support.host_meters import quick as quick
from tests.support.host_meters import take

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
    with pytest.raises(ValueError, match="incomplete"):
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
    with pytest.raises(UserError, match=r"Its supply is 0\.8 to 5 V"):
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
