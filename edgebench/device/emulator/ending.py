"""`python -m edgebench.device.emulator.ending RUN [private]`: stops the machine in RUN if its starter is killed.

QEMU is a daemon, so it does not end with its parent. The process that started it holds our standard input: if that is
closed without a word, the process was killed.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from edgebench.device.emulator.machine import EmulatedMachine

# Within this time after its start QEMU has written its pid file.
_APPEARS_S = 2.0


def main(run: Path, is_private: bool) -> int:
    if sys.stdin.buffer.read():
        return 0
    machine = EmulatedMachine(run.name, run)
    give_up = time.monotonic() + _APPEARS_S
    while not machine.is_running() and time.monotonic() < give_up:
        time.sleep(0.05)
    machine.stop()
    if is_private:
        shutil.rmtree(run, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:] == ["private"]))
