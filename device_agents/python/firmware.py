"""Throttle bits of a Raspberry Pi's firmware: 0 under-voltage now, 1 clock capped, 2 throttled, 3 soft temperature
limit; 16-19 the same since boot (vcgencmd's manual page).

Read through the mailbox where the user may (group video), which takes microseconds; else by starting vcgencmd, which
takes milliseconds. A kernel driver (raspberrypi-hwmon) clears the bits since boot now and then: the current ones have
to be read as well.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import struct
import subprocess

MAILBOX = "/dev/vcio"
# _IOWR(100, 0, char *), which contains the size of a pointer.
_REQUEST = 0xC0006400 | struct.calcsize("P") << 16
_GET_THROTTLED = 0x00030046
_ANSWERED = 0x80000000
PROGRAM_TIMEOUT_S = 2.0


def throttled() -> int | None:
    """The bits; None without such firmware, or without an answer."""
    bits = _by_mailbox()
    return _by_program() if bits is None else bits


def _by_mailbox() -> int | None:
    """The property interface: size, code, {tag, bytes of value, code, value}, end; one 32-bit number each."""
    message = bytearray(struct.pack("=7I", 28, 0, _GET_THROTTLED, 4, 0, 0, 0))
    try:
        handle = os.open(MAILBOX, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(handle, _REQUEST, message, True)
        finally:
            os.close(handle)
    except OSError:
        return None
    _size, code, _tag, _bytes, answered, bits, _end = struct.unpack("=7I", message)
    return bits if code == _ANSWERED and answered & _ANSWERED else None


def _by_program() -> int | None:
    if not _has_program(os.environ.get("PATH")):
        return None
    try:
        answer = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=True
        )
        return int(answer.stdout.strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


@functools.lru_cache(maxsize=1)
def _has_program(path: str | None) -> bool:
    """Searched for once: the bits are read every second."""
    return shutil.which("vcgencmd", path=path) is not None
