"""LiteRT in a browser (WebAssembly). It runs in the page of device_agents/web; the host asks here."""

from . import litert, onnxruntime_web

SUFFIX = ".tflite"
WHEELS = {}
TINY_MODEL = litert.TINY_MODEL
facts = onnxruntime_web.facts
load = onnxruntime_web.load
