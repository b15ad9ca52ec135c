"""The loss of a batch. Imported by `run` only: this imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from edgebench.errors import UserError

if TYPE_CHECKING:
    from edgebench.networks.training.recipes import Distil


def answers(output: Any) -> torch.Tensor:
    """What a network is judged by. In training mode some answer with more: torchvision's GoogLeNet with those of its
    auxiliary classifiers, which are not trained here. Raises UserError.
    """
    found = getattr(output, "logits", output)
    if isinstance(found, Mapping):
        found = found.get("logits", found.get("out"))
    if isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, torch.Tensor):
        seen = f"its output in training mode is {type(output).__name__}"
        raise UserError("the network", seen, "Return a tensor [N, classes], or one as `logits`")
    return found


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
