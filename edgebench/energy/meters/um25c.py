"""RDTech UM25C, a USB power meter: up to 5 A, steps of 1 mV and 0.1 mA. The models share a protocol: _um.py."""

from __future__ import annotations

from edgebench.energy.meters._um import UmMeter, open_model

DESCRIPTION = "RDTech UM25C (Bluetooth; um25c:/dev/rfcomm0)"
SCOPE = "board_input"


def find() -> None:
    """Not possible: serial ports of Bluetooth do not show what is behind them."""


def open_meter(port: str, volts: float | None = None) -> UmMeter:
    return open_model("UM25C", port)
