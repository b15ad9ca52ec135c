"""ONNX Runtime in a browser, on the GPU (WebGPU). It runs in the page of device_agents/web; this is for the host."""

from __future__ import annotations

from . import onnxruntime, onnxruntime_web

SUFFIXES = (".onnx",)
WHEELS: dict[str, str] = {}
TINY_MODEL = onnxruntime.TINY_MODEL
facts = onnxruntime_web.facts
load = onnxruntime_web.load
