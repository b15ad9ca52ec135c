"""Smaller. Removes whole channels, and everything that only fed or used them.

Channels that must be removed together (a convolution, its normalisation, the layers after it) form one group; each
group loses the channels with the smallest score and keeps int(C * (1 - ratio)). The score is the L1 or the L2 norm over
the group, or the mean of both after each was divided by its mean over the channels (hybrid). The output layer keeps its
outputs. Groups are found by torch-pruning (Fang et al. 2023, arXiv:2301.12900).

`round_to=8` rounds the kept channels up to a multiple of 8: fewer weights go, but vector units compute no remainder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgebench.errors import MissingPackage, UnknownName, UserError
from edgebench.networks import sparsity

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.models import InputShape
    from edgebench.networks.sparsity import WeightLayer

NORMS = {"l1": (1,), "l2": (2,), "hybrid": (1, 2)}


def shrink(
    model: nn.Module, input_shape: InputShape, *, ratio: float = 0.3, criterion: str = "l2", round_to: int = 1
) -> None:
    import torch

    if criterion not in NORMS:
        raise UnknownName("--option criterion", criterion, NORMS)
    if round_to < 1:
        raise UserError("--option round_to", f"{round_to} is not a number of channels", "Give 1 or more")
    try:
        import torch_pruning
    except ModuleNotFoundError as error:
        raise MissingPackage("pruning method channels", "torch-pruning", "train") from error

    found = sparsity.layers(model, input_shape)
    if not found:
        raise UserError("pruning method channels", "the network has no layer with channels", "Prune another network")
    *inner, answers = found
    pruner = torch_pruning.MagnitudePruner(
        model,
        torch.zeros(1, *input_shape),
        importance=_importance(criterion),
        pruning_ratio=ratio,
        pruning_ratio_dict=_rounded(inner, ratio, round_to) if round_to > 1 else None,
        ignored_layers=[answers.module],
    )
    pruner.step()


def _importance(criterion: str) -> Any:
    """torch-pruning's callback: a group of channels -> the score of each."""
    import torch
    import torch_pruning

    scores = [torch_pruning.importance.MagnitudeImportance(p=norm) for norm in NORMS[criterion]]

    def mean_score(group: Any) -> torch.Tensor | None:
        found = [score(group) for score in scores]
        return None if found[0] is None else torch.stack(found).mean(0)

    return mean_score


def _rounded(layers: list[WeightLayer], ratio: float, multiple: int) -> dict[nn.Module, float]:
    """For each layer the ratio at which int(C * (1 - ratio)) is the rounded number."""
    ratios: dict[nn.Module, float] = {}
    for layer in layers:
        channels = layer.module.weight.shape[0]
        kept = min(channels, -(-int(channels * (1 - ratio)) // multiple) * multiple)
        ratios[layer.module] = max(0.0, 1 - (kept + 0.5) / channels)
    return ratios
