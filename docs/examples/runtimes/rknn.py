"""Rockchip's NPU (RK3588, RK3566, ...) by rknn-toolkit-lite2, which `deploy` brings: PyPI has its wheels for ARM64.

The board needs librknnrt.so of its system image. Written against 2.5.0 and tried with a fake of its library only:
UNTESTED on hardware.
"""

from __future__ import annotations

from pathlib import Path

from .litert import installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = (".rknn",)
WHEELS = {"rknn-toolkit-lite2": "", "numpy": "", "psutil": "", "ruamel.yaml": ""}
# No .rknn file is small and for every chip: what facts() looks at has to do.
TINY_MODEL = ""

_DRIVER = Path("/sys/kernel/debug/rknpu/version")


def facts(options: dict[str, Any]) -> dict[str, str]:
    from rknnlite.api import RKNNLite  # noqa: F401

    found = {"version": installed_version("rknn-toolkit-lite2")}
    if _DRIVER.is_file():
        found["driver"] = _DRIVER.read_text().strip()
    return found


def load(path: str, options: dict[str, Any]) -> _RknnNetwork:
    return _RknnNetwork(path, options)


class _RknnNetwork:
    """All on the NPU, except operators that the compiler left to the processor, which the library does not report."""

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        import numpy
        from rknnlite.api import RKNNLite

        self._numpy = numpy
        self._network = RKNNLite()
        if self._network.load_rknn(path):
            raise ValueError("rknn-toolkit-lite2 cannot load it: was it made for this chip and version?")
        if self._network.init_runtime(core_mask=RKNNLite.NPU_CORE_0):
            raise RuntimeError("the NPU cannot be opened; does /dev/dri/renderD129 exist, and may this user read it?")
        shapes = options.get("shapes", {})
        if not shapes:
            raise ValueError("the library does not say what sizes its inputs have: give them, --shape 1x224x224x3")
        self._specs = [
            {"name": name or "input", "shape": list(shape), "dtype": "uint8", "bytes": int(numpy.prod(shape))}
            for name, shape in shapes.items()
        ]
        self._fed = [numpy.zeros(one["shape"], numpy.uint8) for one in self._specs]
        self._answers: list[Any] = []

    def invoke(self) -> None:
        self._answers = self._network.inference(inputs=self._fed, data_format=["nhwc"] * len(self._fed))
        if self._answers is None:
            raise RuntimeError("the NPU stopped without an answer; its log says why")

    def inputs(self) -> list[dict[str, Any]]:
        return self._specs

    def feed(self, index: int, data: bytes) -> None:
        held = self._fed[index]
        held[...] = self._numpy.frombuffer(data, held.dtype).reshape(held.shape)

    def arrays(self) -> list[Any]:
        return list(self._answers)

    def notes(self) -> dict[str, Any]:
        return {"sdk": self._network.get_sdk_version(), "cores": "NPU_CORE_0"}
