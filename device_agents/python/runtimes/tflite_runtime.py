"""tflite-runtime, the discontinued predecessor of LiteRT, for boards where LiteRT has no wheel (32-bit ARM, old ones).

2.14 dies with numpy 2, and on x86 it runs INT8 without XNNPACK, many times slower than LiteRT.
"""

from __future__ import annotations

from .litert import TINY_MODEL as TINY_MODEL
from .litert import InterpreterSession, check_device, installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = (".tflite",)
WHEELS = {"tflite-runtime": "", "numpy": "<2"}


def facts(options: dict[str, Any]) -> dict[str, str]:
    import tflite_runtime.interpreter  # noqa: F401

    check_device(options)
    return {"version": installed_version("tflite-runtime")}


def load(path: str, options: dict[str, Any]) -> InterpreterSession:
    from tflite_runtime.interpreter import Interpreter

    return InterpreterSession(Interpreter, path, options)
