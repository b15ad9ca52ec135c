"""Networks over images: whole architectures in small."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


def head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def norm_act(channels: int) -> list[nn.Module]:
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return [norm, nn.ReLU()]


class Residual(nn.Module):
    """ResNet: MaxPool with padding, strided shortcuts."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3, bias=False), *norm_act(16), nn.MaxPool2d(3, 2, 1))
        self.body = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), *norm_act(32), nn.Conv2d(32, 32, 3, 1, 1))
        self.short, self.head = nn.Conv2d(16, 32, 1, 2), head(32)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        return self.head((self.body(x) + self.short(x)).relu())


class InvertedResidual(nn.Module):
    """MobileNetV3: depthwise, hard swish, squeeze and excite with a hard sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Hardswish())
        self.wide = nn.Sequential(nn.Conv2d(16, 48, 1), nn.Hardswish(), nn.Conv2d(48, 48, 5, 1, 2, groups=48))
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(48, 12, 1), nn.ReLU(), nn.Conv2d(12, 48, 1), nn.Hardsigmoid()
        )
        self.narrow, self.head = nn.Conv2d(48, 16, 1), head(16)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        wide = self.wide(x)
        return self.head(x + self.narrow(functional.hardswish(wide * self.squeeze(wide))))


class SwishExcite(nn.Module):
    """EfficientNet: SiLU, squeeze and excite by a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.SiLU(), nn.Conv2d(16, 16, 3, 1, 1, groups=16))
        self.squeeze = nn.Sequential(nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid())
        self.head = head(16)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        return self.head(x * self.squeeze(x.mean((2, 3), keepdim=True)))


class ConvNext(nn.Module):
    """Depthwise 7x7, LayerNorm over channels last, GELU, a scale for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(3, 16, 4, 4), nn.Conv2d(16, 16, 7, padding=3, groups=16)
        self.norm, self.up, self.down = nn.LayerNorm(16), nn.Linear(16, 64), nn.Linear(64, 16)
        self.scale, self.head = nn.Parameter(torch.rand(16)), head(16)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        found = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        found = self.down(functional.gelu(self.up(found))) * self.scale
        return self.head(x + found.permute(0, 3, 1, 2))


class Windows(nn.Module):
    """Swin: windows cut out, rolled, attended in, put back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.qkv, self.norm = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 48), nn.LayerNorm(16)
        self.bias, self.head = nn.Parameter(torch.randn(2, 16, 16) / 4), nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        x = self.stem(x).permute(0, 2, 3, 1)
        x = torch.roll(x, (-2, -2), (1, 2))
        some = x.reshape(1, 2, 4, 2, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(4, 16, 16)
        q, k, v = self.qkv(self.norm(some)).reshape(4, 16, 3, 2, 8).permute(2, 0, 3, 1, 4)
        some = ((q * 8**-0.5) @ k.transpose(-2, -1) + self.bias).softmax(-1) @ v
        some = some.transpose(1, 2).reshape(1, 2, 2, 4, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(1, 8, 8, 16)
        return self.head(torch.roll(some, (2, 2), (1, 2)).mean((1, 2)))


class VisionTransformer(nn.Module):
    """Patches, a class token, places, one encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 24, 8, 8), nn.Parameter(torch.randn(1, 1, 24))
        self.places = nn.Parameter(torch.randn(1, 17, 24) / 4)
        self.body = nn.TransformerEncoderLayer(24, 3, 48, activation="gelu", batch_first=True)
        self.head = nn.Linear(24, 10)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.body(x)[:, 0])


class Mixer(nn.Module):
    """MLP-Mixer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, 16, 8, 8), nn.LayerNorm(16)
        self.tokens = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.channels = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm(x))
        return self.head(x.mean(1))


class Dense(nn.Module):
    """DenseNet: a norm before each convolution, all concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(*norm_act(width), nn.Conv2d(width, 8, 3, 1, 1)) for width in (8, 16, 24)
        )
        self.last, self.head = nn.Sequential(*norm_act(32), nn.AvgPool2d(2)), head(32)

    def forward(self, x: Any) -> Any:
        found = [self.stem(x)]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return self.head(self.last(torch.cat(found, 1)))


class UNet(nn.Module):
    """A map out: down, up by ConvTranspose and by resizing, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 16, 3, 2, 1)
        self.c, self.up = nn.Conv2d(16, 16, 3, 2, 1), nn.ConvTranspose2d(16, 8, 2, 2)
        self.d, self.last = nn.Conv2d(24, 8, 3, 1, 1), nn.Conv2d(16, 4, 1)

    def forward(self, x: Any) -> Any:
        first = self.a(x).relu()
        second = self.b(first).relu()
        up = torch.cat([self.up(self.c(second).relu()), second], 1)
        up = functional.interpolate(self.d(up).relu(), scale_factor=2.0, mode="nearest")
        return self.last(torch.cat([up, first], 1))


class Shuffled(nn.Module):
    """ShuffleNet: grouped 1x1, channels shuffled, split and concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.grouped = nn.Conv2d(3, 24, 3, 2, 1), nn.Conv2d(24, 24, 1, groups=4)
        self.depthwise, self.head = nn.Conv2d(12, 12, 3, 1, 1, groups=12), head(24)

    def forward(self, x: Any) -> Any:
        x = self.grouped(self.stem(x).relu())
        x = x.reshape(1, 4, 6, 16, 16).transpose(1, 2).reshape(1, 24, 16, 16)
        left, right = x.chunk(2, 1)
        return self.head(torch.cat([left, self.depthwise(right).relu()], 1))


class Fire(nn.Module):
    """SqueezeNet: ceil mode pooling, two widths concatenated, classes as maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 16, 3, 2), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.squeeze, self.one, self.three = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1), nn.Conv2d(8, 16, 3, padding=1)
        self.last = nn.Conv2d(32, 10, 1)

    def forward(self, x: Any) -> Any:
        x = self.squeeze(self.pool(self.stem(x).relu())).relu()
        x = torch.cat([self.one(x).relu(), self.three(x).relu()], 1)
        return self.last(x).mean((2, 3))


