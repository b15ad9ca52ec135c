"""The loss of a batch. Imported by `run` only: this imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from edgebench.networks.training.recipes import Distil


def classification(answers: torch.Tensor, targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Mean cross-entropy in nats. targets: labels [N], or shares of the classes [N, classes] of mixed images."""
    return functional.cross_entropy(answers, targets, label_smoothing=smoothing)


def imitation(answers: torch.Tensor, teachers: torch.Tensor, choice: Distil) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher's softened answers, times the squared temperature.

    The square keeps its gradients on the scale of the labels' (Hinton et al. 2015, arXiv:1503.02531, section 2).
    """
    soft = functional.log_softmax(answers / choice.temperature, 1)
    wanted = functional.log_softmax(teachers / choice.temperature, 1)
    return functional.kl_div(soft, wanted, reduction="batchmean", log_target=True) * choice.temperature**2
