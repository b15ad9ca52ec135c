"""UM24C, UM25C and UM34C: their bytes, and the real driver against such a meter on a pty."""

from __future__ import annotations

import itertools
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgebench.energy.meters import _integration, _um, um24c, um25c, um34c
from edgebench.energy.meters._sensor import Sensor
from edgebench.errors import UserError
from tests.support.fake_meters import SerialMeter, um_frame
from tests.support.host_meters import UM25C_VECTOR, take
from tests.support.host_meters import quick as quick


def test_the_bytes_of_a_um25c() -> None:
    assert len(UM25C_VECTOR) == _um.SIZE
    assert _um.split(UM25C_VECTOR) == (UM25C_VECTOR, b"")
    assert _um.parse(UM25C_VECTOR) == _um.UmAnswer(
        model="UM25C",
        voltage_v=pytest.approx(5.123),
        current_a=pytest.approx(0.6543),
        power_w=3.352,
        temperature_c=30,
        group=3,
        group_mah=123,
        group_mwh=4567,
        total_mwh=4567,
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
    """A meter of another model than the user named has another scale."""
    model = module.__name__.rpartition(".")[2]
    codes = {name.lower(): code for code, (name, _, _) in _um.MODELS.items()}
    with SerialMeter(lambda asked: [um_frame(model=codes[model], power_w=3.0)]) as simulated:
        meter = module.open_meter(simulated.port)
        (sample,) = take(meter, 1)
    assert sample.power_w == 3.0 and meter.device_id == model.upper()
    other = next(code for name, code in codes.items() if name != model)
    liar = SerialMeter(lambda asked: [um_frame(model=other)])
    with liar as simulated, pytest.raises(UserError, match="it identifies itself as a UM") as caught:
        take(module.open_meter(simulated.port), 1)
    assert caught.value.remedy.startswith("Name it um")


def test_a_um25c_that_lies_about_its_model_is_found_out_by_its_power() -> None:
    """A UM34C's steps with a UM25C's number: a hundredth of the power shown. A single such answer is an error."""
    liar = bytearray(um_frame(model=0x0D4C, power_w=3.35))
    liar[:2], liar[-2:] = b"\x09\xc9", b"\xff\xf1"
    found_out = pytest.raises(UserError, match=r"3\.35 W, which do not fit together: it is not the model")
    with SerialMeter(lambda asked: [bytes(liar)]) as simulated, found_out:
        take(um25c.open_meter(simulated.port), 1)
    answers = iter([[bytes(liar)], [UM25C_VECTOR]])
    with SerialMeter(lambda asked: next(answers, [])) as simulated:
        meter = um25c.open_meter(simulated.port)
        (sample,) = take(meter, 1)
    assert sample.power_w == 3.352 and meter.tally.dropped == 1


def test_the_counters_of_a_um25c_start_again_and_power_goes_on() -> None:
    """Energy is computed from its power: its own counters are too coarse, and wrap."""
    frames = [bytearray(um_frame(power_w=3.352 - 0.001 * number)) for number in range(2)]
    for frame, energy_mwh in zip(frames, (2**32 - 1, 0), strict=True):
        struct.pack_into(">I", frame, 20, energy_mwh)
    answers = iter([[bytes(frame)] for frame in frames])
    with SerialMeter(lambda asked: next(answers, [])) as simulated:
        samples = take(um25c.open_meter(simulated.port), 2)
    assert [_um.parse(bytes(frame)).group_mwh for frame in frames] == [2**32 - 1, 0]
    assert [sample.power_w for sample in samples] == [3.352, 3.351]


def test_two_answers_at_once_are_the_first_and_something_old() -> None:
    first, second = um_frame(power_w=3.0), um_frame(power_w=9.0)
    assert _um.split(first + second) == (first, second)
    with SerialMeter(lambda asked: [first + second]) as simulated:
        assert {sample.power_w for sample in take(um25c.open_meter(simulated.port), 2)} == {3.0}


@pytest.mark.parametrize("at", [1, 64, 129])
def test_a_um25c_that_answers_in_pieces(at: int) -> None:
    with SerialMeter(lambda asked: [UM25C_VECTOR[:at], UM25C_VECTOR[at:]]) as meter:
        (sample,) = take(um25c.open_meter(meter.port), 1)
        assert set(meter.received) == {0xF0}
    assert (sample.power_w, sample.voltage_v) == (3.352, pytest.approx(5.123))
    assert abs(sample.t_s - time.monotonic()) < 60


def test_a_um25c_asked_more_often_than_it_has_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """A meter with a value every 0.1 s, polled ten times as often: energy as prescribed, all else duplicates."""
    monkeypatch.setattr(_um, "REFRESH_S", 0.1)
    powers_w = [2.0, 8.0]

    def answer(asked: bytes) -> list[bytes]:
        tick = int(time.monotonic() / 0.1)
        return [um_frame(power_w=powers_w[tick % 2], seconds=tick)]

    with SerialMeter(answer) as simulated:
        meter = um25c.open_meter(simulated.port)
        samples = take(meter, 30)
    times_s, watts = np.array([one.t_s for one in samples]), np.array([one.power_w for one in samples])
    sensor = Sensor("average", 0.1, latency_s=0.03)
    start_s, end_s = float(times_s[4]), float(times_s[24])
    found = _integration.integrate(times_s, watts, start_s, end_s, sensor)
    assert found.mean_w == pytest.approx(5.0, rel=0.1)  # wide: the answers come from a thread of a busy machine
    assert meter.tally.duplicates > 30


def test_an_even_power_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_um, "REFRESH_S", 0.05)
    with SerialMeter(lambda asked: [UM25C_VECTOR]) as simulated:
        samples = take(um25c.open_meter(simulated.port), 4)
    assert all(later.t_s - earlier.t_s >= 0.0499 for earlier, later in itertools.pairwise(samples))


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
