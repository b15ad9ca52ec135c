"""What a network of the table is, and how its inputs and its .onnx file are made."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Sample = tuple[Any, ...]  # one array for each input


@dataclass(frozen=True)
class Port:
    """An input. below: of integers, which are drawn from 0 on. Floats are drawn from N(0, 1)."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    below: int = 0

    def draw(self, random: np.random.Generator) -> Any:
        if self.dtype == "bool":
            return random.random(self.shape) < 0.5
        if self.below:
            return random.integers(0, self.below, self.shape).astype(self.dtype)
        return random.standard_normal(self.shape).astype(self.dtype)


IMAGE = (Port("image", (1, 3, 32, 32)),)


@dataclass(frozen=True)
class Network:
    """make: a callable without arguments that its module exports, so that `export` can be given its name.

    opset: of its .onnx file; dynamo: which of torch's two exporters writes it. edit: changes that file; such a network
    exists only as a file, and `as_file` says the same of others whose file is what matters.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: tuple[Port, ...] = IMAGE
    opset: int = 17
    dynamo: bool = False
    edit: Callable[[Path], None] | None = None
    as_file: bool = False
    open_sizes: bool = False

    @property
    def is_file(self) -> bool:
        return self.as_file or self.edit is not None

    @property
    def callable(self) -> str:
        return f"{self.make.__module__}:{self.make.__qualname__}"

    def network(self) -> nn.Module:
        import torch

        torch.manual_seed(0)
        return self.make().float().eval()

    def samples(self, count: int, seed: int = 0) -> list[Sample]:
        random = np.random.default_rng(seed)
        return [tuple(port.draw(random) for port in self.inputs) for _ in range(count)]

    def answers(self, samples: list[Sample]) -> list[Sample]:
        """What the network itself says, in torch; one array for each output."""
        import torch

        network = self.network()
        with torch.inference_mode():
            found = [network(*(torch.from_numpy(one) for one in sample)) for sample in samples]
        return [tuple(part.numpy() for part in (one if isinstance(one, tuple) else (one,))) for one in found]

    def own_answers(self, folder: Path, samples: list[Sample]) -> list[Sample]:
        """What the source says: the network in torch, or the .onnx file (written again) in ONNX Runtime."""
        if not self.is_file:
            return self.answers(samples)
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        path = self.write(folder / "source.onnx")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_inputs()]
        return [tuple(session.run(None, dict(zip(names, sample, strict=True)))) for sample in samples]

    def write(self, path: Path) -> Path:
        """As an .onnx file."""
        import torch

        example = tuple(torch.from_numpy(one) for one in self.samples(1)[0])
        more: dict[str, Any] = {"external_data": False, "verbose": False} if self.dynamo else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                self.network(),
                example,
                str(path),
                dynamo=self.dynamo,
                opset_version=self.opset,
                input_names=[port.name for port in self.inputs],
                **more,
            )
        if self.edit:
            self.edit(path)
        return path
