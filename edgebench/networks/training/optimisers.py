"""Optimisers: torch's, fused (one kernel for all parameters), or those of `lion_and_plain_sgd`.

Imported by `run` only: this imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgebench.networks.training.lion_and_plain_sgd import LionOptimiser, PlainSgd
from edgebench.networks.training.recipes import Adam, AdamW, Lion, Sgd

if TYPE_CHECKING:
    from edgebench.networks.training.recipes import Optimiser


def make(choice: Optimiser, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    rate, decay = choice.learning_rate, choice.weight_decay
    match choice:
        case Sgd(momentum=0.0, weight_decay=0.0):
            return PlainSgd(parameters, rate)
        case Sgd():
            return torch.optim.SGD(
                parameters, rate, choice.momentum, weight_decay=decay, nesterov=choice.nesterov, fused=True
            )
        case Adam():
            return torch.optim.Adam(parameters, rate, choice.betas, weight_decay=decay, fused=True)
        case AdamW():
            return torch.optim.AdamW(parameters, rate, choice.betas, weight_decay=decay, fused=True)
        case Lion():
            return LionOptimiser(parameters, rate, choice.betas, decay)


def set_rate(optimiser: torch.optim.Optimizer, rate: float, momentum: float | None) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None and "momentum" in group:
            group["momentum"] = momentum
