"""torch.export archives (.pt2), which run on targets with torch; edgebench is not needed there.

float32 and half precision (with half inputs), one image at a time. `desktop-gpu` runs these on CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConversionJob, ConvertedFile, OpenedArtifact
from exporters.arithmetic.folding import AS_OPERATORS, coefficients
from exporters.sources import modules

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "torch"
SUFFIX = ".pt2"
SOURCES = ("checkpoint", "module")
PRECISIONS = ("fp32", "fp16")
PACKAGES = ("torch",)
EXTRA = "train"


def warm() -> None:
    import torch  # noqa: F401


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    import torch

    for precision in job.precisions:
        network, input_shape = _network(job)
        example = torch.zeros(1, *input_shape)
        if precision == "fp16":
            network, example = network.half(), example.half()
        out = Path(job.folder) / f"torch-{precision}.pt2"
        _save(network, example, out)
        yield ConvertedFile(precision, str(out))


def _network(job: ConversionJob) -> tuple[nn.Module, tuple[int, ...]]:
    from edgebench.schema import checkpoint

    if job.isolated is not None:
        return modules.load(job.isolated), job.isolated.input_shape
    opened = checkpoint.load(Path(job.source))
    return rebuild(opened), opened.about.input_shape


def _save(network: nn.Module, example: torch.Tensor, out: Path) -> None:
    import torch

    program = torch.export.export(network, (example,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    torch.export.save(program, str(out))


def fold(path: Path, out: Path, preprocessing: Preprocessing) -> str:
    import torch

    (spec,) = open_artifact(path).inputs
    scale, shift = (torch.from_numpy(numbers) for numbers in coefficients(preprocessing, spec))
    network = torch.export.load(str(path)).module()

    class Folded(torch.nn.Module):
        """Prepares an image, then runs the network."""

        scale: torch.Tensor
        shift: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.register_buffer("scale", scale)
            self.register_buffer("shift", shift)

        def forward(self, image: torch.Tensor) -> Any:
            return self.network((image.float() * self.scale + self.shift).to(getattr(torch, spec.dtype)))

    _save(Folded(), torch.zeros(spec.shape, dtype=torch.uint8), out)
    return AS_OPERATORS


def open_for_batches(path: Path, out: Path) -> None:
    """None: such a program is compiled for one size."""


def open_artifact(path: Path) -> OpenedArtifact:
    import torch

    program = torch.export.load(str(path))
    network = program.module()
    (source,) = (node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs)
    shape = tuple(int(size) for size in source.meta["val"].shape)
    dtype = str(source.meta["val"].dtype).removeprefix("torch.")
    (sink,) = (node for node in program.graph.nodes if node.name in program.graph_signature.user_outputs)
    answers = tuple(int(size) for size in sink.meta["val"].shape)
    torch.set_num_threads(1)

    def run(stored: Any) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(stored)).numpy()

    return OpenedArtifact(
        (TensorSpec(source.name, shape, dtype, "NCHW" if len(shape) == 4 else "NC"),),
        (TensorSpec(sink.name, answers, dtype, "NC"),),
        f"torch {torch.__version__} CPU",
        run,
    )
