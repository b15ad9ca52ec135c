"""Serial ports: opened, read and polled, with errors that say what to do. Parsing is each meter's own."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edgebench.energy.meters import MeterLost
from edgebench.errors import MissingPackage, UserError

if TYPE_CHECKING:
    import serial  # type: ignore[import-untyped]

# A read returns after so long with what there is; a meter that says nothing for SILENCE_S is gone.
READ_S = 0.05
SILENCE_S = 5.0
# A question without a whole answer is asked again.
ANSWER_S = 1.0
# Of what has arrived, no more is searched for an answer: none is longer than a tenth of it.
MOST_BYTES = 2048


class Port:
    """One open port. Every way in which a cable fails is a UserError that names meter and port."""

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
        """What has arrived, at least a byte unless READ_S went by without one."""
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
        return self.lost(f"it said nothing that fits for {SILENCE_S:g} s")

    def lost(self, seen: str) -> MeterLost:
        return MeterLost(self.where, seen, "Check cable and power, and that it is this port; then again")


def _remedy(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return "sudo usermod -aG dialout $USER, then log in again"
    if number == errno.EBUSY or "exclusively lock" in str(error):
        return "End the other program that reads it"
    return "Plug it in; `edgebench meters` lists the ports that are there"


def answers(
    port: Port, question: bytes, split: Callable[[bytes], tuple[bytes | None, bytes]], size: int, poll_s: float
) -> Iterator[tuple[float, bytes | None]]:
    """(when it was whole, the answer) for a question asked every `poll_s`; None for an answer that never got whole.

    split: takes the first whole answer from what has arrived, and says what is left after it. What is left is old
    when the next question is asked, and thrown away. size: of an answer; where as many bytes are none and no more come,
    it was garbled, and is not waited for.
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
    """The serial ports of this machine with what they say they are. Raises MissingPackage."""
    try:
        from serial.tools import list_ports  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingPackage("meters on serial ports", "pyserial", "meters") from error
    return [f"{port.device} ({port.description})" for port in list_ports.comports()]


def ports_of(is_meter: Callable[[int | None, int | None, str], bool]) -> list[str]:
    """The USB serial ports whose (vendor, product, product's name) is a meter's; [] without pyserial."""
    try:
        from serial.tools import list_ports
    except ModuleNotFoundError:
        return []
    return [port.device for port in list_ports.comports() if is_meter(port.vid, port.pid, port.product or "")]
