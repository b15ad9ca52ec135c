"""export: a checkpoint, or an .onnx file, -> a bundle of artifacts, each checked against the network it came from.

    main process         open the source ─ the parent's answers ─┐                        ┌─ write the bundle
    converter (ONNX)     import libraries ──── wait ─────────────┴─ convert ─┐            │
    converter (TFLite)   import libraries ────────── wait ───────┴─ convert ─┤            │
    one process per file                                                     └─ load, run ┘

Candidates of one precision are compared on the validation split; the calibration set comes from the training split;
the figures in the bundle come from the whole test split, which nothing was chosen by.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import exporters
from edgebench import bundle, checkpoint
from edgebench.bundle import Artifact, Bundle
from edgebench.errors import UserError
from edgebench.progress import Progress, Silent
from exporters._making import Making
from exporters._parent import Parent, open_parent
from exporters._process import Failed, Workers

FOLDER = Path("bundles")
INT8_FORMATS = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")


@dataclass(frozen=True)
class Exported:
    path: Path
    bundle: Bundle


def export(
    source: Path | None = None,
    *,
    formats: Sequence[str] | None = None,
    int8: bool = False,
    calibration: str | None = None,
    out: Path | None = None,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Exported:
    """Make a bundle.

    source: a .safetensors checkpoint or an .onnx file; the newest checkpoint if it is left out.
    formats: names like `onnx-int8`. Without them, `int8` makes fp32 and INT8 of ONNX and TFLite, and without that
    either, everything that can be made from the source. With both, `int8` adds the INT8 of every format named.
    calibration: data set that INT8 ranges are found on; a checkpoint's own by default. An .onnx file needs one for
    INT8 and for accuracies: its images are prepared as that data set prescribes.
    out: the bundle's folder, `bundles/<source's name>` by default; a bundle that is there is replaced when this one is
    whole.
    """
    source = checkpoint.newest() if source is None else source
    folder = FOLDER / source.stem if out is None else out
    _refuse_foreign(folder)
    with tempfile.TemporaryDirectory(prefix="edgebench-export-") as scratch:
        workers = Workers(Path(scratch))
        parent = open_parent(source, calibration, workers)
        choices = exporters.choose(wanted(parent, formats, int8=int8), parent.kind)
        if any(choice.precision == "int8" for choice in choices) and not parent.calibration:
            raise UserError(
                str(source),
                "INT8 needs a calibration set, and an .onnx file does not say which data it is for",
                "Name one: --calibration fashion-mnist-mini",
            )
        part = _part(folder)
        try:
            with progress.step(f"export {parent.name}", total=2 * len(choices)) as step:
                artifacts = Making(parent, part, Path(scratch), workers, step).all(choices)
        except Failed as failure:
            shutil.rmtree(part, ignore_errors=True)
            raise _explained(failure, source, folder) from failure
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    made = Bundle(folder.name, parent.model, parent.source, tuple(artifacts), checkpoint.now())
    bundle.save(made, part)
    _publish(part, folder)
    for artifact in artifacts:
        progress.say(describe(artifact))
    found = artifacts[0].parity
    if parent.kind == "onnx" and found is not None and found.parent_accuracy < 2 / artifacts[0].outputs[0].shape[-1]:
        progress.say(
            f"{source} itself is right on only {found.parent_accuracy:.1%} of the test images of {found.dataset}: "
            "it may be for other data, or want them prepared otherwise, and then its INT8 files are worth no more"
        )
    return Exported(folder, made)


def wanted(parent: Parent, formats: Sequence[str] | None, *, int8: bool) -> list[str]:
    known = exporters.formats(parent.kind)
    if formats:
        names = [name.strip() for name in formats]
        if int8:
            added = [f"{name.rpartition('-')[0]}-int8" for name in names]
            names += [name for name in added if name in known]
        return names
    if int8:
        return list(INT8_FORMATS)
    plain = [name for name in known if name.count("-") == 1]
    return [name for name in plain if parent.calibration or not name.endswith("-int8")]


def describe(artifact: Artifact) -> str:
    size = f"{artifact.name}: {artifact.content.size_bytes:,} bytes"
    found = artifact.parity
    if found is None:
        return f"{size}; not checked on images, no data set was named"
    return (
        f"{size}, accuracy {found.accuracy:.2%} (parent {found.parent_accuracy:.2%}), "
        f"agrees with it on {found.top1_agreement:.2%} of {found.images}"
    )


def _refuse_foreign(folder: Path) -> None:
    """A bundle may be replaced, anything else may not."""
    empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not empty and not (folder / "bundle.json").is_file():
        raise UserError(str(folder), "it is there and is not a bundle", "Name another folder with --out")


def _part(folder: Path) -> Path:
    """A new folder beside the final one: renaming works only within a file system."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        part.chmod(0o755)
    except OSError as error:
        raise UserError(
            str(folder.parent), f"it cannot be written ({error.strerror})", "Name another folder with --out"
        ) from error
    return part


def _publish(part: Path, folder: Path) -> None:
    """Put the whole new bundle in the place of the old one, which is only then deleted."""
    old = part.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _explained(failure: Failed, source: Path, folder: Path) -> UserError:
    """The converter's log outlives the export, so that its reason can be read."""
    log = folder.with_name(f"{folder.name}-{failure.log.name}")
    if failure.log.is_file():
        shutil.copyfile(failure.log, log)
    return UserError(
        f"export of {source}",
        f"{failure.log.stem}: {failure.seen}",
        f"Its log is {log}; leave the format out with --formats",
    )
