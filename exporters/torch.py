"""torch.export archives (.pt2), which run on targets with torch; edgebench is not needed there.

float32 and half precision (with half inputs), one image at a time. `desktop-gpu` runs these on CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Preprocessing
from exporters import ConversionJob, ConvertedFile, OpenedArtifact
from exporters.arithmetic.folding import AS_OPERATORS, coefficients
from exporters.sources import module_ports, modules

if TYPE_CHECKING:
    import torch
    import torch.fx
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
        network, examples = network_of(job), module_ports.zeros(job.inputs)
        if precision == "fp16":
            network = network.half()
            examples = [one.half() if one.dtype == torch.float32 else one for one in examples]
        out = Path(job.folder) / f"torch-{precision}.pt2"
        _save(module_ports.with_ports(network, job.outputs), examples, out)
        yield ConvertedFile(precision, str(out))


def network_of(job: ConversionJob) -> nn.Module:
    from edgebench.schema import checkpoint

    if job.isolated is not None:
        return modules.load(job.isolated)
    return rebuild(checkpoint.load(Path(job.source)))


def _save(network: nn.Module, examples: Sequence[torch.Tensor], out: Path) -> None:
    import torch

    program = torch.export.export(network, tuple(examples))
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

    _save(Folded(), [torch.zeros(spec.shape, dtype=torch.uint8)], out)
    return AS_OPERATORS


def open_for_batches(path: Path, out: Path) -> None:
    """None: such a program is compiled for one size."""


def open_artifact(path: Path) -> OpenedArtifact:
    import torch

    program = torch.export.load(str(path))
    network = program.module()
    nodes = {node.name: node for node in program.graph.nodes}
    torch.set_num_threads(1)

    def run(stored: Sequence[Any]) -> Sequence[Any]:
        with torch.inference_mode():
            answer = network(*map(torch.from_numpy, stored))
            return [one.numpy() for one in (answer if isinstance(answer, tuple | list) else [answer])]

    inputs, outputs = (
        tuple(_spec(nodes[str(name)]) for name in names)
        for names in (program.graph_signature.user_inputs, program.graph_signature.user_outputs)
    )
    return OpenedArtifact(inputs, outputs, f"torch {torch.__version__} CPU", run)


def _spec(node: torch.fx.Node) -> TensorSpec:
    value = node.meta["val"]
    shape, dtype = tuple(int(size) for size in value.shape), str(value.dtype).removeprefix("torch.")
    is_image = len(shape) == 4 and shape[0] == 1
    return TensorSpec(node.name, shape, dtype, "NCHW" if is_image else "NC" if len(shape) == 2 else "any")
