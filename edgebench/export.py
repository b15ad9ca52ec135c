"""export: a trained network -> a bundle of artifacts, each checked against the network it came from.

    main process         open the source ─ images ─ the parent's answers ─┐                    ┌─ write the bundle
    converter (ONNX)     import libraries ─── convert to fp32, fp16 ──────┴─ INT8 ─┐           │
    converter (TFLite)   import libraries ─── convert to fp32, fp16 ──────┴─ INT8 ─┤           │
    processes for files                                                           └─ load, run ┘

Candidates of one precision are compared on the validation split; the calibration set comes from the training split;
the figures in the bundle come from the whole test split, which nothing was chosen by.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

import exporters
from edgebench.errors import BadFile, MissingPackage, UserError
from edgebench.networks.models import InputShape
from edgebench.progress import Progress, Silent
from edgebench.recommend import advice, counts
from edgebench.schema import bundle, checkpoint
from edgebench.schema.bundle import Artifact, Bundle, NotMade
from exporters import Asked, Choice, Source
from exporters.pipeline import cache as _cache
from exporters.pipeline import drop, float_operators, opening, publishing, results
from exporters.pipeline import kernels as _processor
from exporters.pipeline import material as _material
from exporters.pipeline.cache import Cache
from exporters.pipeline.candidates import CANDIDATE
from exporters.pipeline.criterion import DIVERGENCE
from exporters.pipeline.making import Making, side_by_side
from exporters.pipeline.material import Material
from exporters.sources.parent import Given, Parent
from exporters.workers.process import Workers

FOLDER = Path("bundles")
INT8_FORMATS = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
ANY_BATCH = ("onnx", "tflite")
KINDS: dict[Source, str] = {
    "checkpoint": "a checkpoint",
    "module": "code",
    "onnx": "an .onnx file",
    "keras": "a Keras network",
}


@dataclass(frozen=True)
class Exported:
    path: Path
    bundle: Bundle

    @property
    def missed(self) -> list[str]:
        """A sentence for each INT8 file that loses more accuracy than `max_drop` allows; it is in the bundle anyway."""
        return [
            f"{self.path / artifact.content.file}: {artifact.notes[drop.MISSED]}"
            for artifact in self.bundle.artifacts
            if drop.MISSED in artifact.notes
        ]


def export(
    source: Path | str | None = None,
    *,
    formats: Sequence[str] | None = None,
    int8: bool = False,
    weights: Path | None = None,
    input_shape: InputShape | None = None,
    dataset: str | None = None,
    calibration: str | None = None,
    preprocessing: str | None = None,
    fold: bool = False,
    dynamic_batch: bool = False,
    max_drop: float | None = None,
    no_vnni: bool = False,
    targets: Sequence[str] = (),
    emulate: bool = False,
    cache: Path | None = None,
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Exported:
    """Make a bundle of what can be made; `Bundle.failed` says what cannot, and why. Raises UserError if nothing can, or
    for what concerns every file, and then leaves what was there before.

    source: a .safetensors checkpoint, an .onnx, .keras or .h5 file, a SavedModel folder, or `package.module:callable`,
    which returns a torch.nn.Module; the newest checkpoint if it is left out.
    formats: names like `onnx-int8`. Without them, `int8` makes fp32 and INT8 of ONNX and TFLite, and without that
    either, everything that can be made from the source. With both, `int8` adds the INT8 of every format named.
    weights: state dict (.safetensors, or .pt without code in it) for a callable's network, or a training's checkpoint
        that has one in it; FILE:KEY where it has several.
    input_shape: of a callable's network, or of an .onnx file that leaves it open.
    dataset: what the network is tested on; calibration: what INT8 ranges are found on. A checkpoint has its own; other
    sources need one of both for INT8 and for accuracies.
    preprocessing: how images become such a network's input, one of `pipeline.preprocessing.NAMES`; what the data set
    prescribes if it is left out, which is refused where another one is clearly right.
    fold: the files take images as bytes, and begin with the preprocessing.
    dynamic_batch: ONNX and TFLite files that take any number of images at once, and no others; else all take one.
    max_drop: points of accuracy that INT8 may lose against the parent on the validation split; where it loses more, the
    fewest operators that bring it under this stay float. Files that lose more all the same, or on the test split by
    more than chance, are made too: `Exported.missed` says which, what they lose and what was tried.
    no_vnni: ONNX INT8 that is right on x86 processors without VNNI too, by weights of seven bits; always where this
    machine's is one.
    targets: say which of the files is worth deploying there, and what says so (`recommend.advice`); then fp32 and INT8
    are made where nothing else is asked for. Where all are boards, ONNX INT8 is made for their kernels, not for x86's.
    emulate: count these files on an emulated board, instead of looking up.
    cache: folder from which artifacts are taken that were made before from the same, and where new ones are kept.
    out: the bundle's folder, `bundles/<source's name>` by default; a bundle that is there is replaced when this one is
    whole.
    """
    if max_drop is not None and not 0 <= max_drop < 100:
        raise UserError("--max-drop", f"{max_drop:g} is no number of points of accuracy", "Give for example 0.3")
    if emulate and not targets:
        raise UserError("--emulate", "no board is named to emulate", "Name one with --for rpi4")
    places = advice.check(targets)
    given = Given(
        source=str(checkpoint.newest() if source is None else source),
        weights=weights,
        input_shape=input_shape,
        dataset=dataset,
        calibration=calibration,
        preprocessing=preprocessing,
    )
    folder = FOLDER / given.name if out is None else out
    publishing.refuse_foreign(folder)
    with (
        _scratch() as scratch,
        publishing.room(folder.parent, scratch),
        contextlib.closing(Workers(scratch)) as workers,
    ):
        parent = opening.open_parent(given, scratch, workers)
        choices = exporters.choose(wanted(parent, formats, int8=int8 or bool(places and not formats)), parent.kind)
        for line in _only_tflite(parent, choices, formats):
            progress.say(line)
        absent = exporters.without_packages(choices)
        if absent and (formats or len(absent) == len(choices)):
            raise next(iter(absent.values()))
        choices = [choice for choice in choices if choice.name not in absent]
        if dynamic_batch:
            choices = _of_any_batch(choices, named=bool(formats))
        plugins = list(dict.fromkeys(choice.plugin for choice in choices))
        converters = side_by_side(len(plugins), parent.parameters)
        workers.warm(plugins[:converters])
        material = _material.load(parent)
        kernels = _processor.kernels_for(places.values(), counts.of_forms(parent.model), no_vnni=no_vnni)
        asked = Asked(None if max_drop is None else max_drop / 100, fold, dynamic_batch, kernels)
        _refuse_unusable(parent, material, choices, fold=fold)
        with publishing.part(folder) as part, progress.step(f"export {parent.name}", 2 * len(choices)) as step:
            store = Cache(cache, _cache.basis(parent, material, asked) if cache else {})
            artifacts = _from_cache(store, choices, parent, part, progress)
            step.advance(2 * len(artifacts), "from the cache")
            missing = [choice for choice in choices if choice.name not in artifacts]
            workers.dismiss(but={choice.plugin for choice in missing})
            making = Making(parent, material, asked, part, scratch, workers, converters, step)
            new, failed = results.sorted_out(making.all(missing), parent.where, choices, folder)
            for choice in (choice for choice in missing if choice.name in new):
                store.keep(choice, new[choice.name], part)
            artifacts |= new
            if failed and (not artifacts or not publishing.has_room(part, scratch)):
                raise next(iter(failed.values()))
            whole = tuple(artifacts[choice.name] for choice in choices if choice.name in artifacts)
            advised = advice.advise(places, whole, part, scratch, emulate=emulate, progress=progress)
            whole = tuple(advice.noted(artifact, advised.notes) for artifact in whole)
            failed = {**absent, **failed}
            not_made = tuple(NotMade(name, error.seen) for name, error in failed.items())
            made = Bundle(folder.name, parent.model, parent.source, whole, checkpoint.now(), failed=not_made)
            bundle.save(made, part)
    for line in (*_summary(parent, made), *advised.lines, *_not_made(failed)):
        progress.say(line)
    return Exported(folder, made)


def check_made(exported: Exported, named: Sequence[str]) -> None:
    """Raises UserError if one of the formats that a user named is not in the bundle."""
    missing = [one.format for one in exported.bundle.failed if one.format in {name.strip() for name in named}]
    if missing:
        raise UserError(
            "--formats",
            f"{', '.join(missing)} could not be made",
            f"The reasons are above and in bundle.json; the others are in {exported.path}",
        )


def check_kept(exported: Exported, max_drop: float) -> None:
    """Raises UserError if a file loses more points of accuracy than that."""
    if exported.missed:
        raise UserError(
            f"--max-drop {max_drop:g}",
            "; ".join(exported.missed),
            "The files are written all the same: accept them with --best-effort, allow more, or deploy fp16 or fp32",
        )


def _not_made(failed: Mapping[str, UserError]) -> Iterator[str]:
    for name, error in failed.items():
        remedy = f"; {error.remedy}" if isinstance(error, MissingPackage) else ""
        yield f"not made: {name}: {error.seen}{remedy}"


def _of_any_batch(choices: list[Choice], *, named: bool) -> list[Choice]:
    """Those whose format leaves the batch open. Raises UserError if another one was asked for by name."""
    able = [choice for choice in choices if choice.exporter.FORMAT in ANY_BATCH]
    others = [choice.name for choice in choices if choice not in able]
    if not able or (named and others):
        raise UserError(
            "--dynamic-batch",
            f"{', '.join(others)} takes one image at a time",
            "Name others, e.g. onnx-int8",
        )
    return able


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    publishing.clear(Path(tempfile.gettempdir()), "edgebench-export-*")
    with tempfile.TemporaryDirectory(prefix="edgebench-export-") as folder, contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(publishing.hold(Path(folder)))
        yield Path(folder)


def _refuse_unusable(parent: Parent, material: Material | None, choices: list[Choice], *, fold: bool) -> None:
    """Raises UserError for what cannot be made without images, or without these."""
    if material is None and any(choice.precision == "int8" for choice in choices):
        raise UserError(
            parent.where,
            f"INT8 is made and judged on images, and nothing in {KINDS[parent.kind]} says which data it is for",
            "Name one: --calibration fashion-mnist-mini",
        )
    if not fold:
        return
    if material is None:
        raise UserError(
            parent.where, "there is no preprocessing to fold into a file, no data set is named", "Name one: --dataset"
        )
    if material.preprocessing.resize is not None:
        raise UserError(
            "--fold-preprocessing",
            f"the images of {material.images.name} are resized for this network, which no file does",
            "Leave it out, or use a data set of the network's input size",
        )


def _from_cache(
    store: Cache, choices: list[Choice], parent: Parent, part: Path, progress: Progress
) -> dict[str, Artifact]:
    """By the choices' names; says what was taken, and what was damaged."""
    found: dict[str, Artifact] = {}
    damaged = []
    for choice in choices:
        try:
            artifact = store.take(choice, part)
        except BadFile:
            damaged.append(choice.name)
        else:
            if artifact is not None:
                name = f"{parent.name}-{choice.name}"
                found[choice.name] = msgspec.structs.replace(artifact, name=name, model=parent.model)
    if found:
        progress.say(f"from the cache: {', '.join(found)}")
    if damaged:
        progress.say(f"damaged in the cache, made anew: {', '.join(damaged)}")
    return found


def _summary(parent: Parent, made: Bundle) -> Iterator[str]:
    for artifact in made.artifacts:
        yield describe(artifact)
        yield from candidates(artifact)
        yield from doubts(artifact)
    if parent.weights_note:
        yield parent.weights_note
    if parent.zeros_note:
        yield f"{parent.name}: {parent.zeros_note}"
    first = made.artifacts[0]
    found = first.parity
    if parent.kind != "checkpoint" and found is not None and found.parent_accuracy < 2 / first.outputs[0].shape[-1]:
        yield (
            f"{parent.where} itself is right on only {found.parent_accuracy:.1%} of the test images of "
            f"{found.dataset}: it may be for other data, or want them prepared otherwise, and then its INT8 files are "
            "worth no more"
        )


def wanted(parent: Parent, formats: Sequence[str] | None, *, int8: bool) -> list[str]:
    known = exporters.formats(parent.kind)
    if formats:
        names = [name.strip() for name in formats]
        if int8:
            added = [f"{name.rpartition('-')[0]}-int8" for name in names]
            names += [name for name in added if name in known]
        return names
    if int8:
        return [name for name in INT8_FORMATS if name in known]
    plain = [name for name in known if name.count("-") == 1]
    return [name for name in plain if parent.calibration or not name.endswith("-int8")]


def _only_tflite(parent: Parent, choices: Sequence[Choice], formats: Sequence[str] | None) -> Iterator[str]:
    """Of a source that not every format is made from, without a word from the user."""
    if parent.kind == "keras" and not formats:
        made = ", ".join(choice.name for choice in choices)
        yield (
            f"{KINDS[parent.kind]} is exported to TFLite only, {made}; for ONNX convert it with tf2onnx and export that"
        )


def describe(artifact: Artifact) -> str:
    from edgebench.analysis.stats import wilson_interval

    size = f"{artifact.name}: {artifact.content.size_bytes:,} bytes"
    found = artifact.parity
    if found is None:
        return f"{size}; not checked on images, no data set was named"
    low, high = wilson_interval(found.accuracy * found.images, found.images)
    return (
        f"{size}, accuracy {found.accuracy:.2%} ({low:.1%} to {high:.1%}, parent {found.parent_accuracy:.2%}), "
        f"agrees with it on {found.top1_agreement:.2%} of {found.images}"
    )


def doubts(artifact: Artifact) -> Iterator[str]:
    """What a user must not miss about an INT8 file, a line each."""
    if artifact.notes.get("chosen_by", "").startswith(DIVERGENCE):
        yield f"  chosen by the {artifact.notes['chosen_by']}"
    if float_operators.BY_NAME_ONLY in artifact.notes:
        yield f"  INT8 by name only: {artifact.notes[float_operators.BY_NAME_ONLY]}"
    if drop.MISSED in artifact.notes:
        yield f"  not as accurate as asked: {artifact.notes[drop.MISSED]}"


def candidates(artifact: Artifact) -> list[str]:
    """The INT8 files that this one was chosen from, a line each; at most 80 columns wide."""
    found = {name.removeprefix(CANDIDATE): text for name, text in artifact.notes.items() if name.startswith(CANDIDATE)}
    width = max(map(len, found), default=0)
    return [f"  {label:<{width}}  {text}" for label, text in found.items()]
