"""LiteRT in a browser (WebAssembly). It runs in the page of device_agents/web; this file is for the host."""

from __future__ import annotations

from . import litert, onnxruntime_web

SUFFIXES = (".tflite",)
WHEELS: dict[str, str] = {}
TINY_MODEL = litert.TINY_MODEL
facts = onnxruntime_web.facts
load = onnxruntime_web.load
