"""An emulated Raspberry Pi: ARM64 Debian on an emulated Cortex-A72 or A76, behind a real sshd.

    machine = ensure_running("rpi4")        # ssh -F <machine.ssh_config> edgebench-rpi4

It serves to test the whole way to a board and back without a board (keys, transfers, the agent, its runtimes,
lost links, full memory), and gives ARM's numerical results bit for bit.

Its times say nothing about a real board. Guest time is one nanosecond for each instruction executed, so that
a measurement repeats to about 1 % whatever else this computer does, but caches, DRAM, clocks and heat are not
modelled. Temperature, clock and throttling bits are made up and can be set by tests (`guest/fakepi`). The
machine stays recognisable: its device tree's `compatible` ends in `linux,dummy-virt`.

    packages ──> tree ──> image ──boot once──> snapshot ──1-2 s──> machine, machine, ...
    (Debian)    (image.build_image)         (machine.take_snapshot)  (ensure_running, borrowed)
"""

from __future__ import annotations

from edgebench.device.emulator.boards import BOARDS, EmulatedBoard
from edgebench.device.emulator.machine import EmulatedMachine, borrowed, ensure_running, find, start

__all__ = ["BOARDS", "EmulatedBoard", "EmulatedMachine", "borrowed", "ensure_running", "find", "start"]
