"""QEMU's command line: the one place that defines the hardware of the emulated computer."""

from __future__ import annotations

from pathlib import Path

from edgebench.device.emulator.boards import EmulatedBoard
from edgebench.device.emulator.files import BoardImage
from edgebench.device.emulator.host_tools import last_lines, run_tool

SNAPSHOT = "ready"
NETWORK = "net0"
# Files in the folder of a running machine.
DISK, CONSOLE, MONITOR, PID = "disk.qcow2", "console.log", "monitor", "pid"

_QEMU = "qemu-system-aarch64"
_MACHINE = "virt,gic-version=3"
_KERNEL_ARGUMENTS = "console=ttyAMA0 quiet loglevel=4 net.ifnames=0 mitigations=off nokaslr panic=-1"


def version() -> str:
    return run_tool(_QEMU, "--version", remedy="Reinstall qemu-system-arm").stdout.splitlines()[0]


def make_device_tree(board: EmulatedBoard, path: Path) -> None:
    """QEMU's own tree with the name of the board, still recognisable as QEMU's."""
    # Only the name, not the path: commas in it would end the option.
    dump = ["-M", f"{_MACHINE},dumpdtb={path.name}", "-nodefaults", "-display", "none"]
    run_tool(_QEMU, *dump, *_processor(board), cwd=path.parent, remedy="Reinstall qemu-system-arm")
    for name, values in (("model", [board.model]), ("compatible", [*board.compatible, "linux,dummy-virt"])):
        run_tool("fdtput", "-t", "s", path, "/", name, *values, remedy="Reinstall device-tree-compiler")


def launch(board: EmulatedBoard, image: BoardImage, run: Path, *, resume: bool) -> None:
    """Start QEMU in the background in `run`, which contains its disk; returns once it runs.

    resume: from the snapshot in the disk; else boot.
    """
    command = [
        *("-M", _MACHINE),
        *_processor(board),
        # One host thread for all cores, and guest time is 1 ns for each instruction: times repeat,
        # whatever this computer does. Without sleep=on the clock of an idle board would run away.
        *("-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0,sleep=on"),
        *("-dtb", str(image.device_tree), "-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
        *("-append", _KERNEL_ARGUMENTS),
        *("-global", "virtio-mmio.force-legacy=false"),
        *("-drive", f"if=none,id=disk0,file={DISK},format=qcow2,cache=unsafe,discard=unmap"),
        *("-device", "virtio-blk-device,drive=disk0"),
        # restrict=on: only one port leads in, and nothing leads out.
        *("-netdev", f"user,id={NETWORK},restrict=on,hostfwd=tcp:127.0.0.1:0-:22"),
        *("-device", f"virtio-net-device,netdev={NETWORK}"),
        *("-device", "virtio-rng-device"),
        *("-nodefaults", "-display", "none", "-no-reboot"),
        *("-serial", f"file:{CONSOLE}"),
        *("-qmp", f"unix:{MONITOR},server=on,wait=off"),
        *("-pidfile", str(run / PID), "-daemonize"),
        *(("-loadvm", SNAPSHOT) if resume else ()),
    ]
    remedy = f"If this happens again, delete {image.folder}: the image is then rebuilt"
    run_tool(_QEMU, *command, cwd=run, remedy=remedy)


def console_tail(run: Path) -> str:
    console = run / CONSOLE
    text = console.read_text(errors="replace") if console.exists() else ""
    return last_lines(text, 5) or "its console is empty"


def create_disk(disk: Path, *, on_top_of: Path) -> None:
    """A disk that starts as `on_top_of` and stores changes separately."""
    create = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(on_top_of), str(disk)]
    run_tool("qemu-img", *create, remedy="Is the disk full?")


def rebase_disk(disk: Path, *, on_top_of: Path) -> None:
    """Set the lower disk's current path: the cache may have been moved or restored elsewhere."""
    rebase = ["rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", str(on_top_of), str(disk)]
    run_tool("qemu-img", *rebase, remedy="Is the disk full?")


def _processor(board: EmulatedBoard) -> list[str]:
    return ["-cpu", board.cpu, "-smp", str(board.cpus), "-m", f"{board.memory_mib}M"]
