"""Reads a .onnx, .tflite, .pt2, .pte or .param file before it is sent: its inputs, and the other files that it needs.

_onnx.py, _tflite.py, _torch.py, _executorch.py and _ncnn.py parse their formats in plain Python and without the
weights: deploy works where neither onnx nor a runtime is installed. _kind.py identifies files that are not models. Only
what no runtime could run is refused here; everything else is for the runtime to decide.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edgebench.errors import BadFile
from edgebench.modelfile import _executorch, _kind, _ncnn, _onnx, _tflite, _torch
from edgebench.modelfile._bytes import Damaged
from edgebench.modelfile._what import Input, ModelFile, Signature

__all__ = ["Companion", "Input", "ModelFile", "Signature", "companions", "read"]

_Reader = Callable[[memoryview], ModelFile]
_READERS: dict[str, _Reader] = {".onnx": _onnx.read, ".tflite": _tflite.read, ".pte": _executorch.read}


@dataclass(frozen=True)
class Companion:
    """A file with weights of a model. location: as the model names it, relative to its own folder."""

    location: str
    path: Path


def read(path: Path) -> ModelFile | None:
    """None for formats that are not parsed. Raises BadFile for a file that is not a model."""
    reader = functools.partial(_ncnn.read, path) if path.suffix == ".param" else _READERS.get(path.suffix)
    if reader is None and path.suffix != ".pt2":
        return None
    _kind.refuse_other_files(path)
    if reader is None:
        return _torch.read(path)
    with path.open("rb") as stream, closing(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)) as content:
        view = memoryview(content)
        try:
            return reader(view)
        except Damaged as damage:
            seen, remedy = str(damage), "Export, download or copy it again"
            if reader is _tflite.read and _is_onnx(view):
                seen, remedy = "its content is an ONNX network, not a TFLite one", "Rename it to .onnx"
        finally:
            view.release()
    raise BadFile(str(path), seen, remedy)


def _is_onnx(content: memoryview) -> bool:
    try:
        return bool(_onnx.read(content))
    except Damaged:
        return False


def companions(path: Path, model: ModelFile) -> tuple[Companion, ...]:
    """The files that contain its weights. Raises BadFile for one that is missing, or outside the model's folder."""
    found = []
    for location in model.external:
        beside = path.parent / location
        if not is_beside(path, location):
            raise BadFile(
                str(path),
                f"it refers to a data file outside its folder, {location!r}",
                "Do not load this file anywhere",
            )
        if not beside.is_file():
            raise BadFile(
                str(path), f"its weights are in {location}, which is not in {path.parent.absolute()}",
                "Put that file there: it belongs to this one",
            )  # fmt: skip
        found.append(Companion(location, beside))
    return tuple(found)


def is_beside(path: Path, location: str) -> bool:
    """Whether a file named by an untrusted model lies in the model's folder or below, and is not a link out of it.

    A download cache may contain links to both, with their targets side by side.
    """
    plain = location and not location.startswith("/") and ".." not in location.replace("\\", "/").split("/")
    if not plain or any(not character.isprintable() for character in location):
        return False
    target = (path.parent / location).resolve()
    return target.is_relative_to(path.parent.resolve()) or target.parent == path.resolve().parent
