"""An artifact's answers beside those of its parent: which output is which, and how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgebench.errors import UserError
from edgebench.schema import tensors
from edgebench.schema.bundle import OutputParity, TensorSpec
from exporters.arithmetic import feeds

# How a converter may have laid out an output of the parent, by its rank: channels last.
CHANNELS_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


@dataclass(frozen=True)
class ArtifactAnswers:
    """own: for each output of the artifact [N, ...]; like_parent: the same in the order and layout of the parent's.

    reference: the parent's, in the order and layout of the artifact's.
    """

    own: tuple[Any, ...]
    like_parent: tuple[Any, ...]
    reference: tuple[Any, ...]


def matched(
    own: Sequence[Any], specs: Sequence[TensorSpec], reference: Sequence[Any], outputs: Sequence[TensorSpec]
) -> ArtifactAnswers:
    """specs: of the artifact's outputs; outputs: of the parent's. Raises UserError if some are missing."""
    if len(own) != len(reference):
        raise UserError(
            "the converted file",
            f"it has {len(own)} outputs, the network it came from {len(reference)}",
            "Leave the format out with --formats, and report the network to the authors of edgebench",
        )
    places = _apart(feeds.counterparts(outputs, specs), own, reference)
    like_parent: list[Any] = [None] * len(own)
    laid_out = []
    for values, place in zip(own, places, strict=True):
        given = reference[place]
        if values.shape != given.shape and _differs_in_ones(values, given):
            like_parent[place] = values.reshape(given.shape)
            laid_out.append(given.reshape(values.shape))
            continue
        order = _order(values, given)
        like_parent[place] = values if order is None else values.transpose(_inverse(order))
        laid_out.append(given if order is None else given.transpose(order))
    return ArtifactAnswers(tuple(own), tuple(like_parent), tuple(laid_out))


def _apart(places: list[int], own: Sequence[Any], reference: Sequence[Any]) -> list[int]:
    """The places, or where sizes contradict them, those that the sizes of the outputs leave."""
    fitting = [[place for place, given in enumerate(reference) if _fits(values, given)] for values in own]
    if all(place in some for place, some in zip(places, fitting, strict=True)):
        return places
    only = [some[0] for some in fitting if len(some) == 1]
    return only if len(set(only)) == len(own) else places


def _fits(values: Any, given: Any) -> bool:
    same = values.shape == given.shape or _differs_in_ones(values, given)
    return same or _order(values, given) is not None


def _differs_in_ones(values: Any, given: Any) -> bool:
    """Whether only axes of size 1 are elsewhere, as in runtimes without a batch. [N, ...] both."""
    own, parents = (tensors.without_ones(one.shape[1:]) for one in (values, given))
    return len(values) == len(given) and own == parents


def _order(values: Any, given: Any) -> tuple[int, ...] | None:
    """The parent's axes in the order of the artifact's; None if they are the same, or do not fit at all.

    Where both fit (three channels of 3 x 3), the numbers decide.
    """
    order = CHANNELS_LAST.get(given.ndim)
    if order is None or given.transpose(order).shape != values.shape:
        return None
    if given.shape == values.shape:
        same, moved = (tensors.relative_error(values, one) for one in (given, given.transpose(order)))
        return order if moved < same else None
    return order


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(order.index(axis) for axis in range(len(order)))


def parity(answers: ArtifactAnswers, reference: Sequence[Any], outputs: Sequence[TensorSpec]) -> list[OutputParity]:
    """How far each output is from the parent's `reference`. outputs: the parent's."""
    found = []
    for values, given, spec in zip(answers.like_parent, reference, outputs, strict=True):
        if spec.is_whole:
            found.append(OutputParity(spec.name, share_equal=1 - tensors.unequal(values, given)))
            continue
        found.append(
            OutputParity(
                spec.name,
                sqnr_db=tensors.sqnr_db(values, given),
                cosine=tensors.cosine(values, given),
                max_abs_diff=float(abs(values - given).max()),
                top1_agreement=tensors.agreement(values, given) if tensors.has_classes(spec) else None,
            )
        )
    return found


def distance(answers: ArtifactAnswers, reference: Sequence[Any]) -> float:
    """How far from the parent, from 0 to 1: mean over outputs and samples of the relative error, at most 1 each.

    A few samples that are far off count as much as others: they would decide a mean of squares alone.
    """
    import numpy as np

    errors = []
    for values, given in zip(answers.like_parent, reference, strict=True):
        count = len(given)
        if values.shape != given.shape:  # refused later, by name (`broken`)
            return 1.0
        if given.dtype.kind == "i":
            errors.append((values != given).reshape(count, -1).mean(1))
            continue
        wide = given.reshape(count, -1).astype(np.float64)
        difference = np.square(values.reshape(count, -1) - wide).mean(1)
        errors.append(np.minimum(1.0, np.sqrt(difference / np.maximum(np.square(wide).mean(1), 1e-30))))
    return float(np.mean(errors))
