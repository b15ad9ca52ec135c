"""The state that a killed training resumes from: one file, written after every epoch."""

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
    """The file beside a checkpoint that its training resumes from."""
    return checkpoint.with_suffix(SUFFIX)


def fingerprint(
    recipe: Recipe, seed: int, split_sha256: str, parent: str | None, network: nn.Module, teacher: nn.Module | None
) -> str:
    """Equal for trainings with the same recipe, seed, data and initial weights."""
    digest = hashlib.sha256(msgspec.json.encode((recipe.recorded(), seed, split_sha256, parent)))
    for module in (network, teacher) if teacher else (network,):
        for name, tensor in module.state_dict().items():
            digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save(path: Path, mark: str, content: Mapping[str, Any]) -> None:
    """Write the whole new state, or leave the previous one. mark: the training's fingerprint."""
    import torch

    try:
        with replacing(path) as partial:
            torch.save({"mark": mark, "random": _random_state(), **content}, partial)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's, for a full disk
        raise UserError(
            str(path),
            f"cannot be written ({_why(error)})",
            "Free some space or choose another place with --out, then run the command again",
        ) from error


def _why(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]) or type(error).__name__


def load(path: Path, mark: str) -> dict[str, Any] | None:
    """The state of this same training, if there is one; also restores torch's random state."""
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
