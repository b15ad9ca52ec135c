"""A network's answers, and how often they are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgebench.networks.lazy_images import pieces
from edgebench.schema.history import Metrics

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.data import Split
    from edgebench.networks.lazy_images import Images
    from edgebench.schema.arrays import Float32Array
    from edgebench.schema.preprocessing import Preprocessing

BATCH = 250
# 16 MB of float32: batches of larger images are smaller, since a first layer's maps are tens of times their size.
BATCH_VALUES = 4_000_000


def logits(
    model: nn.Module,
    images: Images,
    preprocessing: Preprocessing,
    advance: Callable[[float], None] = lambda images: None,
) -> Float32Array:
    """float32 [N, classes] for uint8 [N, H, W, C], on the model's device. advance: is called with images done."""
    import numpy as np
    import torch

    sized = preprocessing.apply(images[:1]).size
    count = min(BATCH, max(1, BATCH_VALUES // sized))
    training = {module: module.training for module in model.modules()}
    where = next(model.parameters()).device
    model.eval()
    answers = []
    with torch.inference_mode():
        for some in pieces(images, count, preprocessing.apply):
            batch = torch.from_numpy(some)
            answers.append(model(batch.to(where)).float().cpu().numpy())
            advance(len(some))
    for module, mode in training.items():
        module.training = mode
    result: Float32Array = np.concatenate(answers)
    return result


def evaluate(model: nn.Module, split: Split, preprocessing: Preprocessing) -> Metrics:
    import numpy as np

    answers = logits(model, split.images, preprocessing).astype(np.float64)
    shifted = answers - answers.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(split)), split.labels]
    return Metrics(
        accuracy=float((answers.argmax(1) == split.labels).mean()),
        loss=float(losses.mean()),
        test_images=len(split),
    )
