"""RDTech UM34C, a USB power meter: up to 4 A, steps of 10 mV and 1 mA. The models share a protocol: _um.py."""

from __future__ import annotations

from edgebench.energy.meters._um import UmMeter, open_model

DESCRIPTION = "RDTech UM34C (Bluetooth; um34c:/dev/rfcomm0)"
SCOPE = "board_input"


def find() -> None:
    """Not possible: serial ports of Bluetooth do not show what is behind them."""


def open_meter(port: str, volts: float | None = None) -> UmMeter:
    return open_model("UM34C", port)
