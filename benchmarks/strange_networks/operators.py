"""One operator, or one mode of it, between a convolution and the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Between(nn.Module):
    """Convolution, then what is asked, then, if `classes`, a linear layer over the mean of each channel."""

    def __init__(self, what: nn.Module | Callable[[Any], Any], channels: int = 16, *, classes: bool = True) -> None:
        super().__init__()
        self.stem, self.what = nn.Conv2d(3, 16, 3, 2, 1), what
        self.head = nn.Linear(channels, 10) if classes else None

    def forward(self, x: Any) -> Any:
        x = self.what(self.stem(x))
        return x if self.head is None else self.head(x.flatten(2).mean(2))


def dilated_depthwise() -> nn.Module:
    return Between(nn.Sequential(nn.Conv2d(16, 16, 3, 1, 2, 2, groups=16), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 4, 4)))


def grouped() -> nn.Module:
    return Between(nn.Sequential(nn.ReLU(), nn.Conv2d(16, 24, 3, 1, 1, groups=4), nn.ReLU()), 24)


def transposed() -> nn.Module:
    return Between(nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1)), 8, classes=False)


def transposed_grouped() -> nn.Module:
    up = nn.ConvTranspose2d(16, 12, 3, 2, 1, output_padding=1, groups=4)
    return Between(nn.Sequential(nn.ReLU(), up, nn.ReLU(), nn.Conv2d(12, 16, 3, 4)))


def transposed_depthwise() -> nn.Module:
    return Between(nn.ConvTranspose2d(16, 16, 4, 2, 1, groups=16, bias=False))


def transposed_dilated() -> nn.Module:
    return Between(nn.ConvTranspose2d(16, 8, 3, 2, 1, dilation=2), 8)


def group_norm() -> nn.Module:
    return Between(nn.Sequential(nn.GroupNorm(4, 16), nn.SiLU(), nn.Conv2d(16, 16, 3)))


def instance_norm() -> nn.Module:
    return Between(nn.Sequential(nn.InstanceNorm2d(16, affine=True), nn.ReLU(), nn.Conv2d(16, 16, 3)))


def local_response() -> nn.Module:
    return Between(nn.Sequential(nn.ReLU(), nn.LocalResponseNorm(5), nn.Conv2d(16, 16, 3)))


def resize_nearest() -> nn.Module:
    return Between(nn.Upsample(scale_factor=2, mode="nearest"), classes=False)


def resize_bilinear() -> nn.Module:
    return Between(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), classes=False)


def resize_aligned() -> nn.Module:
    return Between(nn.Upsample(size=(31, 45), mode="bilinear", align_corners=True), classes=False)


def resize_bicubic() -> nn.Module:
    return Between(nn.Upsample(scale_factor=2, mode="bicubic", align_corners=False), classes=False)


def resize_down() -> nn.Module:
    return Between(lambda x: functional.interpolate(x, (7, 11), mode="bilinear", align_corners=False), classes=False)


def pad_reflect() -> nn.Module:
    return Between(nn.Sequential(nn.ReflectionPad2d((1, 2, 3, 1)), nn.Conv2d(16, 16, 3)))


def pad_replicate() -> nn.Module:
    return Between(nn.Sequential(nn.ReplicationPad2d((1, 2, 3, 1)), nn.Conv2d(16, 16, 3)))


def pad_circular() -> nn.Module:
    return Between(nn.Conv2d(16, 16, 3, 1, 1, padding_mode="circular"))


def pooled_oddly() -> nn.Module:
    return Between(nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d((5, 3))), classes=False)


def pooled_to_most() -> nn.Module:
    return Between(nn.Sequential(nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Conv2d(16, 16, 3)))


def pooled_by_power() -> nn.Module:
    return Between(nn.Sequential(nn.Sigmoid(), nn.LPPool2d(2, 2)))


def unfolded() -> nn.Module:
    return Between(lambda x: functional.unfold(x, 3, stride=2), 144)


class Folded(nn.Module):
    """Patches cut out, changed, and summed back where they came from."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.change = nn.Conv2d(3, 4, 3, 2, 1), nn.Linear(16, 16)

    def forward(self, x: Any) -> Any:
        patches = functional.unfold(self.stem(x), 2, stride=2)
        changed = self.change(patches.transpose(1, 2)).transpose(1, 2)
        return functional.fold(changed, (16, 16), 2, stride=2)


