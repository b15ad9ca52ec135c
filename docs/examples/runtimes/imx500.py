"""Sony's IMX500 (Raspberry Pi AI Camera) by picamera2: the network runs in the camera, on what the camera sees.

What is timed is what the camera says that its network took (KPI of each frame), not the wait for a frame. Nothing can
be fed, so answers are not compared. Written against picamera2 of 2025 and tried with a fake of it only: UNTESTED on
hardware.
"""

from __future__ import annotations

from .litert import installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = (".rpk",)
WHEELS: dict[str, str] = {}  # apt install imx500-all python3-picamera2
TINY_MODEL = ""
ANSWERS = False  # no golden inputs, no test set

_spent_ns = 0


def clock_ns() -> int:
    """The time that the camera has computed for."""
    return _spent_ns


def facts(options: dict[str, Any]) -> dict[str, str]:
    import picamera2  # noqa: F401

    return {"version": installed_version("picamera2")}


def load(path: str, options: dict[str, Any]) -> _CameraNetwork:
    return _CameraNetwork(path)


class _CameraNetwork:
    def __init__(self, path: str) -> None:
        from picamera2 import Picamera2
        from picamera2.devices import IMX500

        self._network = IMX500(path)  # sends it to the camera, which may take minutes
        self._camera = Picamera2()
        self._camera.start(self._camera.create_preview_configuration(), show_preview=False)
        self._seen: dict[str, Any] = {}

    def invoke(self) -> None:
        """The next frame that has an answer."""
        global _spent_ns
        while True:
            self._seen = self._camera.capture_metadata()
            times = self._network.get_kpi_info(self._seen)
            if times is not None:
                _spent_ns += int(sum(times) * 1e6)  # network and its post-processing, in ms
                return

    def inputs(self) -> list[dict[str, Any]]:
        return []

    def feed(self, index: int, data: bytes) -> None:
        raise RuntimeError("a camera's network cannot be fed")

    def arrays(self) -> list[Any]:
        return self._network.get_outputs(self._seen, add_batch=True) or []

    def notes(self) -> dict[str, Any]:
        return {"timed": "by the camera: network and post-processing, without sensor and transfer"}
