"""What a killed training goes on from: one file, written after every epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgebench.errors import UserError
from edgebench.files.replacing import replacing

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.networks.training.recipes import Recipe


SUFFIX = ".part"


def state_path(checkpoint: Path) -> Path:
    """Where the training of a checkpoint keeps what it needs to go on: beside it."""
    return checkpoint.with_suffix(SUFFIX)


def fingerprint(
    recipe: Recipe, seed: int, split_sha256: str, parent: str | None, network: nn.Module, teacher: nn.Module | None
) -> str:
    """Equal for trainings that go the same way: recipe, seed, data and the weights that they start from."""
    digest = hashlib.sha256(msgspec.json.encode((recipe.recorded(), seed, split_sha256, parent)))
    for module in (network, teacher) if teacher else (network,):
        for name, tensor in module.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save(path: Path, mark: str, content: Mapping[str, Any]) -> None:
    """`path` is either the whole new state or the one before. mark: the training's fingerprint."""
    import torch

    try:
        with replacing(path) as partial:
            torch.save({"mark": mark, "random": _random_state(), **content}, partial)
    except (OSError, RuntimeError) as error:  # torch's own for a disk that is full
        raise UserError(
            str(path), f"cannot be written ({_why(error)})", "Make room, or name another place with --out; then again"
        ) from error


def _why(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]) or type(error).__name__


def load(path: Path, mark: str) -> dict[str, Any] | None:
    """The state of this very training, if it is there; torch's random numbers then go on where they were."""
    import pickle

    import torch

    try:
        content: dict[str, Any] = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return None
    if not isinstance(content, dict) or content.get("mark") != mark:
        return None
    torch.set_rng_state(content["random"]["cpu"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["random"]["cuda"])
    return content


def _random_state() -> dict[str, torch.Tensor | list[torch.Tensor]]:
    import torch

    gpu = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": gpu}
