"""As much of HailoRT's Python package as docs/examples/runtimes/hailo.py uses: a network that answers 1 - x."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FormatType = SimpleNamespace(FLOAT32="float32", UINT8="uint8")


class Device:
    @staticmethod
    def scan() -> list[str]:
        return [] if os.environ.get("FAKE_NPU_ABSENT") else ["0000:01:00.0"]


class _Stream:
    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.shape, self.kind = name, shape, "uint8"
        self.buffer: Any = None

    def set_format_type(self, kind: str) -> None:
        self.kind = kind

    def set_buffer(self, buffer: Any) -> None:
        assert buffer.shape == self.shape
        self.buffer = buffer


class _Configured:
    def __init__(self, network: _Network) -> None:
        self._network = network

    def create_bindings(self, output_buffers: dict[str, Any]) -> Any:
        (given,), (answer,) = self._network.inputs, self._network.outputs
        answer.buffer = output_buffers[answer.name]
        return SimpleNamespace(input=lambda name: given, output=lambda name: answer)

    def run(self, bindings: list[Any], timeout: int) -> None:
        (given,), (answer,) = self._network.inputs, self._network.outputs
        assert answer.kind == FormatType.FLOAT32 and timeout > 0
        answer.buffer[...] = 1.0 - given.buffer


class _Network:
    def __init__(self) -> None:
        self.inputs = [_Stream("net/input", (4, 4, 3))]
        self.outputs = [_Stream("net/output", (4, 4, 3))]

    def configure(self) -> _Configured:
        return _Configured(self)


class VDevice:
    def __init__(self, params: object) -> None:
        pass

    @staticmethod
    def create_params() -> object:
        return object()

    def create_infer_model(self, path: str) -> _Network:
        if not Path(path).read_bytes().startswith(b"\x01HEF"):
            raise RuntimeError("HAILO_INVALID_HEF(26)")
        return _Network()
