"""torch.export archives (.pt2): a target with torch runs the network without edgebench on it.

float32 and half precision (half inputs too), one image at a time. This is what `desktop-gpu` runs on CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgebench.bundle import TensorSpec
from exporters import Job, Made, Opened

FORMAT = "torch"
SUFFIX = ".pt2"
SOURCES = ("checkpoint",)
PRECISIONS = ("fp32", "fp16")
PACKAGES = ("torch",)
EXTRA = "train"


def warm() -> None:
    import torch  # noqa: F401


def convert(job: Job) -> Iterator[Made]:
    import torch

    from edgebench import checkpoint

    opened = checkpoint.load(Path(job.source))
    for precision in job.precisions:
        network = opened.build()
        example = torch.zeros(1, *opened.about.input_shape)
        if precision == "fp16":
            network, example = network.half(), example.half()
        out = Path(job.folder) / f"torch-{precision}.pt2"
        program = torch.export.export(network, (example,))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # names folders of this machine
        torch.export.save(program, str(out))
        yield Made(precision, str(out))


def open_artifact(path: Path) -> Opened:
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

    return Opened(
        (TensorSpec(source.name, shape, dtype, "NCHW" if len(shape) == 4 else "NC"),),
        (TensorSpec(sink.name, answers, dtype, "NC"),),
        f"torch {torch.__version__} CPU",
        run,
    )
