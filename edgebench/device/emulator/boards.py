"""The boards that can be emulated, and how they differ."""

from __future__ import annotations

from dataclasses import dataclass

from edgebench.errors import UnknownName


@dataclass(frozen=True)
class EmulatedBoard:
    name: str
    cpu: str
    """QEMU's name for the core; it decides which instructions exist (the A72 has no dot product)."""
    model: str
    """/proc/device-tree/model of the real board."""
    compatible: tuple[str, ...]
    """Those of the real board; `linux,dummy-virt` is appended, so that the emulation is recognisable."""
    revision: str
    """The Raspberry Pi revision code in /proc/cpuinfo, for this amount of memory."""
    clock_khz: tuple[int, int]
    """Lowest and highest clock of the made-up cpufreq."""
    suite: str = "bookworm"
    memory_mib: int = 2048
    cpus: int = 4


_KNOWN = (
    EmulatedBoard(
        name="rpi4",
        cpu="cortex-a72",
        model="Raspberry Pi 4 Model B Rev 1.4",
        compatible=("raspberrypi,4-model-b", "brcm,bcm2711"),
        revision="b03114",
        clock_khz=(600_000, 1_800_000),
    ),
    EmulatedBoard(
        name="rpi5",
        cpu="cortex-a76",
        model="Raspberry Pi 5 Model B Rev 1.0",
        compatible=("raspberrypi,5-model-b", "brcm,bcm2712"),
        revision="b04170",
        clock_khz=(1_500_000, 2_400_000),
    ),
)

BOARDS = {board.name: board for board in _KNOWN}


def find_board(name: str) -> EmulatedBoard:
    try:
        return BOARDS[name]
    except KeyError:
        raise UnknownName("emulated board", name, BOARDS) from None
