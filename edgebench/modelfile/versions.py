"""Which onnxruntime loads which versions of ONNX, as far as tested."""

from __future__ import annotations

# onnxruntime, and the newest opset, IR version and ai.onnx.ml opset that it loaded.
_SEEN_TO_LOAD = (("1.16", 18, 9, 3), ("1.17", 20, 9, 4), ("1.18", 21, 10, 5), ("1.23", 23, 10, 5), ("1.31", 25, 13, 5))


def oldest_onnxruntime(opset: int, ir_version: int, ml_opset: int = 0) -> str:
    """Judging by the versions alone: a runtime may still lack one of the operators."""
    for version, newest_opset, newest_ir, newest_ml in _SEEN_TO_LOAD:
        if opset <= newest_opset and ir_version <= newest_ir and ml_opset <= newest_ml:
            return f"onnxruntime {version}"
    return f"newer than onnxruntime {_SEEN_TO_LOAD[-1][0]}: opset or IR version is too new"
