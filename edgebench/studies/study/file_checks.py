"""Checks, before anything is trained, that everything a study file names exists and can be done."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

import exporters
from edgebench import plugins
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.files import yaml_file
from edgebench.networks import models, normalisation, packing, pruning, training
from edgebench.networks.own_data import refuse_options
from edgebench.studies.study import exact, own_data
from edgebench.studies.study.file import METRICS, Claim, Exact, Part, Side, Study, Variant, choices
from edgebench.studies.study.matrix import cut_down

_DATASET = re.compile(r"[^@]+(@[0-9]+(,[0-9]+)?)?")


def load(path: Path, only: Collection[str] = ()) -> Study:
    """Read a study and check every name in it, before anything is trained. Raises BadFile or UnknownName.

    only: names of parts that it must contain.
    """
    study = yaml_file.load(path, Study)
    _check(study, path, only)
    return study


def _check(study: Study, path: Path, only: Collection[str]) -> None:
    file = str(path)
    for name in only:
        _known(f"part ({file})", name, study.parts)
    for name, part in study.parts.items():
        with _located(f"{file}, part '{name}'"):
            _check_names(part)
            for one in (part, cut_down(part)):
                _check_part(one, path.parent)
    for figure in study.figures:
        plugins.load("edgebench.studies.study.figures", figure, kind=f"figure ({file})")
    for number in study.exact:
        with _located(f"{file}, exact numbers of '{number.model}'"):
            _check_exact(number)
    for claim in study.claims:
        with _located(f"{file}, claim '{claim.says[:40]}'"):
            _check_claim(study, claim)


@contextmanager
def _located(where: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise BadFile(where, f"{error.where}: {error.seen}", error.remedy) from error


def _check_names(part: Part) -> None:
    """The names that `cut_down` looks up."""
    for name in part.subset.variants or ():
        _known("variant of the subset", name, part.variants)


def _check_part(part: Part, folder: Path) -> None:
    for kind, names in (("models", part.models), ("datasets", part.datasets)):
        if len(set(names)) < len(names):
            raise UserError(kind, f"one of {', '.join(names)} is listed twice", "List each once")
    for dataset in part.datasets:
        _check_dataset(dataset, folder)
    if part.preprocessing is not None:
        _known("preprocessing", part.preprocessing, (*normalisation.NAMES, normalisation.DATA_SET))
    for name, variant in part.variants.items():
        _check_variant(part, variant)
        _check_needs(part, name, ())
    for name in part.packing:
        _known("packing format", name, packing.names())
    if part.formats:
        absent = exporters.without_packages(exporters.choose(list(part.formats), "checkpoint"))
        if absent:
            raise next(iter(absent.values()))


def _check_dataset(dataset: str, folder: Path) -> None:
    if own_data.located(dataset, folder) is not None:
        return
    refuse_options(dataset)
    if not _DATASET.fullmatch(dataset):
        raise UserError("data set", f"'{dataset}' is not a part of one", "Write NAME@TRAIN or NAME@TRAIN,TEST")


def _check_variant(part: Part, variant: Variant) -> None:
    names = [variant.model] if variant.model else list(part.models)
    if not names:
        raise UserError("models", "neither the part nor one of its variants names any", "List at least one")
    for model in names:
        _known("model", model, models.names())
    chosen = choices(variant.recipe or part.recipe, variant.choices)
    training.recipe(msgspec.convert(chosen, training.Recipe), variant.epochs or part.epochs)
    if variant.before:
        pruning.settings(variant.before.method, variant.before.ratio, variant.before.options)
        if pruning.is_structured(variant.before.method):
            raise UserError(
                "before", f"'{variant.before.method}' removes parts and keeps no zeros", "Name it in `after`"
            )
    for change in variant.after:
        _known("recipe", change.recipe, training.names())
        if change.prune:
            pruning.settings(change.prune.method, change.prune.ratio, change.prune.options)


def _check_needs(part: Part, name: str, needed_by: tuple[str, ...]) -> None:
    """Teachers and branches, and theirs: all exist, and none is the variant itself."""
    _known("variant", name, part.variants)
    if name in needed_by:
        raise UserError(
            "variant", f"'{name}' depends on itself ({' <- '.join((*needed_by, name))})", "Name another one"
        )
    variant = part.variants[name]
    for other in (*filter(None, [variant.teacher]), *variant.branches):
        _check_needs(part, other, (*needed_by, name))


def _check_exact(number: Exact) -> None:
    _known("model", number.model, models.names())
    models.parse_shape(number.input)
    if number.prune:
        pruning.settings(number.prune.method, number.prune.ratio, number.prune.options)
    for name in number.expect:
        _known("exact number", name, exact.QUANTITIES)


def _check_claim(study: Study, claim: Claim) -> None:
    _known("metric", claim.metric, METRICS)
    for side in (claim.of, claim.to):
        if side is not None:
            _check_side(study, claim, side)
    if claim.untestable:
        return
    if claim.of is None:
        raise UserError(
            "of", "missing, and so is `untestable`", "Say what the claim is about, or why it cannot be tested"
        )
    if claim.at_least is None and claim.at_most is None:
        raise UserError("bounds", "missing", "Give at_least, at_most or both")
    if claim.metric == "latency_ratio" and claim.to is None:
        raise UserError("to", "missing, and a latency ratio has two sides", "Say what to compare with")


def _check_side(study: Study, claim: Claim, side: Side) -> None:
    part = side.part or claim.part
    _known("part", part, study.parts)
    _known("variant", side.variant, study.parts[part].variants)


def _known(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise UnknownName(kind, name, known)
