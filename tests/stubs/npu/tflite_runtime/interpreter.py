"""LiteRT in the place of tflite-runtime, and an Edge TPU that takes everything, or nothing."""

from __future__ import annotations

import os
from typing import Any

from ai_edge_litert.interpreter import Interpreter as _Interpreter


def load_delegate(library: str, options: dict[str, Any] | None = None) -> str:
    if os.environ.get("FAKE_NPU_ABSENT"):
        raise ValueError(f"Failed to load delegate from {library}")
    return library


class Interpreter(_Interpreter):
    def __init__(self, *, experimental_delegates: list[str], **settings: Any) -> None:
        assert experimental_delegates == ["libedgetpu.so.1"]
        super().__init__(**settings)

    def _get_ops_details(self) -> list[dict[str, Any]]:
        taken = "CONV_2D" if os.environ.get("FAKE_NPU_UNCOMPILED") else "EdgeTpuDelegateForCustomOp"
        return [{"op_name": taken}]
