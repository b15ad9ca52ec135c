"""As much of rknn-toolkit-lite2 as docs/examples/runtimes/rknn.py uses, with the signatures of 2.5.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class RKNNLite:
    NPU_CORE_0 = 1

    def __init__(self, verbose: bool = False, verbose_file: str | None = None) -> None:
        self._loaded = False

    def load_rknn(self, path: str, key_path: str | None = None) -> int:
        self._loaded = Path(path).read_bytes().startswith(b"RKNN")
        return 0 if self._loaded else -1

    def init_runtime(
        self, target: str | None = None, device_id: str | None = None, async_mode: bool = False, core_mask: int = 0
    ) -> int:
        return 0 if self._loaded and core_mask == self.NPU_CORE_0 else -1

    def inference(self, inputs: list[Any], data_type: Any = None, data_format: Any = None) -> list[Any]:
        assert data_format == ["nhwc"] * len(inputs)
        return [1.0 - one.astype("float32") for one in inputs]

    def get_sdk_version(self) -> str:
        return "API: fake, DRV: fake"
