"""Serial ports: opening, reading and polling, with errors that say what to do. Each meter does its own parsing."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgebench.energy.meters import MeterLost
from edgebench.errors import MissingPackage, UserError

if TYPE_CHECKING:
    import serial  # type: ignore[import-untyped]

# A read returns after READ_S with what has arrived; a meter that is silent for SILENCE_S is gone.
READ_S = 0.05
SILENCE_S = 5.0
# A question without a complete answer is repeated after this time.
ANSWER_S = 1.0
# How much of the input is searched for an answer; the longest answer is a tenth of it.
MOST_BYTES = 2048


class Port:
    """One open port. All failures of the connection are UserErrors that name meter and port."""

    def __init__(self, port: str, baud: int, meter: str) -> None:
        try:
            import serial
        except ModuleNotFoundError as error:
            raise MissingPackage(f"meter {meter}", "pyserial", "meters") from error
        self.name = port
        self.where = f"meter {meter} at {port}"
        try:
            self._serial: serial.SerialBase = serial.serial_for_url(port, baud, timeout=READ_S, exclusive=True)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise UserError(self.where, f"it cannot be opened ({error})", _remedy(error)) from error

    def read(self) -> bytes:
        """What has arrived: at least a byte, unless none arrived for READ_S."""
        try:
            data: bytes = self._serial.read(max(1, self._serial.in_waiting))
        except (OSError, TypeError) as error:  # pyserial fails with TypeError where another thread closed the port
            raise self.lost(f"the connection broke ({error})") from error
        return data

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except OSError as error:
            raise self.lost(f"the connection broke ({error})") from error

    def close(self) -> None:
        self._serial.close()

    def silent(self) -> MeterLost:
        return self.lost(f"no valid data for {SILENCE_S:g} s")

    def lost(self, seen: str) -> MeterLost:
        return MeterLost(self.where, seen, "Check the cable, the power and the port, then try again")


def _remedy(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return "sudo usermod -aG dialout $USER, then log in again"
    if number == errno.EBUSY or "exclusively lock" in str(error):
        return "Stop the other program that is reading it"
    return "Plug it in; `edgebench meters` lists the available ports"


def answers(
    port: Port, question: bytes, split: Callable[[bytes], tuple[bytes | None, bytes]], size: int, poll_s: float
) -> Iterator[tuple[float, bytes | None]]:
    """(time of completion, answer) for a question asked every `poll_s`; None for an answer that stayed incomplete.

    split: returns the first whole answer in the input and the rest, which is outdated by the next question and
    discarded. size: of an answer; if as many bytes do not contain one and no more arrive, it was garbled.
    """
    heard_s = time.monotonic()
    while True:
        asked_s = now_s = time.monotonic()
        port.write(question)
        answer, buffer = None, b""
        while answer is None and now_s - asked_s < ANSWER_S:
            arrived = port.read()
            answer, buffer = split((buffer + arrived)[-MOST_BYTES:])
            now_s = time.monotonic()
            if not arrived and len(buffer) >= size:
                break
        if answer is not None:
            heard_s = now_s
        elif now_s - heard_s > SILENCE_S:
            raise port.silent()
        yield now_s, answer
        time.sleep(max(0.0, poll_s - (time.monotonic() - asked_s)))


def ports() -> list[str]:
    """The serial ports of this machine with their descriptions. Raises MissingPackage."""
    try:
        from serial.tools import list_ports  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingPackage("meters on serial ports", "pyserial", "meters") from error
    return [f"{port.device} ({port.description})" for port in list_ports.comports()]


def ports_of(is_meter: Callable[[int | None, int | None, str], bool]) -> list[str]:
    """The USB serial ports whose (vendor, product, product name) are those of a meter; [] without pyserial."""
    try:
        from serial.tools import list_ports
    except ModuleNotFoundError:
        return []
    return [port.device for port in list_ports.comports() if is_meter(port.vid, port.pid, port.product or "")]
