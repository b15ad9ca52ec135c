"""Hailo-8 and Hailo-10 by HailoRT's Python package, which the board has by `apt install hailo-all`.

Written against HailoRT 4.x and tried with a fake of its library only: UNTESTED on hardware.
"""

from __future__ import annotations

from .litert import installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = (".hef",)
WHEELS: dict[str, str] = {}  # comes with the driver, which must have the same version
TINY_MODEL = ""

_TIMEOUT_MS = 10_000


def facts(options: dict[str, Any]) -> dict[str, str]:
    from hailo_platform import Device

    chips = Device.scan()
    if not chips:
        raise RuntimeError("there is no Hailo chip here; is its driver loaded (lspci, hailortcli scan)?")
    return {"version": installed_version("hailort"), "chips": str(len(chips))}


def load(path: str, options: dict[str, Any]) -> _HailoNetwork:
    return _HailoNetwork(path)


class _HailoNetwork:
    """The chip runs all of a .hef file or none of it: there is nothing that could fall back to the processor."""

    def __init__(self, path: str) -> None:
        import numpy
        from hailo_platform import FormatType, VDevice

        self._numpy = numpy
        self._device = VDevice(VDevice.create_params())
        self._network = self._device.create_infer_model(path)
        for output in self._network.outputs:
            output.set_format_type(FormatType.FLOAT32)  # HailoRT dequantises
        self._configured = self._network.configure()
        # Images are bytes: the compiler put the preprocessing into the file.
        self._specs = [
            {"name": one.name, "shape": [1, *one.shape], "dtype": "uint8", "bytes": int(numpy.prod(one.shape))}
            for one in self._network.inputs
        ]
        self._fed = [numpy.zeros(one.shape, numpy.uint8) for one in self._network.inputs]
        self._answers = {one.name: numpy.zeros(one.shape, numpy.float32) for one in self._network.outputs}
        self._bindings = self._configured.create_bindings(output_buffers=self._answers)
        for spec, held in zip(self._specs, self._fed):
            self._bindings.input(spec["name"]).set_buffer(held)

    def invoke(self) -> None:
        self._configured.run([self._bindings], _TIMEOUT_MS)

    def inputs(self) -> list[dict[str, Any]]:
        return self._specs

    def feed(self, index: int, data: bytes) -> None:
        held = self._fed[index]
        held[...] = self._numpy.frombuffer(data, held.dtype).reshape(held.shape)

    def arrays(self) -> list[Any]:
        return [one[None].copy() for one in self._answers.values()]

    def notes(self) -> dict[str, Any]:
        return {"precision": {"reported": {"int8": 1}}}
