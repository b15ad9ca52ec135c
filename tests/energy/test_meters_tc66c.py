"""TC66C: its encrypted bytes, and the real driver against such a meter on a pty."""

from __future__ import annotations

import pytest

from edgebench.energy.meters import tc66c
from tests.support.fake_meters import FakeTc66c, SerialMeter
from tests.support.host_meters import quick as quick
from tests.support.host_meters import take


def test_the_bytes_of_a_tc66c() -> None:
    meter = FakeTc66c(voltage_v=5.1234, current_a=0.65432, power_w=3.3523, temperature_c=-7)
    blocks, rest = tc66c.split(b"\x00\x01\x02" + meter.frame() + b"rest")
    assert blocks is not None and rest == b"rest"
    assert tc66c.parse(blocks) == tc66c.Tc66cAnswer(
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
