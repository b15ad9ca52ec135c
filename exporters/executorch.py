"""ExecuTorch programs (.pte), whose operators XNNPACK runs where it has them.

float32, and INT8 by torchao's quantisation of exported programs with XNNPACK's quantiser: weights by channel,
inputs and outputs float32. One image at a time. From .onnx files through torch, as for TFLite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_agents.python.runtimes import executorch as runtime
from edgebench.errors import UserError
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConversionJob, ConvertedFile, OpenedArtifact
from exporters import torch as exported_programs
from exporters.arithmetic import feeds
from exporters.onnx_edit import simplified
from exporters.sources import device_session, module_ports
from exporters.torch_edit import from_onnx

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "executorch"
SUFFIX = ".pte"
SOURCES = ("checkpoint", "module", "onnx")
PRECISIONS = ("fp32", "int8")
PACKAGES = ("torch", "executorch", "torchao")
EXTRA = "executorch"
BY_DEFAULT = False

# The ranges that torchao observes; the other methods of `arithmetic.ranges` have no counterpart there.
_OBSERVERS = {"minmax": "MinMaxObserver", "mse": "HistogramObserver"}
_CALIBRATION_MAX = 256


def warm() -> None:
    import executorch.exir  # noqa: F401


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    network, inputs = _network(job)
    network = module_ports.with_ports(network.eval(), job.outputs)
    examples, folder = module_ports.zeros(inputs), Path(job.folder)
    float32 = folder / "executorch-fp32.pte"
    if not float32.exists():
        _save(network, examples, float32)
    if "fp32" in job.precisions:
        yield ConvertedFile("fp32", str(float32))
    if "int8" not in job.precisions:
        return
    for scheme in job.schemes:
        if scheme.ranges in _OBSERVERS and not scheme.float_layers:
            out = folder / f"executorch-int8-{scheme.slug}.pte"
            samples = feeds.each(Path(job.calibration), job.preprocessing, job.inputs, inputs)
            _save(_quantised(network, examples, samples, _OBSERVERS[scheme.ranges]), examples, out)
            yield ConvertedFile("int8", str(out), scheme, float32_bytes=float32.stat().st_size)


def _network(job: ConversionJob) -> tuple[nn.Module, Sequence[TensorSpec]]:
    if job.kind != "onnx":
        return exported_programs.network_of(job), job.inputs
    simple = Path(job.folder) / "executorch.simple.onnx"
    inputs = simplified.write(Path(job.source), job.inputs, simple)
    return from_onnx.module_of(simple), inputs


def _quantised(
    network: nn.Module, examples: Sequence[torch.Tensor], samples: Iterator[tuple[Any, ...]], observer: str
) -> nn.Module:
    import itertools

    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization import pt2e
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    config = get_symmetric_quantization_config(is_per_channel=True)
    activation = _with_observer(config.input_activation, getattr(pt2e, observer))
    config = type(config)(activation, activation, config.weight, config.bias, config.is_qat)
    quantiser = XNNPACKQuantizer().set_global(config)
    prepared = prepare_pt2e(torch.export.export(network, tuple(examples)).module(), quantiser)
    with torch.inference_mode():
        for sample in itertools.islice(samples, _CALIBRATION_MAX):
            prepared(*map(torch.from_numpy, sample))
    made: nn.Module = convert_pt2e(prepared)
    return made


def _with_observer(spec: Any, observer: Callable[..., Any]) -> Any:
    import dataclasses

    return dataclasses.replace(spec, observer_or_fake_quant_ctr=observer.with_args(eps=2**-12))  # type: ignore[attr-defined]


def _save(network: nn.Module, examples: Sequence[torch.Tensor], out: Path) -> None:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(network, tuple(examples))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    out.write_bytes(lowered.buffer)


def fold(path: Path, out: Path, preprocessing: Preprocessing) -> str:
    raise UserError("--fold-preprocessing", "a program of ExecuTorch is not changed after it was made", "Leave it out")


def open_for_batches(path: Path, out: Path) -> None:
    """None: such a program is compiled for one size."""


def open_artifact(path: Path) -> OpenedArtifact:
    version = runtime.facts({"device": "cpu"})["version"]
    return device_session.opened(runtime, path, f"ExecuTorch {version} CPU")
