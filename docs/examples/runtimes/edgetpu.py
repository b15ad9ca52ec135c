"""Coral's Edge TPU: .tflite files of edgetpu_compiler, run by tflite-runtime with the delegate in libedgetpu.

Written against libedgetpu 16 and tried with a fake of it only: UNTESTED on hardware.
"""

from __future__ import annotations

import functools

from . import Fallback
from .litert import InterpreterSession, installed_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIXES = (".tflite",)
WHEELS = {"tflite-runtime": "", "numpy": "<2"}
TINY_MODEL = ""

_LIBRARY = "libedgetpu.so.1"  # apt install libedgetpu1-std
_ON_THE_CHIP = "EdgeTpuDelegateForCustomOp"


def facts(options: dict[str, Any]) -> dict[str, str]:
    _delegate()
    return {"version": installed_version("tflite-runtime"), "delegate": _LIBRARY}


def load(path: str, options: dict[str, Any]) -> _EdgeTpuNetwork:
    return _EdgeTpuNetwork(path, options)


def _delegate() -> Any:
    from tflite_runtime.interpreter import load_delegate

    try:
        return load_delegate(_LIBRARY)
    except (ValueError, OSError) as error:
        raise RuntimeError(
            "the Edge TPU cannot be opened (%s); is it plugged in, libedgetpu installed?" % error
        ) from None


class _EdgeTpuNetwork(InterpreterSession):
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        from tflite_runtime.interpreter import Interpreter

        made = functools.partial(Interpreter, experimental_delegates=[_delegate()])
        super().__init__(made, path, options)
        kinds = [one["op_name"] for one in self._interpreter._get_ops_details()]
        others = sorted({one for one in kinds if one not in (_ON_THE_CHIP, "DELEGATE")})
        if others:
            raise Fallback("the Edge TPU does not take %s: compile the file with edgetpu_compiler" % ", ".join(others))

    def notes(self) -> dict[str, Any]:
        return {**super().notes(), "delegate": _LIBRARY}
