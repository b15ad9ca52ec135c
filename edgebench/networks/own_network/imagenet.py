"""ImageNet weights of torchvision's networks: `--weights imagenet`.

They are looked for where torch keeps them ($TORCH_HOME/hub/checkpoints) and where edgebench keeps data
($EDGEBENCH_DATA), else downloaded to the latter. A file's name holds the beginning of its sha256, which is checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.files import cache, download
from edgebench.networks import data
from edgebench.networks.own_network import weight_files
from edgebench.schema.preprocessing import Geometry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from edgebench.progress import Progress

NAME = "imagenet"
# Our names of torchvision's networks, whose tensors have the same names.
OURS = {
    "mobilenetv2": "mobilenet_v2",
    "resnet18": "resnet18",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnet_b4": "efficientnet_b4",
    "vgg16": "vgg16",
}
# Networks whose head is another one than torchvision's: only these tensors are taken.
ONLY = {"vgg16": "features."}
_CALLABLE = "torchvision.models:"
MAPS = 4  # axes of a convolution's weights
_HASH = re.compile(r"-([0-9a-f]{8,})\.pth$")


@dataclass(frozen=True)
class PublishedWeights:
    """A file, and how the images are prepared that its network was trained on. only: see `ONLY`."""

    url: str
    geometry: Geometry
    only: str = ""

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def checksum(self) -> str:
        found = _HASH.search(self.file_name)
        assert found is not None, self.url
        return f"sha256:{found[1]}"


def published(model: str) -> tuple[PublishedWeights, ...]:
    """Those for a network of ours, or for `torchvision.models:NAME`; the recommended ones first. Raises UserError."""
    name = OURS.get(model) or (model.removeprefix(_CALLABLE) if model.startswith(_CALLABLE) else "")
    if not name:
        raise UserError(
            f"--weights {NAME}",
            f"there are none for '{model}'",
            f"There are for {', '.join(OURS)}, and for torchvision.models:NAME; else name a file",
        )
    try:
        from torchvision import models as zoo
    except ModuleNotFoundError as error:
        raise MissingPackage(f"--weights {NAME}", "torchvision", "train") from error
    try:
        choices: Any = zoo.get_model_weights(name)
    except ValueError as error:
        raise UserError(f"--weights {NAME}", f"torchvision has none for '{name}'", "Name a file") from error
    ordered = sorted(choices, key=lambda one: one is not choices.DEFAULT)
    made = [PublishedWeights(one.url, _geometry(one.transforms()), ONLY.get(model, "")) for one in ordered]
    return tuple(one for one in made if _HASH.search(one.file_name))


def find(model: str, choices: Sequence[PublishedWeights], progress: Progress) -> tuple[PublishedWeights, Path]:
    """The first of the files that is here, else the first downloaded. Raises UserError, BadFile."""
    folders = [_hub(), data.folder()]
    for one in choices:
        for folder in folders:
            path = folder / one.file_name
            if path.is_file():
                _check(path, one)
                return one, path
    first = choices[0]
    path = data.folder() / first.file_name
    try:
        with cache.writing(), progress.step(f"download {first.file_name}"):
            download.fetch([first.url], path, first.checksum)
    except download.NotFetched as error:
        raise UserError(
            f"--weights {NAME}",
            f"{first.file_name} for {model} is not in {folders[0]} nor in {folders[1]}, and cannot be downloaded "
            f"({error})",
            f"Download {first.url} on another machine, and put it into one of these folders",
        ) from error
    return first, path


def fill(network: nn.Module, path: Path, one: PublishedWeights, output: str) -> str:
    """Load them; returns what was left out or changed. output: the output layer, which keeps random weights if the
    network is for other classes than ImageNet's 1,000. Raises BadFile.
    """
    own = network.state_dict()
    tensors = {name: tensor for name, tensor in weight_files.tensors_of(path).items() if name.startswith(one.only)}
    notes = [_in_grey(tensors, own)]
    fresh = {name for name in own if not name.startswith(one.only)}
    if fresh:
        layers = sorted({name.rpartition(".")[0] for name in fresh})
        notes.append(f"only '{one.only}*' taken; {', '.join(layers)} keep random weights")
    elif output and len(tensors.get(f"{output}.weight", ())) != len(own[f"{output}.weight"]):
        fresh = {f"{output}.weight", f"{output}.bias"}
        notes.append(f"'{output}' keeps random weights: the data has {len(own[f'{output}.weight'])} classes")
    wrong = weight_files.misfits(tensors, own, but=fresh)
    if wrong:
        raise BadFile(str(path), wrong, "Give the arguments that torchvision trained this network with, or none")
    weight_files.put(network, {name: tensor for name, tensor in tensors.items() if name not in fresh})
    return "; ".join(note for note in notes if note)


def _in_grey(tensors: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> str:
    """Make weights for colours fit a network for grey images; returns what was done.

    The sum over the colours answers a grey image as the network answers the same image in three equal colours.
    """
    for name, tensor in tensors.items():
        wanted = own.get(name)
        if wanted is not None and wanted.ndim == tensor.ndim == MAPS and (wanted.shape[1], tensor.shape[1]) == (1, 3):
            tensors[name] = tensor.sum(1, keepdim=True)
            return f"'{name}' summed over its three colours, as the images are grey"
    return ""


def _hub() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _check(path: Path, one: PublishedWeights) -> None:
    if not download.has_checksum(path, one.checksum):
        raise BadFile(
            str(path),
            "its sha256 is not the one in its name: damaged, or another file",
            "Delete it, and run again",
        )


def _geometry(transforms: Any) -> Geometry:
    resize, crop = transforms.resize_size, transforms.crop_size
    return Geometry(
        tuple(resize),
        (crop[0], crop[-1]),
        "bicubic" if "bicubic" in str(transforms.interpolation).lower() else "bilinear",
        transforms.antialias is not False,
    )
