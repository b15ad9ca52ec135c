"""Smaller. Removes whole channels, and everything that only fed or used them.

Channels that must be removed together (a convolution, its normalisation, the layers after it) form one group; each
group loses the channels with the smallest score. The score is the L1 or the L2 norm over the group, or the mean of both
after each was divided by its mean over the channels (hybrid). The output layer keeps its outputs. Groups are found by
torch-pruning (Fang et al. 2023, arXiv:2301.12900).

A group of C channels keeps int(C * (1 - ratio)), rounded up to a multiple of `round_to`, as kernels of CPUs compute 8
or 16 channels at once: 11 channels take longer than 16. Groups of fewer than 2 * round_to channels are rounded up to
half of it (fewer than 16: multiples of 4); of grouped convolutions, the channels of each group are. round_to=1 does
not round. Whatever the user's code does with a group, the network must still run, and answer as if the channels that
were removed were zero; otherwise the group stays as it is, and the reason is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebench.errors import MissingPackage, UnknownName, UserError
from edgebench.networks.pruning._cuts import Cuts

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape

NORMS = {"l1": (1,), "l2": (2,), "hybrid": (1, 2)}


def shrink(
    model: nn.Module, input_shape: InputShape, *, ratio: float = 0.3, criterion: str = "l2", round_to: int = 8
) -> Cuts:
    if criterion not in NORMS:
        raise UnknownName("--option criterion", criterion, NORMS)
    if round_to < 1:
        raise UserError("--option round_to", f"{round_to} is not a number of channels", "Give 1 or more")
    try:
        import torch_pruning  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackage("pruning method channels", "torch-pruning", "train") from error

    from edgebench.networks.pruning import _groups

    return _groups.prune(model, input_shape, _importance(criterion), ratio, round_to)


def _importance(criterion: str) -> Any:
    """torch-pruning's callback: a group of channels -> the score of each."""
    import torch
    import torch_pruning

    scores = [torch_pruning.importance.MagnitudeImportance(p=norm) for norm in NORMS[criterion]]

    def mean_score(group: Any) -> torch.Tensor | None:
        found = [score(group) for score in scores]
        return None if found[0] is None else torch.stack(found).mean(0)

    return mean_score
