"""Grad-CAM: the parts of an image that an answer rests on (Selvaraju et al. 2017, arXiv:1610.02391).

Each map of a late convolution is weighted by the mean gradient of the answer's logit with respect to it; the positive
part of their sum is laid over the image. The convolution is the last to run whose output is larger than 1x1: later ones
may work on single numbers (squeeze and excite, deep networks on small images).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgebench.networks import data
from edgebench.networks.evaluation import GradCam, HeatMap
from edgebench.networks.evaluation.layers import RecordedCall, calls
from edgebench.networks.evaluation.measures import Array

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.data import Split
    from edgebench.schema.arrays import UInt8Array
    from edgebench.schema.preprocessing import Preprocessing

EACH = 4  # pictures of right answers, and of wrong ones
SHOWN_PIXELS = 112  # height of a picture
NO_CONVOLUTION = "the network has no convolution with a map to look at"


def of_a_few(model: nn.Module, split: Split, preprocessing: Preprocessing, probabilities: Array) -> GradCam:
    """Pictures of a few right and wrong answers, of different classes if there are enough."""
    found = find_layer(model, preprocessing.apply(split.images[:1]))
    if found is None:
        return GradCam(reason=NO_CONVOLUTION)
    chosen = examples(split.labels, probabilities.argmax(1))
    images = split.images[chosen]
    answered = probabilities[chosen].argmax(1)
    heat = heat_maps(model, found.layer, preprocessing.apply(images), answered, images.shape[1:3])
    pictures = tuple(
        HeatMap(_png(image, warm), int(split.labels[index]), int(answer), float(probabilities[index, answer]))
        for index, image, warm, answer in zip(chosen, images, heat, answered, strict=True)
    )
    height, width = found.left.shape[2:]
    return GradCam(found.name, (height, width), pictures)


def find_layer(model: nn.Module, image: Array) -> RecordedCall | None:
    """The last convolution, in the order of running, whose output is larger than 1x1. image: float32 [1, C, H, W]."""
    from torch import nn

    with_map = [call for call in calls(model, image, nn.Conv2d) if call.left.shape[2:].numel() > 1]
    return with_map[-1] if with_map else None


def examples(labels: Array, answers: Array) -> Array:
    """Positions of EACH right and EACH wrong answers, taking the classes in turn."""
    right, wrong = np.flatnonzero(labels == answers), np.flatnonzero(labels != answers)
    return np.concatenate([some[data.balanced_index(labels[some], EACH)] for some in (right, wrong) if len(some)])


def heat_maps(model: nn.Module, layer: nn.Module, images: Array, classes: Array, size: tuple[int, ...]) -> Array:
    """Float [N, *size], 0..1; all 0 where nothing supports the class.

    images: float32 [N, C, H, W], as the network takes them; size: height and width of the pictures.
    """
    import torch
    from torch.nn import functional

    maps: list[torch.Tensor] = []

    def keep(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        maps.append(output)
        return output.clone()  # the next layer may write into its input

    where = next(model.parameters()).device
    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            answers = model(torch.from_numpy(images).to(where).requires_grad_())
            scores = answers.gather(1, torch.from_numpy(classes)[:, None].to(where))
            (gradient,) = torch.autograd.grad(scores.sum(), maps[-1])
    finally:
        hook.remove()
    weights = gradient.mean((2, 3), keepdim=True)
    heat = functional.relu((weights * maps[-1].detach()).sum(1, keepdim=True))
    heat = functional.interpolate(heat, size=size, mode="bilinear", align_corners=False)[:, 0]
    peak = heat.amax((1, 2), keepdim=True)
    result: Array = torch.where(peak > 0, heat / peak, 0.0).cpu().numpy()
    return result


def _png(image: UInt8Array, heat: Array) -> bytes:
    """The image in grey, and beside it the image with the parts that count in red. image: uint8 [H, W, C]."""
    import io

    from PIL import Image

    plain = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    red = np.array([220.0, 30.0, 30.0])
    strength = 0.75 * heat[..., None]
    warm = (plain.mean(2, keepdims=True) * (1 - strength) + red * strength).astype(np.uint8)
    gap = np.full((len(plain), 1, 3), 255, np.uint8)
    both = Image.fromarray(np.concatenate([plain, gap, warm], axis=1))
    scale = max(1, SHOWN_PIXELS // image.shape[0])
    out = io.BytesIO()
    both.resize((both.width * scale, both.height * scale), Image.Resampling.NEAREST).save(out, "PNG", optimize=True)
    return out.getvalue()
