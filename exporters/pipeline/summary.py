"""What an export says in the end: a line for each artifact, what it was chosen from, and doubts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgebench.errors import MissingPackage, UserError
from edgebench.schema.bundle import Artifact, Bundle, OutputParity
from exporters.pipeline import accuracy_drop, float_operators
from exporters.pipeline.candidates import CANDIDATE
from exporters.pipeline.criterion import DIVERGENCE
from exporters.sources.source_model import SourceModel

# An INT8 file whose output is not at least this close to its network's may still be of use, but not without a test.
CLOSE_AGREEMENT = 0.95
CLOSE_DB = 20.0


def lines(parent: SourceModel, made: Bundle) -> Iterator[str]:
    compared = {one.parity.samples for one in made.artifacts if one.parity is not None and one.parity.samples}
    for samples in sorted(compared):
        yield f"compared with {parent.where} on {samples}:"
    for artifact in made.artifacts:
        yield describe(artifact)
        yield from outputs(artifact)
        yield from candidates(artifact)
        yield from doubts(artifact)
    if parent.weights_note:
        yield parent.weights_note
    if parent.zeros_note:
        yield f"{parent.name}: {parent.zeros_note}"
    first = made.artifacts[0]
    found = first.parity
    accuracy = None if found is None else found.parent_accuracy
    if parent.kind != "checkpoint" and found and accuracy is not None and accuracy < 2 / first.outputs[0].shape[-1]:
        yield (
            f"{parent.where} itself has an accuracy of only {accuracy:.1%} on the test images of "
            f"{found.dataset}: it may be for other data, or need other preprocessing; its INT8 files are then of no use"
        )


def not_made(failed: Mapping[str, UserError]) -> Iterator[str]:
    for name, error in failed.items():
        remedy = f"; {error.remedy}" if isinstance(error, MissingPackage) else ""
        yield f"not made: {name}: {error.seen}{remedy}"


def describe(artifact: Artifact) -> str:
    from edgebench.analysis.inspection_report import agreement_words
    from edgebench.analysis.stats import wilson_interval

    size = f"{artifact.name}: {artifact.size_bytes:,} bytes"
    found = artifact.parity
    if found is None:
        return f"{size}; compared with the network on made-up inputs only, because no data was named"
    if found.score is not None and found.parent_score is not None:
        size += f", {found.metric} {found.score:.3f} (parent {found.parent_score:.3f})"
    if found.accuracy is None or found.parent_accuracy is None:
        named = len(found.outputs) > 1
        return f"{size}; {len(found.outputs)} outputs" if named else f"{size}, {agreement_words(found.outputs[0])}"
    low, high = wilson_interval(found.accuracy * found.images, found.images)
    return (
        f"{size}, accuracy {found.accuracy:.2%} ({low:.1%} to {high:.1%}, parent {found.parent_accuracy:.2%}), "
        f"agrees with the parent on {found.top1_agreement:.2%} of {found.images}"
    )


def outputs(artifact: Artifact) -> Iterator[str]:
    """Each of several outputs against the network's, a line each."""
    from edgebench.analysis.inspection_report import agreement_words

    found = artifact.parity.outputs if artifact.parity is not None else ()
    width = max((len(one.name) for one in found), default=0)
    for one in found if len(found) > 1 else ():
        yield f"  {one.name:<{width}}  {agreement_words(one)}"


def doubts(artifact: Artifact) -> Iterator[str]:
    """What a user must not overlook about an INT8 file, a line each."""
    if artifact.notes.get("chosen_by", "").startswith(DIVERGENCE):
        yield f"  chosen by the {artifact.notes['chosen_by']}"
    if float_operators.BY_NAME_ONLY in artifact.notes:
        yield f"  INT8 in name only: {artifact.notes[float_operators.BY_NAME_ONLY]}"
    if accuracy_drop.MISSED in artifact.notes:
        yield f"  less accurate than asked for: {artifact.notes[accuracy_drop.MISSED]}"
    unlike = [one.name for one in _unscored(artifact) if _is_unlike(one)]
    if unlike:
        more = f" and {len(unlike) - 2} more outputs" if len(unlike) > 2 else ""
        yield (
            f"  not close to its network: {', '.join(unlike[:2])}{more}; score it on data with labels (--dataset), or "
            "deploy fp16"
        )


def _unscored(artifact: Artifact) -> tuple[OutputParity, ...]:
    """Outputs of an INT8 file that no accuracy vouches for."""
    found = artifact.parity
    is_scored = found is None or found.accuracy is not None or found.score is not None
    return () if found is None or is_scored or artifact.precision != "int8" else found.outputs


def _is_unlike(output: OutputParity) -> bool:
    if output.share_equal is not None:
        return output.share_equal < CLOSE_AGREEMENT
    is_close = output.sqnr_db is not None and output.sqnr_db >= CLOSE_DB
    return not is_close and (output.top1_agreement or 0.0) < CLOSE_AGREEMENT


def candidates(artifact: Artifact) -> list[str]:
    """The INT8 files that this one was chosen from, a line each; at most 80 columns wide."""
    found = {name.removeprefix(CANDIDATE): text for name, text in artifact.notes.items() if name.startswith(CANDIDATE)}
    width = max(map(len, found), default=0)
    return [f"  {label:<{width}}  {text}" for label, text in found.items()]
