"""Why INT8 is not faster: its layers beside the float file's, what its exporter noted, what the processor lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgebench.analysis.causes import integer_kernels, outside_integers
from edgebench.analysis.causes.evidence import (
    Evidence,
    has_weights,
    int8_pairs,
    layer_evidence,
    missing_layers,
    ratio,
    timed,
    where,
)
from edgebench.analysis.causes.explanation import Explanation, FoundCause, MissingEvidence
from edgebench.analysis.ratios import Ratio
from edgebench.schema.record import Record

# A cause takes at least this share of an inference: of a file that is not faster, and of one that is.
LEAST_SHARE = 0.05
LEAST_SHARE_IF_FASTER = 0.15
# INT8 counts as faster from here: it moves a quarter of the bytes.
FASTER = 0.95
# Less than half of the time in layers with weights leaves little to gain.
LEAST_WEIGHTED = 0.5
# Runtimes' own work around the layers.
LEAST_OVERHEAD = 0.3
# In longer inferences such a difference is another program's work, which means of layers leave out and medians do not.
SMALL_NS = 2e6
_PROFILER_STEP_NS = 1000.0


def explain(evidence: Evidence) -> Iterator[Explanation]:
    """One explanation for each INT8 file that has a float one beside it."""
    for record, base in int8_pairs(evidence):
        found = ratio(record, base)
        if found is not None:
            yield _of_pair(evidence, record, base, found)


def _of_pair(evidence: Evidence, record: Record, base: Record, found: Ratio) -> Explanation:
    is_faster = found.high is not None and found.high < FASTER
    causes = [*_of_layers(evidence, record, base, is_faster=is_faster)]
    if not is_faster:
        causes += [*integer_kernels.of_processor(record, base, causes), *_of_notes(record, causes)]
    causes += _of_threads(evidence, record)
    return Explanation(
        "int8",
        f"{record.artifact.name} {where(record)}",
        _answer(record, base, found, is_faster=is_faster),
        tuple(causes),
        tuple(_missing(evidence, record, base)) if not (is_faster and not causes) else (),
        concern=0.2 if is_faster else 1.0,
    )


def _answer(record: Record, base: Record, found: Ratio, *, is_faster: bool) -> str:
    span = f" ({found.low:.2f}-{found.high:.2f})" if found.low is not None and found.high is not None else ""
    took = f"takes {found.value:.2f}x{span} of the time of {base.artifact.name}"
    if is_faster:
        return f"INT8 is faster: {record.artifact.name} {took}"
    if found.low is not None and found.low > 1:
        return f"INT8 is slower: {record.artifact.name} {took}"
    if found.differs is None:
        return f"INT8 is not shown to be faster, from too few rounds: {record.artifact.name} {took}"
    return f"INT8 is not faster: {record.artifact.name} {took}"


def _of_layers(evidence: Evidence, record: Record, base: Record, *, is_faster: bool) -> Iterator[FoundCause]:
    layers = timed(record)
    whole = sum(layer.ns for layer in layers)
    if not whole:
        return
    least = LEAST_SHARE_IF_FASTER if is_faster else LEAST_SHARE
    found = [
        *outside_integers.of_stretches(record, layers, whole),
        *outside_integers.of_layout(evidence, record, layers, whole),
    ]
    yield from (cause for cause in found if cause.share is not None and cause.share >= least)
    if not is_faster:
        yield from integer_kernels.of_layers(evidence, record, base)
        yield from _of_little_work(base)
        yield from _of_overhead(evidence, record)


def _of_little_work(base: Record) -> Iterator[FoundCause]:
    layers = timed(base)
    whole = sum(layer.ns for layer in layers)
    if whole:
        others = [layer for layer in layers if not has_weights(layer)]
        share = sum(layer.ns for layer in others) / whole
        if 1 - share < LEAST_WEIGHTED:
            yield FoundCause(
                "little to gain",
                f"only {1 - share:.0%} of the float file's time is in layers with weights, which INT8 makes faster",
                "Make the other layers cheaper, or fewer; INT8 then still makes the file smaller",
                share,
                layer_evidence(others, whole),
            )


def _of_overhead(evidence: Evidence, record: Record) -> Iterator[FoundCause]:
    """Of small networks: what the runtime does around the layers."""
    found = record.layers
    if found is None or not found.plain_ns:
        return
    around = found.plain_ns - sum(layer.ns + _PROFILER_STEP_NS for layer in found.layers)
    if found.plain_ns < SMALL_NS and around > LEAST_OVERHEAD * found.plain_ns:
        yield FoundCause(
            "too small to matter",
            f"{around / 1e3:.1f} of {found.plain_ns / 1e3:.1f} µs of an inference are {record.runtime.name}'s own work "
            "around the layers, which no precision changes",
            evidence.deploy(record, options="--runtimes all") + " (runtimes differ most in this)",
            around / found.plain_ns,
        )


def _of_notes(record: Record, causes: Sequence[FoundCause]) -> Iterator[FoundCause]:
    """What the exporter noted of the file, where no layers were timed."""
    noted = record.artifact.notes.get("float_operators", "")
    if noted and not noted.startswith("none") and not any(cause.name == "float islands" for cause in causes):
        yield FoundCause(
            "float islands",
            f"its exporter left operators in float: {noted}",
            "edgebench inspect FILE (why each is float)",
        )


def _of_threads(evidence: Evidence, record: Record) -> Iterator[FoundCause]:
    there = len(record.runtime.cpus) or record.facts_before.cores
    if there and record.target.threads > there:
        yield FoundCause(
            "threads",
            f"{record.target.threads} threads on {there} processors: they wait for one another",
            evidence.deploy(record, options=f"--threads {there}"),
        )
    build = record.runtime.facts.get("build", "")
    if "build type=Debug" in build:
        yield FoundCause("build", f"this {record.runtime.name} is a debug build", f"pip install {record.runtime.name}")


def _missing(evidence: Evidence, record: Record, base: Record) -> Iterator[MissingEvidence]:
    yield from missing_layers(evidence, record, base)
    if not record.facts_before.cpu_features:
        yield MissingEvidence("whether the processor has dot products", f"edgebench targets check {record.target.name}")
