"""Random networks for the calibration of computed precisions: several kinds, depths and widths, one seed each.

Weights are drawn, normalisations see data, and a third of the networks is trained for some steps on a task of its own:
rounding errors grow differently in weights that were drawn and in weights that were learnt.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

KINDS = ("mlp", "plain", "residual", "depthwise", "attention", "two outputs")
CLASSES = 10
COUNT = 32  # golden inputs
_TRAINING_STEPS = 30


@dataclass(frozen=True)
class RandomNetwork:
    """about: kind, depth, width. inputs: [COUNT, ...]. module answers with one array or with a tuple."""

    about: str
    module: Any
    inputs: Any


def draw(seed: int) -> RandomNetwork:
    import torch

    torch.manual_seed(seed)
    rng = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    depth, width = rng.choice((2, 3, 4, 6, 8, 12, 16)), rng.choice((16, 32, 64, 96))
    module = _MAKERS[kind](rng, depth, width)
    shape = (64,) if kind == "mlp" else (16, 32) if kind == "attention" else (3, 16, 16)
    inputs = torch.randn(COUNT, *shape) if rng.random() < 0.5 else torch.rand(COUNT, *shape)
    _settle(module, inputs)
    trained = rng.random() < 1 / 3
    if trained:
        _train(module, shape)
    if kind != "two outputs" and rng.random() < 0.2:
        module = torch.nn.Sequential(module, torch.nn.Softmax(1))
    return RandomNetwork(f"{kind} {depth}x{width}{' trained' if trained else ''}", module.eval(), inputs)


def real(name: str, seed: int) -> RandomNetwork:
    """A network of edgebench or of torchvision, weights drawn."""
    import torch

    from edgebench.networks import models

    torch.manual_seed(seed)
    grey = name == "ultralight"
    module = models.build(name, (1, 28, 28), CLASSES) if grey else _torchvision(name)
    inputs = torch.randn(8, *((1, 28, 28) if grey else (3, 64, 64)))
    _settle(module, inputs)
    return RandomNetwork(name, module.eval(), inputs)


def _torchvision(name: str) -> Any:
    import torchvision

    return torchvision.models.get_model(name, weights=None, num_classes=CLASSES)


def _activation(rng: random.Random) -> Any:
    from torch import nn

    return rng.choice((nn.ReLU, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.GELU, nn.Tanh))()


def _mlp(rng: random.Random, depth: int, width: int) -> Any:
    from torch import nn

    layers: list[Any] = [nn.Linear(64, 4 * width), _activation(rng)]
    for _ in range(depth - 1):
        layers += [nn.Linear(4 * width, 4 * width), _activation(rng)]
    return nn.Sequential(*layers, nn.Linear(4 * width, CLASSES))


def _convolution(rng: random.Random, width: int, stride: int = 1, groups: int = 1) -> list[Any]:
    from torch import nn

    normalised = [nn.BatchNorm2d(width)] if rng.random() < 0.8 else []
    return [nn.Conv2d(width, width, 3, stride, 1, groups=groups), *normalised, _activation(rng)]


def _stem(rng: random.Random, width: int) -> list[Any]:
    from torch import nn

    return [nn.Conv2d(3, width, 3, 1, 1), nn.BatchNorm2d(width), _activation(rng)]


def _head(width: int) -> list[Any]:
    from torch import nn

    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]


def _plain(rng: random.Random, depth: int, width: int) -> Any:
    from torch import nn

    body = [one for place in range(depth) for one in _convolution(rng, width, 2 if place in (2, 5) else 1)]
    return nn.Sequential(*_stem(rng, width), *body, *_head(width))


def _residual(rng: random.Random, depth: int, width: int) -> Any:
    from torch import nn

    blocks = [
        _added(nn.Sequential(*_convolution(rng, width), *_convolution(rng, width))) for _ in range(depth // 2 + 1)
    ]
    return nn.Sequential(*_stem(rng, width), *blocks, *_head(width))


def _depthwise(rng: random.Random, depth: int, width: int) -> Any:
    from torch import nn

    blocks = []
    for _ in range(depth // 2 + 1):
        inner = nn.Sequential(
            *_convolution(rng, width, groups=width), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width)
        )
        blocks.append(_added(inner) if rng.random() < 0.7 else inner)
    return nn.Sequential(*_stem(rng, width), *blocks, *_head(width))


def _attention(rng: random.Random, depth: int, width: int) -> Any:
    from torch import nn

    layers = [
        nn.TransformerEncoderLayer(2 * width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True)
        for _ in range(min(depth, 6))
    ]
    return nn.Sequential(nn.Linear(32, 2 * width), *layers, nn.Flatten(), nn.Linear(32 * width, CLASSES))


def _two_outputs(rng: random.Random, depth: int, width: int) -> Any:
    return _forked(_plain(rng, depth, width), width)


def _added(inner: Any) -> Any:
    from torch import nn

    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    return Added()


def _forked(network: Any, width: int) -> Any:
    """Classes, and a map of the features, as a detector's."""
    from torch import nn

    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.head = network[:-3], network[-3:]
            self.map = nn.Conv2d(width, 4, 1)

        def forward(self, x: Any) -> Any:
            seen = self.features(x)
            return self.head(seen), self.map(seen).sigmoid()

    return Forked()


_MAKERS: dict[str, Any] = {
    "mlp": _mlp, "plain": _plain, "residual": _residual, "depthwise": _depthwise, "attention": _attention,
    "two outputs": _two_outputs,
}  # fmt: skip


def _settle(module: Any, inputs: Any) -> None:
    """Let normalisations see data, as those of a trained network have."""
    import torch

    module.train()
    with torch.no_grad():
        for _ in range(10):
            module(inputs + 0.1 * torch.randn_like(inputs))
    module.eval()


def _train(module: Any, shape: tuple[int, ...]) -> None:
    """Two classes of inputs that a fixed direction tells apart."""
    import torch

    module.train()
    direction = torch.randn(shape)
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(_TRAINING_STEPS):
        inputs = torch.randn(COUNT, *shape)
        labels = ((inputs * direction).flatten(1).sum(1) > 0).long()
        answers = module(inputs)
        logits = answers[0] if isinstance(answers, tuple) else answers
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    module.eval()
