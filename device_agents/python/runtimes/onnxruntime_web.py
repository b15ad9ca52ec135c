"""ONNX Runtime in a browser (WebAssembly). It runs in the page of device_agents/web; the host asks here."""

from __future__ import annotations

from . import onnxruntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

SUFFIX = ".onnx"
WHEELS: dict[str, str] = {}
TINY_MODEL = onnxruntime.TINY_MODEL


def facts(options: dict[str, Any]) -> NoReturn:
    raise RuntimeError("it runs in a browser only: a target with `transport: web` has one")


def load(path: str, options: dict[str, Any]) -> NoReturn:
    facts(options)
