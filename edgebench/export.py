"""export: a trained network -> a bundle of artifacts, each checked against the network it came from.

    main process         open the source ─ images ─ the parent's answers ─┐                    ┌─ write the bundle
    converter (ONNX)     import libraries ─── convert to fp32, fp16 ──────┴─ INT8 ─┐           │
    converter (TFLite)   import libraries ─── convert to fp32, fp16 ──────┴─ INT8 ─┤           │
    processes for files                                                            └─ load, run ┘

Candidates of one precision are compared on the validation split; the calibration set comes from the training split; the
figures in the bundle come from the whole test split, which nothing was chosen by. The conversion itself is
`exporters.pipeline.conversion`.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import exporters
from edgebench.errors import UserError
from edgebench.modelfile.feeding import InputRequest
from edgebench.networks.models import InputShape
from edgebench.progress import Progress, Silent
from edgebench.recommend import advice, counts
from edgebench.schema import bundle, checkpoint
from edgebench.schema.bundle import Artifact, Bundle, NotMade
from edgebench.schema.preprocessing import Geometry
from edgebench.schema.targets import Target
from exporters import ArtifactOptions, Choice
from exporters.pipeline import (
    accuracy_drop,
    artifact_cache,
    export_images,
    export_inputs,
    made_up,
    opening,
    publishing,
    results,
    summary,
    wanted,
)
from exporters.pipeline.artifact_cache import ArtifactCache
from exporters.pipeline.conversion import Conversion, side_by_side
from exporters.pipeline.export_images import ExportImages
from exporters.pipeline.export_inputs import ExportInputs
from exporters.pipeline.kernels import kernels_for
from exporters.sources.source_model import SourceModel, SourceRequest
from exporters.workers.process import WorkerPool

FOLDER = Path("bundles")


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and how.

    Attributes:
        formats: Names like `onnx-int8`. Without names, `int8` makes fp32 and INT8 of ONNX and TFLite; without either,
            everything that can be made from the source is made.
        int8: Also make INT8 of every format named.
        weights: A state dict (.safetensors, or .pt without code in it) for a callable's network, or a training
            checkpoint that contains one; FILE:KEY where it contains several.
        arguments: Of the callable.
        input_shape: Of one image, for a callable's network, or for an .onnx file that leaves it open.
        wanted: Sizes and dtypes of any inputs, by name, for the same sources.
        inputs: An .npz file of arrays by input name, instead of a data set: half of the samples are for calibration,
            the others for comparing the files with the network.
        dataset: What the network is tested on. A checkpoint has its own; other sources need `dataset` or `calibration`
            for INT8 and for accuracies.
        calibration: What INT8 ranges are found on, if it is another data set.
        preprocessing: How images are prepared for such a network: `0..255`, `0..1`, `-1..1`, `imagenet` or `data-set`.
            By default as the data set prescribes, which is refused where another one is clearly better.
        geometry: How images of other sizes become the network's. A checkpoint may have its own.
        fold: The files take images as bytes, and begin with the preprocessing.
        dynamic_batch: Only ONNX and TFLite files, which take any number of images at once. Otherwise all take one.
        max_drop_points: How many points of accuracy INT8 may lose against the parent on the validation split. Where it
            loses more, the fewest operators that keep this limit stay float. Files that lose more all the same, or on
            the test split by more than chance explains, are made too: `Exported.missed` says which, and what was tried.
        no_vnni: ONNX INT8 that is also right on x86 processors without VNNI, with weights of seven bits. Always the
            case if this machine has such a processor.
        targets: Say which of the files is worth deploying on these targets, and on what evidence
            (`edgebench.recommend`). fp32 and INT8 are made if nothing else is asked for. If all are boards, ONNX INT8
            is made for their kernels, not for those of x86.
        emulate: Count these very files on an emulated board, instead of looking the counts up.
    """

    formats: Sequence[str] = ()
    int8: bool = False
    weights: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    input_shape: InputShape | None = None
    wanted: InputRequest = InputRequest()
    inputs: Path | None = None
    dataset: str | None = None
    calibration: str | None = None
    preprocessing: str | None = None
    geometry: Geometry | None = None
    fold: bool = False
    dynamic_batch: bool = False
    max_drop_points: float | None = None
    no_vnni: bool = False
    targets: Sequence[str] = ()
    emulate: bool = False


