"""Answers that no faithful copy of the parent gives: something broke, and the artifact is not delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgebench.errors import UserError
from edgebench.schema import tensors
from edgebench.schema.bundle import Precision, TensorSpec
from exporters.pipeline.answers import ArtifactAnswers

LARGEST_RELATIVE_ERROR: dict[Precision, float] = {"fp32": 1e-3, "fp16": 5e-2}
LEAST_AGREEMENT_INT8 = 0.5
# Of most samples, of outputs without classes. With 1 it would be as wrong as answering with zeros.
LARGEST_RELATIVE_ERROR_INT8 = 0.7
# Share of whole numbers that may differ: a number between two is rounded either way.
LARGEST_UNEQUAL: dict[Precision, float] = {"fp32": 0.02, "fp16": 0.1, "int8": 0.5}


def refuse(
    name: str, precision: Precision, found: ArtifactAnswers, reference: Sequence[Any], outputs: Sequence[TensorSpec]
) -> None:
    """Raises UserError for the first output that is broken. reference, outputs: the parent's."""
    for values, given, spec in zip(found.like_parent, reference, outputs, strict=True):
        if seen := _broken(precision, values, given, spec):
            which = f"output '{spec.name}': " if len(outputs) > 1 else ""
            raise UserError(
                name,
                f"{which}{seen}",
                "Leave it out with --formats, and report the network to the authors of edgebench",
            )


def _broken(precision: Precision, answers: Any, expected: Any, spec: TensorSpec) -> str:
    """What is wrong with one output, "" if nothing is."""
    import numpy as np

    if answers.shape != expected.shape:
        return f"it has {list(answers.shape[1:])} outputs, the network it came from {list(expected.shape[1:])}"
    if not np.isfinite(answers).all():
        return "some of its answers are not numbers"
    samples = f"{len(answers)} {'images' if tensors.has_classes(spec) else 'samples'}"
    if spec.is_whole:
        differ, allowed = tensors.unequal(answers, expected), LARGEST_UNEQUAL[precision]
        return "" if differ <= allowed else f"{differ:.1%} of its whole numbers differ from those of its network"
    if precision == "int8" and tensors.has_classes(spec):
        agreement = tensors.agreement(answers, expected)
        if agreement >= LEAST_AGREEMENT_INT8:
            return ""
        return f"it agrees with the network it came from on only {agreement:.1%} of {samples}"
    if precision == "int8":
        error, largest = _typical_error(answers, expected), LARGEST_RELATIVE_ERROR_INT8
    else:
        error, largest = tensors.relative_error(answers, expected), LARGEST_RELATIVE_ERROR[precision]
    if error <= largest:
        return ""
    return (
        f"its answers to {samples} differ from those of the network it came from by "
        f"{100 * error:.2g} % (RMS); {precision} may differ by {100 * largest:g} %"
    )


def _typical_error(answers: Any, expected: Any) -> float:
    """The median over samples."""
    import numpy as np

    wide = expected.reshape(len(expected), -1).astype(np.float64)
    difference = np.square(answers.reshape(len(answers), -1) - wide).mean(1)
    return float(np.median(np.sqrt(difference / np.maximum(np.square(wide).mean(1), 1e-30))))
