"""Recipes: every choice of a training, one YAML file each; the file's name is what users type.

A file holds the keys of `Recipe`, and under a key that is a structure the keys of that. Keys left out have the
defaults given here. `about` says in one line what the recipe is for, or whose it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edgebench.errors import UnknownName, UserError
from edgebench.files import yaml_file

SUFFIX = ".yaml"
_FOLDER = Path(__file__).parent

Count = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Policy = Literal["auto", "always", "never"]


class _Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


# ------------------------------------------------------------------ optimisers: `name:` says which


class Sgd(_Choice, frozen=True, tag_field="name", tag="sgd"):
    learning_rate: Amount
    momentum: Share = 0.0
    nesterov: bool = False
    weight_decay: Amount = 0.0


class Adam(_Choice, frozen=True, tag_field="name", tag="adam"):
    learning_rate: Amount
    weight_decay: Amount = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)


class AdamW(_Choice, frozen=True, tag_field="name", tag="adamw"):
    learning_rate: Amount
    weight_decay: Amount = 0.01
    betas: tuple[Share, Share] = (0.9, 0.999)


class Lion(_Choice, frozen=True, tag_field="name", tag="lion"):
    learning_rate: Amount
    weight_decay: Amount = 0.0
    betas: tuple[Share, Share] = (0.9, 0.99)


Optimiser = Sgd | Adam | AdamW | Lion


# ------------------------------------------------------------------ schedules: the learning rate is the peak


class Constant(_Choice, frozen=True, tag_field="name", tag="constant"):
    pass


class OneCycle(_Choice, frozen=True, tag_field="name", tag="one-cycle"):
    """Up for a share of the steps, then down to zero (Smith and Topin 2017, arXiv:1708.07120).

    momentum: (smallest, largest); falls while the rate rises, and back. None: the optimiser's own.
    """

    warm_up: Share = 0.3
    momentum: tuple[Share, Share] | None = (0.85, 0.95)


class Cosine(_Choice, frozen=True, tag_field="name", tag="cosine"):
    """Down to zero, one step after each epoch."""


class WarmUpCosine(_Choice, frozen=True, tag_field="name", tag="warm-up-cosine"):
    """Up from zero for a share of the steps, then down to zero along half a cosine."""

    warm_up: Share = 0.1


class Plateau(_Choice, frozen=True, tag_field="name", tag="plateau"):
    """Multiplied by `factor` after more than `patience` epochs without a lower validation loss."""

    factor: Share = 0.5
    patience: int = 3


Schedule = Constant | OneCycle | Cosine | WarmUpCosine | Plateau


# ------------------------------------------------------------------ what is done to images, labels and the network


class Augment(_Choice, frozen=True):
    """Applied to each training image separately.

    flip: mirrors half of them, if the data set says that a mirrored image keeps its class. shift: moves by up to so
    many pixels, like a random crop from a padded image. rotate: by up to so many degrees. auto_augment: a policy of
    Cubuk et al. 2019 (arXiv:1805.09501), drawn for groups of eight images. erase: probability that a rectangle is
    blanked (Zhong et al. 2017, arXiv:1708.04896).
    """

    flip: bool = False
    shift: Annotated[int, msgspec.Meta(ge=0)] = 0
    rotate: Amount = 0.0
    auto_augment: Literal["cifar10", "imagenet", "svhn"] | None = None
    erase: Share = 0.0


class Mix(_Choice, frozen=True):
    """Mixes pairs of images (MixUp arXiv:1710.09412, CutMix arXiv:1905.04899); an alpha of 0 turns that method off.

    probability: that a batch is mixed; with both alphas set, each method is equally likely.
    """

    mixup_alpha: Amount = 0.0
    cutmix_alpha: Amount = 0.0
    probability: Share = 1.0


class Dropout(_Choice, frozen=True):
    """For every dropout layer: `first` in the first epoch, `last` in the last, linear in between."""

    first: Share
    last: Share


class EarlyStopping(_Choice, frozen=True):
    """Ends after `patience` epochs without a lower validation loss; the weights with the lowest are kept."""

    patience: Count


class Stage(_Choice, frozen=True):
    """Progressive unfreezing. train: patterns ("classifier.*") of the parameters that this stage trains.

    Nothing else moves, normalisation statistics included, and each stage must train something that the previous one did
    not. optimiser: in place of the recipe's. trainable: number of trained parameters, written by the training.
    """

    train: tuple[str, ...]
    epochs: Count
    optimiser: Optimiser | None = None
    trainable: int = 0


class Normalise(_Choice, frozen=True):
    """In place of the data set's own; a single number applies to all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Distil(_Choice, frozen=True):
    """Learn from a teacher's answers (Hinton et al. 2015, arXiv:1503.02531): alpha is their share of the loss.

    teacher: digest of the teacher's checkpoint, written by the training.
    """

    temperature: Annotated[float, msgspec.Meta(gt=0)] = 4.0
    alpha: Share = 0.9
    teacher: str = ""


