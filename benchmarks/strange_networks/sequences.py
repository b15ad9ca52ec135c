"""Networks over sequences: recurrent ones, attention, tokens, sound."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

STEPS, FEATURES, TOKENS = 20, 12, 50


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], layers: int = 1, *, both_ways: bool = False) -> None:
        super().__init__()
        self.cells = kind(FEATURES, 16, layers, batch_first=True, bidirectional=both_ways)  # type: ignore[call-arg]
        self.head = nn.Linear(32 if both_ways else 16, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.cells(x)[0][:, -1])


def gru() -> nn.Module:
    return Recurrent(nn.GRU)


def gru_both_ways() -> nn.Module:
    return Recurrent(nn.GRU, both_ways=True)


def lstm() -> nn.Module:
    return Recurrent(nn.LSTM)


def lstm_layers() -> nn.Module:
    return Recurrent(nn.LSTM, 2)


def lstm_both_ways() -> nn.Module:
    return Recurrent(nn.LSTM, 2, both_ways=True)


def rnn_tanh() -> nn.Module:
    return Recurrent(nn.RNN)


class LstmState(nn.Module):
    """State in, state out, as keyword spotters stream."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.head = nn.LSTM(FEATURES, 16, batch_first=True), nn.Linear(16, 4)

    def forward(self, x: Any, hidden: Any, cell: Any) -> Any:
        found, (hidden, cell) = self.cells(x, (hidden, cell))
        return self.head(found[:, -1]), hidden, cell


class LstmCells(nn.Module):
    """One step at a time, unrolled."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(FEATURES, 16), nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        hidden = cell = torch.zeros(1, 16)
        for step in range(5):
            hidden, cell = self.cell(x[:, step], (hidden, cell))
        return self.head(hidden)


class Encoder(nn.Module):
    """LayerNorm, GELU, torch's own encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(FEATURES, 3, 32, activation="gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x).mean(1))


class MultiHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend, self.norm = nn.MultiheadAttention(FEATURES, 4, batch_first=True), nn.LayerNorm(FEATURES)
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, x: Any) -> Any:
        found, weights = self.attend(x, x, x)
        return self.head(self.norm(x + found).mean(1)), weights


class CrossAttention(nn.Module):
    """Two inputs of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.attend, self.head = nn.MultiheadAttention(FEATURES, 2, batch_first=True), nn.Linear(FEATURES, 10)

    def forward(self, query: Any, memory: Any) -> Any:
        return self.head(self.attend(query, memory, memory, need_weights=False)[0].mean(1))


class DividedScores(nn.Module):
    """Attention by hand: scores divided by a number, which tracing leaves as a scalar constant."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(FEATURES, 48), nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(x).reshape(-1, STEPS, 3, 2, 8).permute(2, 0, 3, 1, 4)
        found = (q @ k.transpose(-1, -2) / math.sqrt(8)).softmax(-1) @ v
        return self.head(found.transpose(1, 2).reshape(-1, STEPS, 16).mean(1))


class Einsum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(FEATURES, 48), nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(x).reshape(-1, STEPS, 3, 2, 8).unbind(2)
        weights = torch.einsum("bihd,bjhd->bhij", q, k).mul(8**-0.5).softmax(-1)
        return self.head(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2).mean(1))


class CausalScaled(nn.Module):
    """`scaled_dot_product_attention` with a causal mask, RMS norm, SwiGLU: a language model's block."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv, self.out = nn.Embedding(TOKENS, 16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.gate, self.up, self.down = nn.Linear(16, 32), nn.Linear(16, 32), nn.Linear(32, 16)
        self.norm, self.scale = nn.Linear(16, TOKENS), nn.Parameter(torch.rand(16) + 0.5)

    def forward(self, tokens: Any) -> Any:
        x = self.embed(tokens)
        q, k, v = (part.reshape(-1, STEPS, 2, 8).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        found = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        return self.norm(x + self.down(functional.silu(self.gate(x)) * self.up(x)))


class Embedded(nn.Module):
    """Token ids in, classes out, as text classifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(TOKENS, 16), nn.Parameter(torch.randn(1, STEPS, 16))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.norm(self.words(tokens) + self.places).mean(1))


class Padded(nn.Module):
    """Token ids and a mask of those that count."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(TOKENS, 16), nn.Linear(16, 10)

    def forward(self, tokens: Any, mask: Any) -> Any:
        kept = mask.unsqueeze(-1)
        x = self.words(tokens).masked_fill(kept == 0, 0.0)
        return self.head(x.sum(1) / kept.sum(1).clamp(min=1))


class Sound(nn.Module):
    """Conv1d over samples, strided and dilated."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(1, 8, 9, 4), nn.BatchNorm1d(8), nn.ReLU()),
            *(nn.Conv1d(8, 16, 3, padding=2, dilation=2), nn.ReLU(), nn.MaxPool1d(2)),
            *(nn.Conv1d(16, 16, 3, groups=16), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 10)),
        )

    def forward(self, x: Any) -> Any:
        return self.body(x)


class WaveUp(nn.Module):
    """Sound in, sound out: ConvTranspose1d, gated activation."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv1d(1, 16, 8, 4, 2), nn.ConvTranspose1d(8, 1, 8, 4, 2)

    def forward(self, x: Any) -> Any:
        filters, gate = self.down(x).chunk(2, 1)
        return self.up(filters.tanh() * gate.sigmoid())


class Summed(nn.Module):
    """Running sums: cumsum."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(FEATURES, 16), nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x).cumsum(1)[:, ::5].mean(1))


class Mlp(nn.Module):
    """A linear attention-free mixer of steps and features."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.steps, self.features = nn.LayerNorm(FEATURES), nn.Linear(STEPS, STEPS), nn.Linear(FEATURES, 24)
        self.back, self.head = nn.Linear(24, FEATURES), nn.Linear(FEATURES, 10)

    def forward(self, x: Any) -> Any:
        x = x + self.steps(self.norm(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.back(functional.gelu(self.features(self.norm(x)), approximate="tanh"))
        return self.head(x.mean(1))


class Rotary(nn.Module):
    """Rotated queries and keys, then attention."""

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(STEPS)[:, None] / 100 ** (torch.arange(4) / 4)
        self.register_buffer("cos", angles.cos().repeat(1, 2))
        self.register_buffer("sin", angles.sin().repeat(1, 2))
        self.qkv, self.head = nn.Linear(FEATURES, 24), nn.Linear(8, 10)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(x).split(8, -1)
        q, k = (one * self.cos + torch.cat([-one[..., 4:], one[..., :4]], -1) * self.sin for one in (q, k))
        return self.head(((q @ k.transpose(1, 2) / 8**0.5).softmax(-1) @ v).mean(1))
