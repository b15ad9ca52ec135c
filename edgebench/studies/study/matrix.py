"""A study file -> the steps to make, each once.

A step is identified by its inputs: two variants that begin with the same training share it, and a step whose folder
exists is done. The chain of one variant:

    train (teacher, branches: other chains) ─> change ─> change ─> read
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from edgebench.networks import data
from edgebench.networks.pruning import PruningRequest
from edgebench.schema.preprocessing import Geometry
from edgebench.studies.study.file import Change, Part, Study, Variant, choices
from edgebench.studies.study.own_data import OwnData, StudyData
from edgebench.studies.study.results import Axis

SLUG_LENGTH = 60
OWN_DATA_ONLY = ("content", "geometry", "preprocessing")


class StudyStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing to make from `parents` (keys of other steps).

    Parents of train: the teacher, if there is one, then the networks that branches come from; of change and read: the
    network itself. choices: all those of the recipe, so that an edited recipe makes a different step. content: sha256
    over a user's own data, so that other images make a different step too.
    """

    kind: Literal["train", "change", "read"]
    label: str
    parents: tuple[str, ...] = ()
    model: str = ""
    arguments: dict[str, Any] = {}
    dataset: str = ""
    recipe: str = ""
    choices: dict[str, Any] = {}
    epochs: int | None = None
    seed: int = 0
    has_teacher: bool = False
    pruning: PruningRequest | None = None
    packing: tuple[str, ...] = ()
    content: str = ""
    geometry: Geometry | None = None
    preprocessing: str | None = None

    @property
    def key(self) -> str:
        """The step's identity, without what is meant for people: the label and the recipe's description."""
        choices = {name: choice for name, choice in self.choices.items() if name != "about"}
        described = msgspec.to_builtins(msgspec.structs.replace(self, label="", choices=choices))
        for name in OWN_DATA_ONLY:  # steps on built-in data keep the keys that they always had
            if not described[name]:
                del described[name]
        return hashlib.sha256(msgspec.json.encode(described, order="sorted")).hexdigest()[:16]

    @property
    def folder(self) -> str:
        slug = "".join(sign if sign.isalnum() or sign in "-." else "-" for sign in f"{self.kind}-{self.label}")
        return f"{slug[:SLUG_LENGTH]}-{self.key}"


@dataclass(frozen=True)
class Cell:
    """One variant with one seed: the keys of the step of its last network and of the step that read it."""

    part: str
    label: str
    axes: dict[str, Axis]
    seed: int
    network: str
    reading: str


@dataclass(frozen=True)
class Matrix:
    """steps: by key, every step after its parents."""

    steps: dict[str, StudyStep]
    cells: tuple[Cell, ...]


def parts(study: Study, *, only: tuple[str, ...] = (), subset: bool = False) -> dict[str, Part]:
    """The parts as they are run. only: names of parts; all by default."""
    wanted = {name: part for name, part in study.parts.items() if not only or name in only}
    return {name: cut_down(part) for name, part in wanted.items()} if subset else wanted


def expand(parts: dict[str, Part], own: OwnData = MappingProxyType({})) -> Matrix:
    """own: the data of the user's own that the parts name."""
    steps: dict[str, StudyStep] = {}
    cells = []
    for name, part in parts.items():
        for variant, model, dataset, seed in _combinations(part):
            chain = _Chain(part, model, dataset, seed, own.get((name, dataset)))
            last = chain.network(variant)
            label = f"{model} {dataset} {variant}"
            reading = chain.add(
                StudyStep(
                    "read",
                    f"{label} s{seed}",
                    (last,),
                    dataset=chain.address,
                    seed=seed,
                    packing=part.packing,
                )
            )
            steps.update(chain.steps)
            axes = _axes(name, variant, part.variants[variant], model, dataset)
            cells.append(Cell(name, label, axes, seed, last, reading))
    return Matrix(steps, tuple(cells))


def cut_down(part: Part) -> Part:
    """A part as `--subset` runs it."""
    cut = part.subset
    given = {
        name: value
        for name in ("models", "datasets", "seeds", "epochs", "formats", "targets")
        if (value := getattr(cut, name)) is not None
    }
    variants = {name: part.variants[name] for name in cut.variants or part.variants}
    if cut.epochs is not None:
        variants = {name: msgspec.structs.replace(one, epochs=None) for name, one in variants.items()}
    if cut.finetune_epochs is not None:
        variants = {name: _shortened(one, cut.finetune_epochs) for name, one in variants.items()}
    return msgspec.structs.replace(part, variants=variants, **given)


def _shortened(variant: Variant, epochs: int) -> Variant:
    changes = tuple(msgspec.structs.replace(one, epochs=epochs) if one.epochs else one for one in variant.after)
    return msgspec.structs.replace(variant, after=changes)


def _combinations(part: Part) -> Iterator[tuple[str, str, str, int]]:
    for variant, one in part.variants.items():
        for model in [one.model] if one.model else part.models:
            for dataset in part.datasets:
                for seed in range(part.seeds):
                    yield variant, model, dataset, seed


def _axes(part: str, name: str, variant: Variant, model: str, dataset: str) -> dict[str, Axis]:
    axes: dict[str, Axis] = {"part": part, "variant": name, "model": model, "dataset": data.plain_name(dataset)}
    if variant.note:
        axes["note"] = variant.note
    used = [one for one in (variant.before, *(change.prune for change in variant.after)) if one is not None]
    if used:
        axes["method"] = used[-1].method
        if used[-1].ratio is not None:
            axes["ratio"] = used[-1].ratio
    return axes


class _Chain:
    """The steps that lead to the networks of one model, data set and seed."""

    def __init__(self, part: Part, model: str, dataset: str, seed: int, own: StudyData | None) -> None:
        self.steps: dict[str, StudyStep] = {}
        self._part = part
        self._model = model
        self._dataset = dataset
        self._seed = seed
        self.address = own.address if own else dataset
        self._content = own.content if own else ""

    def add(self, step: StudyStep) -> str:
        self.steps[step.key] = step
        return step.key

    def network(self, name: str) -> str:
        """The key of a variant's last network; adds its steps and those that it depends on."""
        part, variant = self._part, self._part.variants[name]
        parents = [self.network(other) for other in (*filter(None, [variant.teacher]), *variant.branches)]
        model = variant.model or self._model
        recipe = variant.recipe or part.recipe
        last = self.add(
            StudyStep(
                "train",
                " ".join([model, self._dataset, recipe, *_in_words(variant.before), f"s{self._seed}"]),
                tuple(parents),
                model=model,
                arguments=variant.arguments,
                dataset=self.address,
                recipe=recipe,
                choices=choices(recipe, variant.choices),
                epochs=variant.epochs or part.epochs,
                seed=self._seed,
                has_teacher=bool(variant.teacher),
                pruning=variant.before,
                content=self._content,
                geometry=part.geometry,
                preprocessing=part.preprocessing,
            )
        )
        for change in variant.after:
            last = self.add(self._change(name, last, change))
        return last

    def _change(self, name: str, parent: str, change: Change) -> StudyStep:
        return StudyStep(
            "change",
            f"{self._model} {self._dataset} {name} s{self._seed}",
            (parent,),
            dataset=self.address,
            recipe=change.recipe,
            choices=choices(change.recipe, {}),
            epochs=change.epochs,
            seed=self._seed,
            pruning=change.prune,
        )


def _in_words(pruning: PruningRequest | None) -> list[str]:
    if pruning is None:
        return []
    return [pruning.method] if pruning.ratio is None else [pruning.method, f"{pruning.ratio:g}"]
