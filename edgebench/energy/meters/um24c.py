"""RDTech UM24C, a USB power meter: up to 3 A, steps of 10 mV and 1 mA. The models share a protocol: _um.py."""

from __future__ import annotations

from edgebench.energy.meters._um import UmMeter, open_model

DESCRIPTION = "RDTech UM24C (Bluetooth; um24c:/dev/rfcomm0)"
SCOPE = "board_input"


def find() -> None:
    """Not possible: serial ports of Bluetooth do not show what is behind them."""


def open_meter(port: str, volts: float | None = None) -> UmMeter:
    return open_model("UM24C", port)
