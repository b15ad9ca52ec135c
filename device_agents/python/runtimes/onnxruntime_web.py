"""ONNX Runtime in a browser (WebAssembly). It runs in the page of device_agents/web; this file is for the host."""

from __future__ import annotations

from . import onnxruntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

SUFFIXES = (".onnx",)
WHEELS: dict[str, str] = {}
TINY_MODEL = onnxruntime.TINY_MODEL


def facts(options: dict[str, Any]) -> NoReturn:
    raise RuntimeError("it runs in a browser only: use a target with `transport: web`")


def load(path: str, options: dict[str, Any]) -> NoReturn:
    facts(options)
