"""Which artifacts an export makes: those the user named, or those that make sense for the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import exporters
from edgebench.errors import UserError
from exporters import Choice, SourceKind
from exporters.pipeline.export_images import ExportImages
from exporters.pipeline.export_inputs import ExportInputs
from exporters.sources.source_model import SourceModel

INT8_FORMATS = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
ANY_BATCH = ("onnx", "tflite")
KINDS: dict[SourceKind, str] = {
    "checkpoint": "a checkpoint",
    "module": "code",
    "onnx": "an .onnx file",
    "keras": "a Keras network",
}


def names(parent: SourceModel, formats: Sequence[str], *, int8: bool, has_inputs: bool = False) -> list[str]:
    """has_inputs: the user gives some, with which INT8 can be made."""
    known = exporters.formats(parent.kind)
    if formats:
        named = [name.strip() for name in formats]
        if int8:
            added = [f"{name.rpartition('-')[0]}-int8" for name in named]
            named += [name for name in added if name in known]
        return named
    if int8:
        return [name for name in INT8_FORMATS if name in known]
    usual = [choice.name for choice in exporters.choose(known, parent.kind) if exporters.by_default(choice.plugin)]
    plain = [name for name in usual if name.count("-") == 1]
    return [name for name in plain if parent.calibration or has_inputs or not name.endswith("-int8")]


def only_tflite(parent: SourceModel, choices: Sequence[Choice], formats: Sequence[str]) -> Iterator[str]:
    """What to say about a source that cannot become every format, if the user did not choose formats."""
    if parent.kind == "keras" and not formats:
        made = ", ".join(choice.name for choice in choices)
        yield (
            f"{KINDS[parent.kind]} is exported to TFLite only ({made}); "
            "for ONNX, convert it with tf2onnx and export the result"
        )


def of_any_batch(choices: list[Choice], *, named: bool) -> list[Choice]:
    """Those whose format can leave the batch open. Raises UserError if another one was asked for by name."""
    able = [choice for choice in choices if choice.exporter.FORMAT in ANY_BATCH]
    others = [choice.name for choice in choices if choice not in able]
    if not able or (named and others):
        raise UserError(
            "--dynamic-batch", f"{', '.join(others)} takes one image at a time", "Name others, e.g. onnx-int8"
        )
    return able


def refuse_unusable(
    parent: SourceModel, images: ExportImages | ExportInputs | None, choices: Sequence[Choice], *, fold: bool
) -> None:
    """Raises UserError for what cannot be made without images, or with these images."""
    if images is None and any(choice.precision == "int8" for choice in choices):
        raise UserError(
            parent.where,
            f"INT8 needs {parent.samples} to be made and judged on, and {KINDS[parent.kind]} does not say which data "
            "it is for",
            "Name a data set, --dataset or --calibration, or give inputs: --inputs FILE.npz"
            if parent.input_shape
            else "Give inputs: --inputs FILE.npz",
        )
    if not fold:
        return
    if not isinstance(images, ExportImages):
        raise UserError(
            parent.where, "there is no preprocessing to fold into the files: no data set is named", "Add --dataset NAME"
        )
    if images.preprocessing.resize is not None:
        raise UserError(
            "--fold-preprocessing",
            f"the images of {images.dataset.name} are resized for this network, and files cannot do that",
            "Leave it out, or use a data set of the network's input size",
        )
