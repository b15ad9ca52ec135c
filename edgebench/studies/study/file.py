"""Study files (studies/*.yaml): what is trained, changed, exported, measured, and what the study claims."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from edgebench.files import yaml_file
from edgebench.networks import training
from edgebench.networks.pruning import PruningRequest
from edgebench.schema.preprocessing import Geometry
from edgebench.studies.audit.published import PublishedTable as Published

Count = Annotated[int, msgspec.Meta(ge=1)]


# What a claim can be about. The first follow from the network alone and need no interval.
EXACT_METRICS = ("parameters", "macs", "nonzero", "file_bytes")
METRICS = (
    *EXACT_METRICS,
    *("accuracy", "loss", "train_accuracy", "validation_accuracy", "ece"),
    *("training_s", "training_j", "peak_memory_bytes", "latency_ratio"),
)


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change of a trained network. Without `prune` it is only trained further: the control for pruning."""

    prune: PruningRequest | None = None
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 0
    recipe: str = "finetune"


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network of a part. Values left out are the part's.

    before: pruning before its first training. after: changes of the trained network, in order. teacher, branches: names
    of variants of the same part whose networks it learns from, or is assembled from. choices: replace those of the
    recipe. note: label in figures.
    """

    model: str = ""
    arguments: dict[str, Any] = {}
    recipe: str = ""
    choices: dict[str, Any] = {}
    epochs: Count | None = None
    before: PruningRequest | None = None
    after: tuple[Change, ...] = ()
    teacher: str = ""
    branches: tuple[str, ...] = ()
    note: str = ""


class Subset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `--subset` puts in place of the part's values; `finetune_epochs` replaces the epochs of every change.

    datasets may be parts of data sets (`cifar10@10000,2000`).
    """

    models: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    variants: tuple[str, ...] | None = None
    seeds: Count | None = None
    epochs: Count | None = None
    finetune_epochs: Count | None = None
    formats: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One matrix: models x datasets x variants x seeds, then formats x targets for the first seed.

    datasets: names of built-in ones, or data of the user's own with paths relative to the study file. geometry: how its
    images get their size; preprocessing: a name of `networks.normalisation` (both as `train` takes them).
    """

    about: str
    datasets: tuple[str, ...]
    variants: dict[str, Variant]
    recipe: str
    models: tuple[str, ...] = ()
    seeds: Count = 1
    epochs: Count | None = None
    packing: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    subset: Subset = Subset()
    geometry: Geometry | None = None
    preprocessing: str | None = None


class Exact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers that follow from the network alone, without training: computed, and compared digit by digit.

    input: such as 3x32x32. expect: quantity (parameters, macs, ...; see study/exact.py) -> value.
    """

    model: str
    input: str
    classes: int
    expect: dict[str, int | float | str]
    arguments: dict[str, Any] = {}
    prune: PruningRequest | None = None


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The network that a claim is about. model, dataset: needed if the part has several."""

    variant: str
    model: str = ""
    dataset: str = ""
    part: str = ""


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One statement of a study (or a relation that edgebench expects) and how it is tested.

    The difference `metric`(of) - `metric`(to), or the value of `of` alone without `to`, must be at least / at most a
    bound; both bounds together mean "no different". why: the explanation if the claim does not hold. untestable: why
    the statement cannot be tested like this.
    """

    says: str
    by: Literal["study", "edgebench"] = "study"
    part: str = ""
    metric: str = "accuracy"
    of: Side | None = None
    to: Side | None = None
    at_least: float | None = None
    at_most: float | None = None
    why: str = ""
    untestable: str = ""


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str
    source: str
    about: str
    parts: dict[str, Part]
    figures: tuple[str, ...]
    exact: tuple[Exact, ...] = ()
    claims: tuple[Claim, ...] = ()
    published: tuple[Published, ...] = ()


def choices(recipe: str, other: dict[str, Any]) -> dict[str, Any]:
    """Every choice of a recipe, replaced where `other` has one. Raises BadFile for one that no recipe has."""
    written = msgspec.to_builtins(training.recipe(recipe)) | other
    return yaml_file.convert(written, training.Recipe, f"choices of recipe '{recipe}'").recorded()
