"""ONNX Runtime in a browser (WebAssembly). It runs in the page of device_agents/web; the host asks here."""

from . import onnxruntime

SUFFIX = ".onnx"
WHEELS = {}
TINY_MODEL = onnxruntime.TINY_MODEL


def facts(options):
    raise RuntimeError("it runs in a browser only: a target with `transport: web` has one")


def load(path, options):
    return facts(options)
