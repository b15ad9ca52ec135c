"""Structured pruning: remove whole channels, and everything that only fed or used them.

Channels that must go together (a convolution, its normalisation, the layers behind it) are one group; each group loses
the channels with the smallest L2 norm and keeps int(C * (1 - ratio)). The last Linear, which gives the answers,
keeps its outputs. Groups are found by torch-pruning (Fang et al. 2023, arXiv:2301.12900).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench.errors import MissingPackage, UserError

if TYPE_CHECKING:
    from torch import nn

    from edgebench.models import InputShape


def prune(model: nn.Module, ratio: float, input_shape: InputShape) -> None:
    import torch
    from torch import nn

    try:
        import torch_pruning
    except ModuleNotFoundError as error:
        raise MissingPackage("pruning method channels", "torch-pruning", "train") from error

    answers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1:]
    if not answers:
        raise UserError("pruning method channels", "the network has no layer with channels", "Prune another network")
    pruner = torch_pruning.MagnitudePruner(
        model,
        torch.zeros(1, *input_shape),
        importance=torch_pruning.importance.MagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=answers,
    )
    pruner.step()
