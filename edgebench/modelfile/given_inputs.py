"""Inputs that the user gives (--inputs FILE.npz): arrays by input name, samples along the first axis."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile, UserError
from edgebench.files.plain_text import plain_excerpt

if TYPE_CHECKING:
    from edgebench.schema.bundle import TensorSpec

MOST_BYTES = 8 << 30


@dataclass(frozen=True)
class GivenInputs:
    """arrays: for each input `count` samples, [count, ...]: without the input's batch axis where that is 1."""

    arrays: dict[str, Any]
    count: int


def read(path: Path, inputs: Sequence[TensorSpec], where: str) -> GivenInputs:
    """where: the network, for errors. Raises BadFile, and UserError for arrays that do not fit its inputs.

    An input without a batch axis of 1 may be given once, in its own shape: it is the same for all samples.
    """
    import numpy as np

    held = _arrays(path)
    names = [spec.name for spec in inputs]
    missing = [name for name in names if name not in held]
    if missing and len(inputs) == 1 and len(held) == 1:
        held, missing = {names[0]: next(iter(held.values()))}, []
    if missing:
        seen = f"it has no array '{_shown(missing[0])}', only {', '.join(map(_shown, held)) or 'none'}"
        raise UserError(str(path), seen, f"{where} takes: {', '.join(map(_shown, names))}")
    found, counts, constant = {}, {}, []
    for spec in inputs:
        values = _typed(path, held[spec.name], spec)
        own = tuple(spec.shape)
        sample = own[1:] if own and own[0] == 1 else own
        if values.shape[1:] == sample and values.ndim == len(sample) + 1:
            counts[spec.name] = len(values)
        elif own and own[0] == 1 and values.ndim == len(own) + 1 and values.shape[1:] == own:
            values = values[:, 0]
            counts[spec.name] = len(values)
        elif values.shape == own:
            constant.append(spec.name)
        else:
            raise UserError(
                f"{path}, {_shown(spec.name)}",
                f"its shape is {list(values.shape)}, and a sample of {where} is {list(own)}",
                f"Give an array of [samples{''.join(f', {size}' for size in sample)}]",
            )
        found[spec.name] = values
    if len(set(counts.values())) > 1:
        seen = ", ".join(f"{_shown(name)} has {count}" for name, count in counts.items())
        raise UserError(str(path), f"its arrays have different numbers of samples: {seen}", "Give one of each a sample")
    count = next(iter(counts.values()), 1)
    if not count:
        raise UserError(str(path), "its arrays have no samples", "Give one or more")
    for name in constant:
        found[name] = np.broadcast_to(found[name], (count, *found[name].shape))
    return GivenInputs({name: np.ascontiguousarray(values) for name, values in found.items()}, count)


def _arrays(path: Path) -> dict[str, Any]:
    import numpy as np

    if not path.is_file():
        raise BadFile(str(path), "there is no such file", "Check --inputs")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(one.file_size for one in archive.infolist()) > MOST_BYTES:
                raise BadFile(str(path), f"it holds more than {MOST_BYTES >> 30} GB", "Give fewer samples")
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError) as error:
        raise BadFile(
            str(path),
            f"it is not an .npz file of plain arrays ({plain_excerpt(str(error)[:200])})",
            "Write it with numpy.savez(FILE, name=array, ...)",
        ) from error


def _typed(path: Path, values: Any, spec: TensorSpec) -> Any:
    """In the input's dtype. Raises UserError where that would change numbers, and for what is not a number."""
    import numpy as np

    where = f"{path}, {_shown(spec.name)}"
    wanted = np.dtype(spec.dtype)
    if values.dtype.kind not in "biuf":
        raise UserError(where, f"its dtype is {values.dtype}, not numbers", f"Give {wanted}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        broken = int((~np.isfinite(values)).sum())
        raise UserError(where, f"{broken:,} of its numbers are NaN or infinite", "Leave these samples out")
    if values.dtype == wanted:
        return values
    fits = values.dtype.kind == wanted.kind or (values.dtype.kind in "iu" and wanted.kind in "iu")
    if fits:
        cast = values.astype(wanted)
        if wanted.kind == "f" and np.isfinite(cast).all() or wanted.kind in "iu" and np.array_equal(cast, values):
            return cast
    raise UserError(
        where, f"its dtype is {values.dtype}, the network takes {wanted}", f"Convert it: .astype('{wanted}')"
    )


def _shown(name: str) -> str:
    return plain_excerpt(name[:100])
