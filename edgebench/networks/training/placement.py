"""Where and how a training computes: device, precision, memory format, compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from edgebench.networks import models

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.models import InputShape
    from edgebench.networks.training.images import TrainingImages
    from edgebench.networks.training.recipes import Policy, Recipe

Forward = Callable[["torch.Tensor"], "torch.Tensor"]
# An estimate: compiling takes up to a minute, and saves a few milliseconds of a step.
COMPILE_PAYS_FROM_STEPS = 20_000
# A tenth of a millisecond on one core.
SHARED_FROM_MACS = 1_000_000


def device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe(where: torch.device) -> str:
    """As recorded in the checkpoint, e.g. "cpu, 2 threads"."""
    import torch

    if where.type == "cuda":
        return f"cuda, {torch.cuda.get_device_name(where)}"
    return f"cpu, {torch.get_num_threads()} threads"


@contextmanager
def tuned(where: torch.device, network: nn.Module, input_shape: InputShape, batch: int) -> Iterator[None]:
    """Torch's settings while a network learns; restored afterwards.

    One thread if a step is too little work to share: on a busy machine it would only wait for the others. A GPU tries
    its kernels at the first step, because the shapes stay the same.
    """
    import torch

    threads, search = torch.get_num_threads(), torch.backends.cudnn.benchmark
    if where.type == "cuda":
        torch.backends.cudnn.benchmark = True
    elif models.count(network, input_shape).macs * batch < SHARED_FROM_MACS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = search


def precision(policy: Policy, where: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """The context for a forward pass. bfloat16 has float32's range, so gradients need no scaling."""
    import torch

    if policy == "always" or (policy == "auto" and where.type == "cuda"):
        return lambda: torch.autocast(where.type, torch.bfloat16)
    return nullcontext


def compiled(network: nn.Module, recipe: Recipe, where: torch.device, images: TrainingImages) -> Forward:
    """The network as the loop calls it; its parameters are those of `network` itself."""
    import torch

    pays = where.type == "cuda" and images.batches * recipe.epochs >= COMPILE_PAYS_FROM_STEPS
    if recipe.compile == "never" or (recipe.compile == "auto" and not pays):
        return network
    return torch.compile(network)