class Inception(nn.Module):
    """Four branches: 1x1, 1x7 and 7x1, pooled without counting padding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 8, 1)
        self.long = nn.Sequential(nn.Conv2d(16, 8, (1, 7), padding=(0, 3)), nn.Conv2d(8, 8, (7, 1), padding=(3, 0)))
        self.pool, self.after = nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(16, 8, 1)
        self.head = head(24)

    def forward(self, x: Any) -> Any:
        x = self.stem(x).relu()
        return self.head(torch.cat([self.one(x), self.long(x), self.after(self.pool(x))], 1).relu())


class Detector(nn.Module):
    """YOLO: two scales, sigmoid centres, exponential sizes, boxes and scores concatenated; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(16, 16, 3, 2, 1), nn.LeakyReLU())
        self.b = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.LeakyReLU(0.1))
        self.fine, self.coarse = nn.Conv2d(16, 7, 1), nn.Conv2d(32, 7, 1)
        for name, side in (("fine_grid", 8), ("coarse_grid", 4)):
            rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
            self.register_buffer(name, torch.stack([columns, rows], -1).reshape(1, -1, 2).float())

    def forward(self, x: Any) -> Any:
        fine = self.a(x)
        boxes, scores = [], []
        for found, grid in ((self.fine(fine), self.fine_grid), (self.coarse(self.b(fine)), self.coarse_grid)):
            found = found.flatten(2).transpose(1, 2)
            boxes.append(torch.cat([found[..., :2].sigmoid() + grid, found[..., 2:4].exp()], -1))
            scores.append(found[..., 4:].sigmoid())
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class Distributed(nn.Module):
    """YOLOv8's box head: a distribution over distances, softmax, expectation by a fixed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.box = nn.Conv2d(3, 16, 3, 4, 1), nn.Conv2d(16, 32, 1)
        self.expect = nn.Conv2d(8, 1, 1, bias=False).requires_grad_(False)
        self.expect.weight.data[:] = torch.arange(8.0).view(1, 8, 1, 1)

    def forward(self, x: Any) -> Any:
        found = self.box(self.stem(x).relu()).flatten(2)
        found = found.view(1, 4, 8, 64).transpose(2, 1).softmax(1)
        left, right = self.expect(found).view(1, 4, 64).chunk(2, 1)
        return torch.cat([left + right, right - left], 1)


class SuperResolution(nn.Module):
    """PReLU and PixelShuffle: an image out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.act, self.b = nn.Conv2d(3, 16, 5, 1, 2), nn.PReLU(16), nn.Conv2d(16, 12, 3, 1, 1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Any) -> Any:
        return self.shuffle(self.b(self.act(self.a(x))))


class Spectrum(nn.Module):
    """A global filter by fixed cosines, as FFT-free FNet: matrices on both axes."""

    def __init__(self) -> None:
        super().__init__()
        place = torch.arange(32.0)
        self.register_buffer("basis", torch.cos(torch.outer(place, place) * torch.pi / 32) / 4)
        self.filter, self.body, self.head = nn.Parameter(torch.randn(1, 3, 32, 32)), nn.Conv2d(3, 16, 3, 2), head(16)

    def forward(self, x: Any) -> Any:
        x = self.basis @ x @ self.basis.T * self.filter
        return self.head(self.body(self.basis @ x @ self.basis.T).relu())


class Ghost(nn.Module):
    """GhostNet: cheap features from a depthwise convolution, cut to size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.cheap = nn.Conv2d(3, 10, 3, 2, 1), nn.Conv2d(10, 10, 3, 1, 1, groups=10)
        self.head = head(17)

    def forward(self, x: Any) -> Any:
        x = self.first(x).relu()
        return self.head(torch.cat([x, self.cheap(x).relu()], 1)[:, :17])


class Repeated(nn.Module):
    """One layer's weights used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layer, self.head = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 1, 1), head(16)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for _ in range(3):
            x = x + self.layer(x.relu())
        return self.head(x)


class Splines(nn.Module):
    """KAN: polynomials of each feature, summed by weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.weight = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.randn(10, 8, 4) / 4)

    def forward(self, x: Any) -> Any:
        x = self.stem(x).mean((2, 3)).tanh()
        powers = torch.stack([torch.ones_like(x), x, 2 * x**2 - 1, 4 * x**3 - 3 * x], -1)
        return torch.einsum("bik,oik->bo", powers, self.weight)


class TwoStreams(nn.Module):
    """Two images in, their distance out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU())
        self.head = head(16)

    def forward(self, left: Any, right: Any) -> Any:
        left, right = (functional.normalize(self.head(self.body(one)), dim=-1) for one in (left, right))
        return left, (left * right).sum(-1, keepdim=True)


class WithMetadata(nn.Module):
    """An image and a row of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 16, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.row, self.head = nn.Linear(5, 16), nn.Linear(32, 10)

    def forward(self, image: Any, row: Any) -> Any:
        return self.head(torch.cat([self.image(image), self.row(row).relu()], 1))
