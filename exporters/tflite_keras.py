"""TFLite of Keras files and SavedModel folders, by TensorFlow's own converter.

fp16 and INT8 are made from its float32 file as in `tflite`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exporters import ConversionJob, ConvertedFile, tflite
from exporters.tflite import fold, open_artifact, open_for_batches

FORMAT = "tflite"
SUFFIX = ".tflite"
SOURCES = ("keras",)
PRECISIONS = ("fp32", "fp16", "int8")
PACKAGES = ("tensorflow", "ai_edge_quantizer", "ai_edge_litert")
EXTRA = "tensorflow"


def warm() -> None:
    import ai_edge_quantizer  # noqa: F401


def convert(job: ConversionJob) -> Iterator[ConvertedFile]:
    """`sources.keras.look` has already converted it, in the process that opened the source."""
    assert job.isolated is not None
    yield from tflite.precisions_of(Path(job.isolated.held), job)


__all__ = ["convert", "fold", "open_artifact", "open_for_batches", "warm"]
