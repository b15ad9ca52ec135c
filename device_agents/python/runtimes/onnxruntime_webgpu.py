"""ONNX Runtime in a browser, on the GPU (WebGPU). It runs in the page of device_agents/web; the host asks here."""

from . import onnxruntime, onnxruntime_web

SUFFIX = ".onnx"
WHEELS = {}
TINY_MODEL = onnxruntime.TINY_MODEL
facts = onnxruntime_web.facts
load = onnxruntime_web.load
