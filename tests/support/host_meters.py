"""For the tests of the meters on this machine's ports: an answer of a UM25C, short waits, and a meter's samples."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest

from edgebench.energy.meters import Sample, _serial, _um, csv_serial, fnb58, ppk2, tc66c

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
