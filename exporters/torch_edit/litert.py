"""A torch module -> a float32 .tflite file, by litert-torch, whose answers are those of the module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.schema.bundle import TensorSpec
from edgebench.schema.tensors import relative_error
from exporters.sources import module_ports
from exporters.tflite_edit import ports
from exporters.torch_edit import decompositions

if TYPE_CHECKING:
    from torch import nn

SAMPLES_TO_COMPARE = 2
LARGEST_ERROR = 1e-3
# Sigmoids of very negative numbers: what float32 leaves of them is noise.
NOTHING = 1e-6


class OtherAnswers(Exception):
    """A converter made a file that runs and answers something else."""


def convert(network: nn.Module, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], out: Path) -> None:
    """Images (NCHW) become channels-last; all else keeps its shape. The file has the network's own names.

    Raises what litert-torch raises, and OtherAnswers.
    """
    import litert_torch
    import torch

    decompositions.register()
    moved = [place for place, spec in enumerate(inputs) if spec.layout == "NCHW" and len(spec.shape) == 4]
    network = module_ports.with_ports(network.eval(), outputs)
    samples = [_sample(inputs, seed) for seed in range(SAMPLES_TO_COMPARE)]
    with torch.inference_mode():
        wanted = [[one.float().numpy() for _, one in module_ports.named(network(*sample))] for sample in samples]
    given = litert_torch.to_channel_last_io(network, args=moved).eval() if moved else network
    fed = [_moved(sample, moved) for sample in samples]
    litert_torch.convert(given, tuple(torch.zeros_like(one) for one in fed[0])).export(str(out))
    ports.name(out, [spec.name for spec in inputs], [spec.name for spec in outputs])
    found = ports.answers(out, [[one.numpy() for one in sample] for sample in fed], [spec.name for spec in inputs])
    for have, want in zip(found, wanted, strict=True):
        for spec, other in zip(outputs, want, strict=True):
            _refuse_other_answers(have[spec.name], other, spec)


def _refuse_other_answers(found: Any, wanted: Any, spec: TensorSpec) -> None:
    """Not where the network itself has none, as logarithms of any numbers may, and not for whole numbers."""
    import numpy as np

    if not spec.dtype.startswith("float") or not np.isfinite(wanted).all():
        return
    have = found.astype(np.float32).reshape(wanted.shape)
    error = relative_error(have, wanted)
    if not error <= LARGEST_ERROR and not abs(have - wanted).max() <= NOTHING:
        raise OtherAnswers(f"the file of litert-torch answers '{spec.name}' with an error of {100 * error:.2g} %")


def _sample(inputs: Sequence[TensorSpec], seed: int) -> list[Any]:
    """Floats from N(0, 1); whole numbers are zero or one: what else an index may be is not known."""
    import torch

    random = torch.Generator().manual_seed(seed)
    found = []
    for spec in inputs:
        kind = getattr(torch, spec.dtype)
        if spec.dtype.startswith("float"):
            found.append(torch.randn(spec.shape, generator=random).to(kind))
        else:
            found.append(torch.full(spec.shape, seed % 2).to(kind))
    return found


def _moved(sample: list[Any], places: list[int]) -> list[Any]:
    return [one.permute(0, 2, 3, 1).contiguous() if place in places else one for place, one in enumerate(sample)]
