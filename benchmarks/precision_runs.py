"""Networks run in a known precision, natively by a runtime or emulated, and what a device would send of the answers."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.precision_networks import RandomNetwork

Outputs = list[Any]
# Bits that are cleared after the leading one and so many others.
_TF32_DROPPED = 13
# A layer that is rounded to halves changes answers by more than this.
_CHANGES_NOTHING = 1e-6


@dataclass(frozen=True)
class PrecisionRun:
    """way: what computed it. For each output the answers, and errors as in a record's GoldenOutput."""

    network: str
    way: str
    precision: str
    file: str
    reference_errors: tuple[float, ...]
    exporter_errors: tuple[float, ...]
    answers: tuple[Any, ...]


def runs(network: RandomNetwork, *, every: bool = True) -> Iterator[PrecisionRun]:
    """One for each way that this network can be computed in. every: the slow ones too (INT8, ncnn)."""
    import torch

    with torch.inference_mode():
        reference = _arrays(network.module(network.inputs))
    with tempfile.TemporaryDirectory(prefix="edgebench-precision-") as folder:
        onnx_file = Path(folder) / "network.onnx"
        _export(network, onnx_file)
        host = _onnxruntime(onnx_file, network)
        ways = {**_WAYS, **(_SLOW_WAYS if every else {})}
        for (way, precision, file), run in ways.items():
            with contextlib.suppress(_CannotRun):
                answers = run(network, onnx_file, Path(folder))
                own = answers if file != "fp32" else host if "torch" not in way else reference
                yield PrecisionRun(
                    network.about, way, precision, file, _errors(answers, reference), _errors(own, reference),
                    tuple(answers),
                )  # fmt: skip


class _CannotRun(Exception):
    """This network, in this way."""


def _errors(own: Outputs, reference: Outputs) -> tuple[float, ...]:
    return tuple(_rms(a - b) / _rms(b) for a, b in zip(own, reference, strict=True))


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values.astype("float64")))))


def _arrays(answer: Any) -> Outputs:
    return [one.float().numpy() for one in (answer if isinstance(answer, tuple) else (answer,))]


def _export(network: RandomNetwork, path: Path) -> None:
    import torch

    torch.onnx.export(
        network.module, (network.inputs[:1],), str(path), input_names=["input"], dynamo=False,
        dynamic_axes={"input": {0: "batch"}},
    )  # fmt: skip


def _onnxruntime(path: Path, network: RandomNetwork) -> Outputs:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"input": network.inputs.numpy()}))


def _in_onnxruntime(network: RandomNetwork, path: Path, folder: Path) -> Outputs:
    return _onnxruntime(path, network)


def _in_torch(network: RandomNetwork, path: Path, folder: Path, *, dtype: str) -> Outputs:
    """fp32: with other kernels than the reference's."""
    import copy

    import torch

    module = copy.deepcopy(network.module).to(getattr(torch, dtype))
    fed = network.inputs.to(getattr(torch, dtype))
    with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=dtype != "float32"):
        return _arrays(module(fed))


def _in_openvino(network: RandomNetwork, path: Path, folder: Path, *, hint: str) -> Outputs:
    import openvino

    core = openvino.Core()
    model = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1})
    if hint != "f32" and model.get_property("INFERENCE_PRECISION_HINT").get_type_name() != hint:
        raise _CannotRun
    found = model(network.inputs.numpy())
    return [np.array(found[port]) for port in model.outputs]


def _in_ncnn(network: RandomNetwork, path: Path, folder: Path, *, half: bool) -> Outputs:
    import ncnn
    import pnnx
    import torch

    if len(network.inputs.shape) != 4:
        raise _CannotRun
    traced = folder / "network.pt"
    if not (folder / "network.ncnn.param").exists():
        torch.jit.trace(network.module, network.inputs[:1]).save(str(traced))
        with contextlib.suppress(Exception):
            pnnx.convert(str(traced), inputs=[network.inputs[:1]], fp16=False)
    if not (folder / "network.ncnn.param").exists():
        raise _CannotRun
    net = ncnn.Net()
    net.opt.num_threads = 1
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, name, half)
    net.opt.use_bf16_storage = False
    net.load_param(str(folder / "network.ncnn.param"))
    net.load_model(str(folder / "network.ncnn.bin"))
    found: list[list[Any]] = [[] for _ in net.output_names()]
    for one in network.inputs.numpy():
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(np.ascontiguousarray(one)))
        for place, name in enumerate(net.output_names()):
            found[place].append(np.array(extractor.extract(name)[1]))
    answers = [np.stack(one) for one in found]
    if half and max(_errors(answers, _in_ncnn(network, path, folder, half=False))) < _CHANGES_NOTHING:
        raise _CannotRun  # no layer that ncnn computes in halves on this processor
    return answers