@dataclass(frozen=True)
class Exported:
    path: Path
    bundle: Bundle

    @property
    def missed(self) -> list[str]:
        """A sentence for each INT8 file that loses more accuracy than allowed; it is in the bundle anyway."""
        return [
            f"{self.path / artifact.content.file}: {artifact.notes[accuracy_drop.MISSED]}"
            for artifact in self.bundle.artifacts
            if accuracy_drop.MISSED in artifact.notes
        ]


def export(
    source: Path | str | None = None,
    options: ExportOptions = ExportOptions(),  # noqa: B008  (it is frozen)
    *,
    out: Path | None = None,
    cache: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Exported:
    """Make a bundle of everything that can be made; `Bundle.failed` says what cannot, and why.

    Args:
        source: A .safetensors checkpoint, an .onnx, .keras or .h5 file, a SavedModel folder, or
            `package.module:callable`, which returns a torch.nn.Module. By default the newest checkpoint.
        options: What to make, and how.
        out: The bundle's folder, by default `bundles/<name of the source>`. A bundle that exists there is replaced
            once the new one is complete.
        cache: Folder for artifacts: those made earlier from exactly the same are taken from it, new ones are kept.
        progress: Where to report progress.

    Raises:
        UserError: If nothing can be made, or if the problem concerns every file. An existing bundle is then unchanged.
    """
    places = _check(options)
    request = _request(source, options)
    folder = FOLDER / request.name if out is None else out
    publishing.check_replaceable(folder)
    with (
        _scratch() as scratch,
        publishing.room(folder.parent, scratch),
        contextlib.closing(WorkerPool(scratch)) as workers,
    ):
        parent = opening.open_source(request, scratch, workers, progress)
        choices, absent = _choices(parent, options, progress)
        plugins = list(dict.fromkeys(choice.plugin for choice in choices))
        converters = side_by_side(len(plugins), parent.parameters)
        workers.warm(plugins[:converters])
        images = _data(parent, options, progress)
        wanted.refuse_unusable(parent, images, choices, fold=options.fold)
        for_all = _for_all_artifacts(options, places, parent)
        with publishing.part(folder) as part, progress.step(f"export {parent.name}", 2 * len(choices)) as step:
            store = ArtifactCache(cache, artifact_cache.basis(parent, images, for_all) if cache else {})
            conversion = Conversion(parent, images, for_all, part, scratch, workers, converters, step)
            artifacts, failed = _artifacts(conversion, store, choices, folder, progress)
            advised = advice.advise(places, artifacts, part, scratch, emulate=options.emulate, progress=progress)
            artifacts = tuple(advice.noted(artifact, advised.notes) for artifact in artifacts)
            failed = {**absent, **failed}
            of_images = images.dataset.class_names if isinstance(images, ExportImages) else ()
            class_names = parent.class_names or of_images
            complete = _bundle(folder.name, parent, artifacts, failed, class_names)
            bundle.save(complete, part)
    for line in (*summary.lines(parent, complete), *advised.lines, *summary.not_made(failed)):
        progress.say(line)
    return Exported(folder, complete)


def check_made(exported: Exported, named: Sequence[str]) -> None:
    """Raises UserError if one of the formats that a user named is not in the bundle."""
    missing = [one.format for one in exported.bundle.failed if one.format in {name.strip() for name in named}]
    if missing:
        raise UserError(
            "--formats",
            f"{', '.join(missing)} could not be made",
            f"The reasons are above and in bundle.json; the other files are in {exported.path}",
        )


def check_kept(exported: Exported, max_drop_points: float) -> None:
    """Raises UserError if a file loses more points of accuracy than that."""
    if exported.missed:
        raise UserError(
            f"--max-drop {max_drop_points:g}",
            "; ".join(exported.missed),
            "The files are written all the same: accept them with --best-effort, allow more, or deploy fp16 or fp32",
        )


def _check(options: ExportOptions) -> dict[str, Target | str]:
    """What each of the targets stands for (`advice.check`). Raises UserError for options that do not fit together."""
    points = options.max_drop_points
    if points is not None and not 0 <= points < 100:
        raise UserError("--max-drop", f"must be from 0 to below 100, not {points:g}", "Give for example 0.3")
    named = [name for name in ("dataset", "calibration", "preprocessing", "geometry") if getattr(options, name)]
    if options.inputs is not None and named:
        raise UserError("--inputs", f"--{named[0]} is given too", "Leave one of the two out")
    if options.emulate and not options.targets:
        raise UserError("--emulate", "no board is named to emulate", "Name one with --for rpi4")
    return advice.check(options.targets)


def _request(source: Path | str | None, options: ExportOptions) -> SourceRequest:
    return SourceRequest(
        source=str(checkpoint.newest() if source is None else source),
        weights=options.weights,
        arguments=options.arguments,
        input_shape=options.input_shape,
        wanted=options.wanted,
        dataset=options.dataset,
        calibration=options.calibration,
        preprocessing=options.preprocessing,
        geometry=options.geometry,
    )


def _data(parent: SourceModel, options: ExportOptions, progress: Progress) -> ExportImages | ExportInputs | None:
    """What the artifacts are made and judged with; None: made-up inputs, which is said."""
    if options.inputs is not None:
        given = export_inputs.load(parent, options.inputs)
        progress.say(f"{options.inputs.name}: {given.described}")
        return given
    images = export_images.load(parent, progress)
    if images is None:
        progress.say(f"inputs are made up: {made_up.described(parent.inputs, parent.table_sizes)}")
    return images


def _choices(
    parent: SourceModel, options: ExportOptions, progress: Progress
) -> tuple[list[Choice], Mapping[str, UserError]]:
    """What is to be made; and by name what cannot be, because a library is missing."""
    int8 = options.int8 or bool(options.targets and not options.formats)
    choices = exporters.choose(
        wanted.names(parent, options.formats, int8=int8, has_inputs=options.inputs is not None), parent.kind
    )
    for line in wanted.only_tflite(parent, choices, options.formats):
        progress.say(line)
    absent = exporters.without_packages(choices)
    if absent and (options.formats or len(absent) == len(choices)):
        raise next(iter(absent.values()))
    choices = [choice for choice in choices if choice.name not in absent]
    if options.dynamic_batch:
        choices = wanted.of_any_batch(choices, named=bool(options.formats))
    return choices, absent


def _for_all_artifacts(
    options: ExportOptions, places: Mapping[str, Target | str], parent: SourceModel
) -> ArtifactOptions:
    kernels = kernels_for(places.values(), counts.of_forms(parent.model), no_vnni=options.no_vnni)
    return ArtifactOptions(options.max_drop_points, options.fold, options.dynamic_batch, kernels)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    publishing.clear(Path(tempfile.gettempdir()), "edgebench-export-*")
    with tempfile.TemporaryDirectory(prefix="edgebench-export-") as folder, contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(publishing.hold(Path(folder)))
        yield Path(folder)


def _artifacts(
    conversion: Conversion, store: ArtifactCache, choices: Sequence[Choice], folder: Path, progress: Progress
) -> tuple[tuple[Artifact, ...], dict[str, UserError]]:
    """From the cache if possible, otherwise converted; and by the name of the choice, why others could not be made.

    Raises UserError if there are none, or if the disk is full. folder: the bundle's final one, for logs.
    """
    parent, part = conversion.parent, conversion.part
    artifacts = _from_cache(store, choices, parent, part, progress)
    conversion.step.advance(2 * len(artifacts), "from the cache")
    missing = [choice for choice in choices if choice.name not in artifacts]
    conversion.workers.dismiss(but={choice.plugin for choice in missing})
    made, failed = results.sorted_out(conversion.run(missing), parent.where, choices, folder)
    for choice in (choice for choice in missing if choice.name in made):
        store.keep(choice, made[choice.name], part)
    artifacts |= made
    if failed and (not artifacts or not publishing.has_room(part, conversion.scratch)):
        raise next(iter(failed.values()))
    return tuple(artifacts[choice.name] for choice in choices if choice.name in artifacts), failed


def _from_cache(
    store: ArtifactCache, choices: Sequence[Choice], parent: SourceModel, part: Path, progress: Progress
) -> dict[str, Artifact]:
    """By the names of the choices; reports what was taken, and what was damaged."""
    found, damaged = store.take_all(choices, parent, part)
    if found:
        progress.say(f"from the cache: {', '.join(found)}")
    if damaged:
        progress.say(f"damaged in the cache, made again: {', '.join(damaged)}")
    return found


def _bundle(
    name: str,
    parent: SourceModel,
    artifacts: tuple[Artifact, ...],
    failed: Mapping[str, UserError],
    class_names: tuple[str, ...],
) -> Bundle:
    not_made = tuple(NotMade(choice, error.seen) for choice, error in failed.items())
    return Bundle(
        name, parent.model, parent.source, artifacts, checkpoint.now(), failed=not_made, class_names=class_names
    )