def activations() -> nn.Module:
    kinds = (nn.Softplus(), nn.Mish(), nn.Hardswish(), nn.SiLU(), nn.ELU(), nn.CELU(), nn.SELU(), nn.Softsign())
    return Between(nn.Sequential(*(part for kind in kinds for part in (kind, nn.Conv2d(16, 16, 1)))))


def shrinking() -> nn.Module:
    kinds = (nn.Hardtanh(-0.5, 2), nn.LeakyReLU(0.2), nn.ReLU6(), nn.Hardshrink(0.1), nn.Softshrink(0.1), nn.GELU())
    return Between(nn.Sequential(*(part for kind in kinds for part in (kind, nn.Conv2d(16, 16, 1)))))


def gated() -> nn.Module:
    return Between(nn.GLU(1), 8)


def logsumexp() -> nn.Module:
    return Between(lambda x: torch.logsumexp(x, (2, 3), keepdim=True))


def log_softmax() -> nn.Module:
    return Between(lambda x: x.flatten(2).log_softmax(2))


def norms() -> nn.Module:
    return Between(lambda x: x / (x.norm(dim=1, keepdim=True) + 1e-3) + x.std(1, keepdim=True) + x.var((2, 3), True))


def largest() -> nn.Module:
    return Between(lambda x: x.flatten(2).topk(5, dim=2).values)


def sorted_and_argmax() -> nn.Module:
    return Between(lambda x: (x.flatten(2).mean(2), x.argmax(1)), classes=False)


def gathered() -> nn.Module:
    order = torch.tensor([3, 1, 2, 0, 15, 7])
    return Between(lambda x: torch.index_select(x, 1, order.to(x.device)), 6)


def gathered_by_place() -> nn.Module:
    return Between(lambda x: x.flatten(2).gather(2, x.flatten(2).argmax(2, keepdim=True)))


def scattered() -> nn.Module:
    places = torch.tensor([1, 5, 9])
    return Between(lambda x: x.index_add(1, places, x[:, :3] * 2))


def written_into() -> nn.Module:
    def write(x: Any) -> Any:
        x = x.clone()
        x[:, ::2, 1:-1] = x[:, 1::2, 1:-1] * 0.5
        return x

    return Between(write)


def masked() -> nn.Module:
    return Between(lambda x: torch.where(x > 0.2, x, -0.1 * x).masked_fill(x < -1, 0.0))


def compared() -> nn.Module:
    return Between(lambda x: ((x > 0) & (x < 1) | ~(x > -1)).float() * x + torch.maximum(x, x.flip(3)))


def triangle() -> nn.Module:
    return Between(lambda x: torch.tril(x) + torch.triu(x, 3) * 0.5)


def rolled() -> nn.Module:
    return Between(lambda x: torch.roll(x, (3, -2), (2, 3)) + x.flip(2))


def repeated() -> nn.Module:
    return Between(lambda x: x.repeat_interleave(2, 1).repeat(1, 1, 2, 1) + 1, 32)


def split_unevenly() -> nn.Module:
    def mix(x: Any) -> Any:
        a, b, c = x.split([3, 3, 10], 1)
        return torch.cat([a * b, c], 1)

    return Between(mix, 13)


def rounded() -> nn.Module:
    return Between(lambda x: (x * 4).floor() / 4 + x.clamp(-1, 1) + (x * 2).ceil() * 0.1 + x.abs().sqrt() + x.sign())


