"""Samples in a file, as artifacts take them: images (`image_files`), or arrays by input name (.npz).

An array holds n samples: [n, ...] where the input has a batch axis of 1, otherwise [n, *shape] (`tensors.sample`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.schema import tensors
from exporters.arithmetic import image_files

if TYPE_CHECKING:
    from edgebench.schema.arrays import Int64Array
    from edgebench.schema.bundle import TensorSpec
    from edgebench.schema.preprocessing import Preprocessing

ARRAYS = ".npz"


def write(path: Path, arrays: Sequence[Any]) -> Path:
    """arrays: of each input in order; or answers, of each output."""
    import numpy as np

    with path.open("wb") as stream:
        np.savez(stream, **{f"x{place}": values for place, values in enumerate(arrays)})
    _read.cache_clear()
    return path


def read(path: Path) -> list[Any]:
    """The arrays of a file, as they were written."""
    return _read(path)


@lru_cache(2)
def _read(path: Path) -> list[Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as held:
        return [held[f"x{place}"] for place in range(len(held.files))]


def count(path: Path) -> int:
    return len(read(path)[0]) if path.suffix == ARRAYS else len(image_files.read(path))


def take(path: Path, index: Int64Array, name: str) -> Path:
    """Some of the samples of a file, in one of their own beside it."""
    if path.suffix == ARRAYS:
        return write(path.with_name(f"{name}{ARRAYS}"), [one[index] for one in read(path)])
    return image_files.take(path, index, name)


def counterparts(names: Sequence[TensorSpec], held: Sequence[TensorSpec]) -> list[int]:
    """For each of an artifact's inputs (or outputs) the place of the network's: by name, or else by place.

    Converters leave out inputs that nothing reads. Raises UserError if it is unclear which is which.
    """
    places = {spec.name: place for place, spec in enumerate(names)}
    if all(spec.name in places for spec in held):
        return [places[spec.name] for spec in held]
    if len(held) == len(names):
        return list(range(len(held)))
    raise UserError(
        "the converted file",
        f"it has {', '.join(spec.name for spec in held) or 'nothing'} where the network has {', '.join(places)}",
        "Leave the format out with --formats, and report the network to the authors of edgebench",
    )


def each_batch(
    file: Path,
    preprocessing: Preprocessing | None,
    network: Sequence[TensorSpec],
    inputs: Sequence[TensorSpec],
    size: int,
) -> Iterator[tuple[Any, ...]]:
    """Samples as an artifact takes them, one array for each of its inputs, `size` at a time and at last those left.

    network: the network's own inputs; not looked at for images.
    """
    if file.suffix != ARRAYS:
        (spec,) = inputs
        for some in image_files.each_batch(file, preprocessing, spec, size):
            yield (some,)
        return
    arrays, places = read(file), counterparts(network, inputs)
    for start in range(0, len(arrays[0]), size):
        yield tuple(
            tensors.placed(arrays[place][start : start + size], network[place], spec)
            for place, spec in zip(places, inputs, strict=True)
        )


def each(
    file: Path, preprocessing: Preprocessing | None, network: Sequence[TensorSpec], inputs: Sequence[TensorSpec]
) -> Iterator[tuple[Any, ...]]:
    """One sample after the other, each input in its own shape."""
    for batch in each_batch(file, preprocessing, network, inputs, image_files.PIECE):
        yield from one_by_one(batch, inputs)


def one_by_one(batch: Sequence[Any], inputs: Sequence[TensorSpec]) -> Iterator[tuple[Any, ...]]:
    for place in range(len(batch[0])):
        yield tuple(tensors.sample(values, spec, place) for values, spec in zip(batch, inputs, strict=True))


def some(batch: Sequence[Any], part: Any) -> tuple[Any, ...]:
    """part: a slice, or indices, of samples."""
    return tuple(values[part] for values in batch)


def joined(answers: Sequence[Sequence[Any]], specs: Sequence[TensorSpec]) -> list[Any]:
    """Answers to single samples -> for each output [n, ...], as float32 or int64.

    Raises UserError for an output whose size depends on the input.
    """
    import numpy as np

    found = []
    for values, spec in zip(zip(*answers, strict=True), specs, strict=True):
        shapes = {one.shape for one in values}
        if len(shapes) > 1:
            seen = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
            raise UserError(
                f"output '{spec.name}'",
                f"its size depends on what is fed: {seen}",
                "Such answers cannot be compared: end the network before the operator that selects (NonMaxSuppression)",
            )
        batched = values[0].ndim and values[0].shape[0] == 1
        found.append(tensors.from_stored(np.concatenate(values) if batched else np.stack(values), spec))
    return found
