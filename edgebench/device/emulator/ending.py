"""`python -m edgebench.device.emulator.ending RUN [private]`: switches the machine in RUN off when its starter is gone.

QEMU is a daemon and has no parent to end with. Standard input is held by the process that started it: if that is closed
without a word, it was killed.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from edgebench.device.emulator.machine import EmulatedMachine

# So soon after it was started QEMU has said which process it is.
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
