"""ONNX Runtime's execution providers: what computes, by the names that targets.yaml has for them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

NAMES = {
    "cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider", "acl": "ACLExecutionProvider", "qnn": "QNNExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}  # fmt: skip
_ON_GPU = ("cuda", "tensorrt")
_WHERE = {
    "cuda": "pip install onnxruntime-gpu (NVIDIA's own build on a Jetson)",
    "tensorrt": "pip install onnxruntime-gpu, and TensorRT (NVIDIA's own build on a Jetson)",
    "xnnpack": "no package has it: build onnxruntime with --use_xnnpack",
    "acl": "no package has it: build onnxruntime with --use_acl",
    "qnn": "pip install onnxruntime-qnn",
    "openvino": "pip install onnxruntime-openvino",
}


def chosen(options: dict[str, Any]) -> str:
    """The target's provider; without one, that of its device. Raises RuntimeError if they do not fit."""
    name, device = options.get("provider") or options["device"], options["device"]
    if name not in NAMES or (name in _ON_GPU) != (device == "cuda"):
        raise RuntimeError("onnxruntime does not compute on device '%s' with provider '%s'" % (device, name))
    return str(name)


def require(options: dict[str, Any], available: Sequence[str]) -> None:
    """Raises RuntimeError, with what is there and which package has the provider, unless this build has it."""
    name = chosen(options)
    if NAMES[name] not in available:
        there = ", ".join(one.replace("ExecutionProvider", "") for one in available)
        raise RuntimeError("this onnxruntime has no %s, only %s; %s" % (NAMES[name], there, _WHERE[name]))


def settings(options: dict[str, Any]) -> dict[str, str]:
    """Of the provider: a file is computed in the precision that it was made in, unless `precision` is fast.

    TF32 and half precision would round fp32 numbers to 10 bits.
    """
    name, fast = chosen(options), options.get("precision") == "fast"
    if name == "cuda":
        return {"use_tf32": "1" if fast else "0"}
    if name == "tensorrt":
        os.environ["NVIDIA_TF32_OVERRIDE"] = "1" if fast else "0"  # it has no option of its own for that
        return {"trt_fp16_enable": "1" if fast else "0"}
    if name == "xnnpack":
        return {"intra_op_num_threads": str(options["threads"])}
    if name == "acl":
        return {"enable_fast_math": "true" if fast else "false"}
    if name == "qnn":
        return {"backend_type": "htp", "enable_htp_fp16_precision": "1" if fast else "0"}
    if name == "openvino":
        threads = {"device_type": "CPU", "num_of_threads": str(options["threads"])}
        return threads if fast else {**threads, "precision": "FP32"}
    return {}


def has_own_threads(options: dict[str, Any]) -> bool:
    """Whether the session's own pool would only be in the way."""
    return chosen(options) in ("xnnpack", "openvino", "qnn")
