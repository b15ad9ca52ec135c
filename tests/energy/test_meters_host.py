"""All meters on this machine's ports: what they report about themselves; ports that are silent, absent or in use."""

from __future__ import annotations

import contextlib
import threading

import pytest

from edgebench import plugins
from edgebench.energy.meters import um25c
from edgebench.errors import UserError
from tests.support.fake_meters import SerialMeter
from tests.support.host_meters import UM25C_VECTOR, take
from tests.support.host_meters import quick as quick


@pytest.mark.parametrize("name", plugins.names("edgebench.energy.meters"))
def test_a_meter_says_what_it_is_and_how_it_sees_power(name: str) -> None:
    meter = plugins.load("edgebench.energy.meters", name, kind="meter")
    assert meter.DESCRIPTION and meter.SCOPE in ("board_input", "wall")
    assert meter.find() is None or isinstance(meter.find(), list)


def test_a_port_in_use_says_who_has_to_end() -> None:
    refused = pytest.raises(UserError, match="cannot be opened")
    with SerialMeter() as simulated, contextlib.closing(um25c.open_meter(simulated.port)), refused as caught:
        um25c.open_meter(simulated.port)
    assert caught.value.remedy == "Stop the other program that is reading it"


@pytest.mark.parametrize("name", ["um25c", "um34c", "tc66c", "ppk2", "csv-serial"])
def test_a_meter_that_is_silent_says_so(name: str) -> None:
    with SerialMeter() as simulated, pytest.raises(UserError, match=f"meter {name} at .*no valid data"):
        take(plugins.load("edgebench.energy.meters", name, kind="meter").open_meter(simulated.port), 1)


@pytest.mark.parametrize("name", ["um25c", "tc66c", "ppk2", "csv-serial", "fnb58"])
def test_a_port_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(UserError, match="cannot be opened") as caught:
        plugins.load("edgebench.energy.meters", name, kind="meter").open_meter("/dev/none-such")
    assert "edgebench meters" in caught.value.remedy


def test_a_cable_pulled_out_in_an_answer_is_said() -> None:
    with SerialMeter(lambda asked: [UM25C_VECTOR[:50]]) as simulated:
        meter = um25c.open_meter(simulated.port)
        threading.Timer(0.05, meter._port.close).start()
        with pytest.raises(UserError, match="the connection broke"):
            take(meter, 1)