def trigonometry() -> nn.Module:
    return Between(lambda x: x.sin() + x.cos() * x.atan() + x.abs().add(1).log() + x.erf() + (-x.abs()).exp())


def remainders() -> nn.Module:
    return Between(lambda x: torch.remainder(x, 0.7) + torch.fmod(x, 0.3) + torch.div(x, 0.5, rounding_mode="floor"))


def distances() -> nn.Module:
    centres = torch.randn(10, 16)
    return Between(lambda x: torch.cdist(x.flatten(2).mean(2), centres.to(x.device)), classes=False)


def bilinear() -> nn.Module:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Bilinear(16, 16, 12)

        def forward(self, x: Any) -> Any:
            return self.mix(x.amax((2, 3)), x.amin((2, 3)))[:, :, None]

    return Between(Pooled(), 12)


def sampled() -> nn.Module:
    rows, columns = torch.meshgrid(torch.linspace(-0.9, 0.8, 9), torch.linspace(-0.7, 0.95, 11), indexing="ij")
    grid = torch.stack([columns, rows], -1)[None]
    return Between(lambda x: functional.grid_sample(x, grid, align_corners=False))


def five_axes() -> nn.Module:
    return Between(lambda x: x.reshape(1, 4, 4, 16, 16).permute(0, 2, 1, 4, 3) * 2, classes=False)


def one_number() -> nn.Module:
    return Between(lambda x: x.sigmoid().mean().reshape(()), classes=False)


def dead_filters() -> nn.Module:
    network = Between(nn.Sequential(nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU()))
    with torch.no_grad():
        network.stem.weight[:4] = 0
        network.stem.weight[4:6] = 1e-20
        network.stem.bias[:6] = 1.5  # type: ignore[index]
    return network


def all_zero() -> nn.Module:
    """A branch that is always nothing, and a constant one."""
    branch = nn.Conv2d(16, 16, 3, padding=1)
    with torch.no_grad():
        branch.weight.zero_()
        branch.bias.zero_()  # type: ignore[union-attr]
    layer = nn.Conv2d(16, 16, 3, padding=1)

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch, self.layer = branch, layer

        def forward(self, x: Any) -> Any:
            return self.layer(x).relu() + self.branch(x) + torch.zeros_like(x) + torch.ones_like(x) * 3

    return Between(Sum())


def empty_slice() -> nn.Module:
    return Between(lambda x: torch.cat([x[:, :, 16:], x[:, :, :16]], 2).relu())


class Expanded(nn.Module):
    """A buffer that is one row seen many times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 16, 3, 2, 1), nn.Linear(16, 10)
        self.register_buffer("rows", torch.linspace(0.5, 1.5, 16).view(1, 1, 16, 1).expand(1, 16, 16, 16))

    def forward(self, x: Any) -> Any:
        return self.head((self.stem(x).relu() * self.rows).mean((2, 3)))


class Video(nn.Module):
    """Conv3d and MaxPool3d."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv3d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(8, 16, 3, 2), nn.ReLU()),
            *(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 10)),
        )

    def forward(self, x: Any) -> Any:
        return self.body(x)


class Tabular(nn.Module):
    """A row of numbers: linear layers and batch norms only."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 32), nn.Tanh()),
            nn.Linear(32, 3),
        )

    def forward(self, x: Any) -> Any:
        return self.body(x)


class Categories(nn.Module):
    """Numbers, category codes and a flag: three types of input."""

    def __init__(self) -> None:
        super().__init__()
        self.codes, self.hidden, self.head = nn.Embedding(9, 6), nn.Linear(5 + 12, 16), nn.Linear(16, 3)

    def forward(self, numbers: Any, codes: Any, flag: Any) -> Any:
        x = torch.cat([numbers, self.codes(codes).flatten(1)], 1)
        return self.head(self.hidden(x).relu() * torch.where(flag, 1.0, 0.5))


class Bytes(nn.Module):
    """Pixels as bytes, scaled inside."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x.float() / 127.5 - 1).mean((2, 3)))
