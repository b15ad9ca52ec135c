"""How much of an NVIDIA GPU's memory a process holds, as the driver counts it: context, weights and arena together.

Source: NVIDIA's NVML reference, nvmlDeviceGetComputeRunningProcesses_v3. In a container the driver knows the process by
another number, and some systems do not report it: the size is then absent.
"""

from __future__ import annotations

import ctypes

from .meters import Unavailable, nvml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_AVAILABLE = ctypes.c_ulonglong(-1).value
INSUFFICIENT_SIZE = 7


class ProcessInfo(ctypes.Structure):
    """nvmlProcessInfo_v2_t"""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("usedGpuMemory", ctypes.c_ulonglong),
        ("gpuInstanceId", ctypes.c_uint),
        ("computeInstanceId", ctypes.c_uint),
    ]


def process_bytes(pid: int) -> int | None:
    """Over all GPUs; None where the driver does not list this process."""
    try:
        library = nvml._load()
        if library.nvmlInit_v2():
            return None
        held = [used for device in _devices(library) for found, used in _processes(library, device) if found == pid]
    except (Unavailable, AttributeError):  # an old driver lacks the function
        return None
    known = [used for used in held if used != NOT_AVAILABLE]
    return sum(known) if known else None


def _devices(library: ctypes.CDLL) -> Iterator[ctypes.c_void_p]:
    count = ctypes.c_uint()
    library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    for index in range(count.value):
        device = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)) == 0:
            yield device


def _processes(library: ctypes.CDLL, device: ctypes.c_void_p) -> list[tuple[int, int]]:
    """(pid, bytes) of every process that computes on a GPU."""
    count = ctypes.c_uint(64)
    while True:
        infos = (ProcessInfo * count.value)()
        code = library.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), infos)
        if code != INSUFFICIENT_SIZE:
            break
    return [(info.pid, info.usedGpuMemory) for info in infos[: count.value]] if code == 0 else []