def _quantised(network: RandomNetwork, path: Path, folder: Path, *, per_channel: bool) -> Outputs:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter([{"input": network.inputs.numpy()}])

        def get_next(self) -> Any:
            return next(self.left, None)

    out = folder / "int8.onnx"
    quantize_static(
        str(path), str(out), Samples(), quant_format=QuantFormat.QDQ, per_channel=per_channel,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return _onnxruntime(out, network)


def _emulated(
    network: RandomNetwork, path: Path, folder: Path, *, precision: str, weights_only: bool = False
) -> Outputs:
    """Each operation in float32, and what it takes (tf32: products only) or gives is rounded."""
    import copy

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    rounded = _ROUNDED[precision]
    products = {"convolution", "addmm", "mm", "bmm", "baddbmm", "_convolution"}

    class Rounding(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            if precision == "tf32":
                if name in products:
                    args = torch.utils._pytree.tree_map_only(torch.Tensor, rounded, args)
                return func(*args, **(kwargs or {}))
            return torch.utils._pytree.tree_map_only(torch.Tensor, rounded, func(*args, **(kwargs or {})))

    module = copy.deepcopy(network.module)
    with torch.no_grad():
        if precision != "tf32":
            for one in module.parameters():
                one.copy_(rounded(one))
        with contextlib.nullcontext() if weights_only else Rounding():
            return _arrays(module(network.inputs))


def _to_tf32(values: Any) -> Any:
    """To the nearest with 10 bits after the leading one."""
    import torch

    if values.dtype != torch.float32:
        return values
    bits = values.contiguous().view(torch.int32)
    half = 1 << (_TF32_DROPPED - 1)
    return ((bits + half) & ~((1 << _TF32_DROPPED) - 1)).view(torch.float32)


def _through(name: str) -> Callable[[Any], Any]:
    def rounded(values: Any) -> Any:
        import torch

        return values.to(getattr(torch, name)).float() if values.dtype == torch.float32 else values

    return rounded


_ROUNDED = {"tf32": _to_tf32, "fp16": _through("float16"), "bf16": _through("bfloat16")}

_Way = Callable[[RandomNetwork, Path, Path], Outputs]
# (what computes, in what, the precision of the file that it is given)
_WAYS: dict[tuple[str, str, str], _Way] = {
    ("onnxruntime", "fp32", "fp32"): _in_onnxruntime,
    ("openvino, hint f32", "fp32", "fp32"): functools.partial(_in_openvino, hint="f32"),
    ("torch, other kernels", "fp32", "fp32"): functools.partial(_in_torch, dtype="float32"),
    ("tf32, emulated", "tf32", "fp32"): functools.partial(_emulated, precision="tf32"),
    ("openvino, hint bf16", "bf16", "fp32"): functools.partial(_in_openvino, hint="bf16"),
    ("torch bfloat16", "bf16", "fp32"): functools.partial(_in_torch, dtype="bfloat16"),
    ("bf16, emulated", "bf16", "fp32"): functools.partial(_emulated, precision="bf16"),
    ("openvino, hint f16", "fp16", "fp32"): functools.partial(_in_openvino, hint="f16"),
    ("torch float16", "fp16", "fp32"): functools.partial(_in_torch, dtype="float16"),
    ("fp16, emulated", "fp16", "fp32"): functools.partial(_emulated, precision="fp16"),
    ("fp16 weights alone", "fp16", "fp16"): functools.partial(_emulated, precision="fp16", weights_only=True),
}
_SLOW_WAYS: dict[tuple[str, str, str], _Way] = {
    ("ncnn, fp16 options off", "fp32", "fp32"): functools.partial(_in_ncnn, half=False),
    ("ncnn, fp16 options on", "fp16", "fp32"): functools.partial(_in_ncnn, half=True),
    ("onnxruntime int8", "int8", "int8"): functools.partial(_quantised, per_channel=False),
    ("onnxruntime int8 by channel", "int8", "int8"): functools.partial(_quantised, per_channel=True),
}