class Recipe(_Choice, frozen=True):
    """label_smoothing: share of the target that goes to all classes. clip_gradients: largest norm, 0 for no limit.

    resize: (height, width) of the network's input, if not the data set's own. keep: the epoch whose weights are kept;
    the best has the highest validation accuracy, or with early stopping the lowest validation loss. mixed_precision:
    bfloat16 where that is safe; "auto": on GPUs only. compile: "auto": on GPUs, for trainings of many steps. name: of
    the file.
    """

    about: str
    epochs: Count
    batch: Count
    optimiser: Optimiser
    schedule: Schedule = Constant()
    label_smoothing: Share = 0.0
    clip_gradients: Amount = 0.0
    augment: Augment = Augment()
    mix: Mix = Mix()
    dropout: Dropout | None = None
    early_stopping: EarlyStopping | None = None
    stages: tuple[Stage, ...] = ()
    normalise: Normalise | None = None
    resize: tuple[Count, Count] | None = None
    distil: Distil | None = None
    mixed_precision: Policy = "auto"
    compile: Policy = "auto"
    keep: Literal["last", "best-validation"] = "last"
    name: str = ""

    def __post_init__(self) -> None:
        together = sum(stage.epochs for stage in self.stages)
        if self.stages and together != self.epochs:
            raise ValueError(f"the stages have {together} epochs in total, but `epochs` is {self.epochs}")

    def recorded(self) -> dict[str, Any]:
        """Every choice as plain values, defaults included."""
        written: dict[str, Any] = msgspec.to_builtins(self)
        return written


# ------------------------------------------------------------------ the files


def names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob(f"*{SUFFIX}"))


def recipe(asked: str | Path | Recipe, epochs: int | None = None) -> Recipe:
    """A recipe by its name, by the path of a .yaml file, or passed through.

    epochs: replaces the recipe's number. Raises UnknownName, BadFile for an unreadable file, an unknown key or a value
    out of range, and UserError for an impossible number of epochs.
    """
    chosen = asked if isinstance(asked, Recipe) else _named(asked)
    if epochs is None:
        return chosen
    if epochs < 1:
        raise UserError("--epochs", f"{epochs} epochs train nothing", "Give 1 or more")
    if chosen.stages:
        raise UserError("--epochs", f"each stage of recipe '{chosen.name}' has its own", "Change them in a recipe file")
    return msgspec.structs.replace(chosen, epochs=epochs)


def _named(asked: str | Path) -> Recipe:
    path = Path(asked)
    if path.suffix != SUFFIX:
        if str(asked) not in names():
            raise UnknownName("recipe", str(asked), names())
        path = _FOLDER / f"{asked}{SUFFIX}"
    return msgspec.structs.replace(yaml_file.load(path, Recipe), name=path.stem)
