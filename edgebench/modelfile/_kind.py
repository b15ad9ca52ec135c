"""Identifies files that have a model's name but are something else, by their first bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from edgebench.errors import BadFile

_HEAD_BYTES = 1024
_AGAIN = "Export, download or copy it again"
_UNPACK = "Unpack it and deploy the model inside"
# (first bytes, what it is, what to do)
_BEGINNINGS = (
    (b"version https://git-lfs", "it is a Git LFS pointer: the model itself was not downloaded", "Run `git lfs pull`"),
    (b"\x1f\x8b", "compressed with gzip", _UNPACK),
    (b"\xfd7zXZ\0", "compressed with xz", _UNPACK),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive", _UNPACK),
    (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file, as written by Keras", "Name it .h5: edgebench export FILE.h5"),
    (
        b"\x80\x02", "it is a Python pickle, as written by torch.save",
        "Export it: edgebench export package.module:callable --weights FILE",
    ),
    (b"%PDF", "it is a PDF", _AGAIN),
)  # fmt: skip
_SAFETENSORS = b'{"'


def refuse_other_files(path: Path) -> None:
    """Raises BadFile for a file that is not a model."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    seen, remedy = _what(path, head)
    if seen:
        raise BadFile(str(path), seen, remedy)


def _what(path: Path, head: bytes) -> tuple[str, str]:
    """What it is and what to do; ("", "") if it may be a model."""
    if not head:
        return "it is empty", _AGAIN
    for beginning, seen, remedy in _BEGINNINGS:
        if head.startswith(beginning):
            return seen, remedy
    shown = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if shown.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            "it is a web page, not a model",
            "Download the file itself: the address was that of a page about it (GitHub, Hugging Face)",
        )
    if head.startswith(b"PK\x03\x04") and path.suffix != ".pt2":
        return _zip(path)
    if head[8:10] == _SAFETENSORS:
        return "it is a .safetensors file: weights without a network", "Export it: edgebench export CHECKPOINT"
    if path.suffix == ".onnx" and head[4:8] == b"TFL3":
        return "its content is a TFLite network, not an ONNX one", "Rename it to .tflite"
    if path.suffix == ".pt2" and not head.startswith(b"PK\x03\x04"):
        return "not a program of torch.export", "Save it with torch.export.save"
    return "", ""


def _zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "it is a truncated ZIP archive", _AGAIN
    if any(name.endswith("data.pkl") for name in names):
        return "it was written by torch.save", "Export it: edgebench export package.module:callable --weights FILE"
    if "model.weights.h5" in names:
        return "it is a Keras file", "Rename it to .keras, then: edgebench export FILE.keras"
    return "it is a ZIP archive", _UNPACK
