"""A Python without a network, in folders of its own: what it leaves behind is seen, and what it dials ends it.

python -m tests.support.watched ARGUMENTS...     as `python ARGUMENTS...`, with what it starts as well
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

_PLACES = ("home", "tmp", "here")
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _IF_EQUAL, _ANSWER = 0x20, 0x15, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_CALL, _FAMILY = 0, 16  # where the kernel puts the number of the call and its first argument
_SOCKET = {"x86_64": 41, "aarch64": 198}


@dataclass(frozen=True)
class Watched:
    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "python")

    def left_behind(self) -> list[str]:
        return sorted(str(one.relative_to(self.folder)) for name in _PLACES for one in (self.folder / name).rglob("*"))


def watched(folder: Path, patch: pytest.MonkeyPatch) -> Watched:
    """From now on HOME, TMPDIR and the current folder are empty ones."""
    if platform.machine() not in _SOCKET:
        pytest.skip("the number of the system call is not known here")
    for name in _PLACES:
        (folder / name).mkdir(parents=True)
    patch.setenv("HOME", str(folder / "home"))
    patch.setenv("TMPDIR", str(folder / "tmp"))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        patch.delenv(name, raising=False)
    patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    patch.setenv("OMP_WAIT_POLICY", "passive")  # spinning threads would take the processors of other tests
    patch.chdir(folder / "here")
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {__name__} "$@"\n')
    script.chmod(0o755)
    return Watched(folder)


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16), ("if_so", ctypes.c_uint8), ("if_not", ctypes.c_uint8), ("value", ctypes.c_uint32),
    )  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def _forbid_sockets() -> None:
    """From now on the kernel ends this process, and all that it starts, by SIGSYS at a socket to another machine."""
    lines = (_Instruction * 6)(
        (_LOAD, 0, 0, _CALL),
        (_IF_EQUAL, 0, 3, _SOCKET[platform.machine()]),
        (_LOAD, 0, 0, _FAMILY),
        (_IF_EQUAL, 1, 0, socket.AF_UNIX),
        (_ANSWER, 0, 0, _KILL),
        (_ANSWER, 0, 0, _ALLOW),
    )
    library = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(lines), lines)
    if library.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no system call filter")


if __name__ == "__main__":
    _forbid_sockets()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
