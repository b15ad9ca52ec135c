"""The sizes with which a file is fed, if it leaves some open.

What the user gives (--shape) takes precedence over what the file declares; an open batch, the first axis, is 1. Nothing
else is assumed: timing a detector on one pixel would be meaningless.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgebench.errors import BadFile, UserError
from edgebench.files.plain_text import plain_excerpt
from edgebench.modelfile import Input, ModelFile

Sizes = tuple[int, ...]
# What inputs of code may be; `scalar` instead of sizes is a single number.
DTYPES = ("float32", "float16", "int64", "int32", "uint8", "bool")
SCALAR = "scalar"
LARGEST_SIZE = 2**31 - 1

# Metadata keys for the image size, as written by Ultralytics, PaddleX, timm and mmdeploy.
_IMAGE_SIZE_KEYS = ("imgsz", "image_size", "img_size", "input_size", "input_shape", "resolution")
# A first axis with one of these names does not count samples.
_NO_BATCH = re.compile(r"seq|len|time|frame|height|width|sample|point|token|step|^[htw]$", re.IGNORECASE)
_BATCH = re.compile(r"batch|^[nb]$", re.IGNORECASE)
_MOST_SHOWN = 4


@dataclass(frozen=True)
class Feeding:
    """shapes: of all inputs, if the file leaves any size open. remarks: what the user may not expect."""

    shapes: dict[str, Sizes] = field(default_factory=dict)
    signature: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, object]:
        """For the agent; empty if the file alone determines how it is fed."""
        given: dict[str, object] = {"shapes": self.shapes} if self.shapes else {}
        return given | ({"signature": self.signature} if self.signature else {})


@dataclass(frozen=True)
class InputRequest:
    """What the user asks of all files: sizes by input ("" is the only input of a file), sizes by their own names, and a
    signature. dtypes: by input, for code, which does not say what it takes.
    """

    shapes: Mapping[str, Sizes] = field(default_factory=dict)
    signature: str = ""
    dims: Mapping[str, int] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)


def parse_request(shapes: Iterable[str], signature: str = "", dims: Iterable[str] = ()) -> InputRequest:
    """shapes: `NAME=1x3x320x320`, or without a name for files with one input; `ids=1x16:int64` with a dtype.

    dims: `batch=1`, a size by the name that files give it. Raises UserError.
    """
    wanted: dict[str, Sizes] = {}
    dtypes: dict[str, str] = {}
    for one in shapes:
        name, _, given = one.rpartition("=")
        sizes, colon, dtype = given.partition(":")
        if name in wanted:
            raise UserError("--shape", f"'{name}' is given twice" if name else "given twice", "Leave one out")
        if colon and dtype not in DTYPES:
            raise UserError("--shape", f"'{one}': there is no dtype '{dtype}'", f"Choose from: {', '.join(DTYPES)}")
        wanted[name] = () if sizes == SCALAR else parse_sizes(sizes, one, least=0 if name else 1)
        if colon:
            dtypes[name] = dtype
    return InputRequest(wanted, signature, _parse_dims(dims), dtypes)


def _parse_dims(dims: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in dims:
        name, equals, size = one.rpartition("=")
        if not name or not equals or not (size.isascii() and size.isdecimal() and 0 < int(size) <= LARGEST_SIZE):
            raise UserError("--dim", f"'{one}' is not the name of a size and its value", "For example: --dim batch=1")
        if name in found:
            raise UserError("--dim", f"'{name}' is given twice", "Leave one out")
        found[name] = int(size)
    return found


def parse_sizes(text: str, whole: str = "", *, least: int = 1) -> Sizes:
    """`1x3x224x224` -> (1, 3, 224, 224). whole: what the user wrote. Raises UserError.

    least: 0 if an input may be empty, as a decoder's cache is at first.
    """
    sizes = text.lower().split("x")
    if not all(size.isascii() and size.isdecimal() and least <= int(size) <= LARGEST_SIZE for size in sizes):
        raise UserError(
            "--shape", f"'{whole or text}' is not an input shape", "Separate the sizes by x, e.g. image=1x3x224x224"
        )
    return tuple(map(int, sizes))


def settle(path: Path, model: ModelFile, wanted: InputRequest) -> Feeding:
    """How one file is fed. Raises UserError if that is not known, or does not fit the file."""
    inputs, signature, remarks = _inputs(path, model, wanted.signature)
    given = _given(path, inputs, wanted.shapes)
    symbols = {**_symbols(inputs, given, model), **wanted.dims}
    _check_dims(path, inputs, given, wanted.dims)
    shapes: dict[str, Sizes] = {}
    left: list[Input] = []
    for one in inputs:
        known = given[one.name] if one.name in given else _known(one, symbols)
        if known is None:
            known, why = _declared(one, model)
            if known:
                remarks.append(f"{path.name}: {_plain(one.name)} is fed as {written(known)}, {why}")
        if known is None:
            left.append(one)
        else:
            shapes[one.name] = known
    if left:
        raise _open(path, inputs, left, symbols)
    needed = any(one.open_axes or one.shape is None for one in inputs)
    return Feeding(shapes if needed else {}, signature, tuple(remarks))


def refuse_unused(wanted: InputRequest, models: Sequence[ModelFile]) -> None:
    """Raises UserError for a name that no file has, and for dtypes: files have their own."""
    if wanted.dtypes:
        name, dtype = next(iter(wanted.dtypes.items()))
        raise UserError("--shape", f"'{name or 'the input'}:{dtype}': a file says itself what it takes", "Leave it out")
    symbols = sorted({size for model in models for one in _every_input(model) for size in one.shape or ()
                      if isinstance(size, str) and _is_name(size)})  # fmt: skip
    for name in wanted.dims:
        if name not in symbols:
            raise UserError("--dim", f"no open size is called '{name}'", f"Open sizes: {_some(symbols)}")
    named = {name for model in models for one in _every_input(model) for name in (one.name, *one.also)}
    for name in wanted.shapes:
        if name and name not in named:
            raise UserError("--shape", f"no input is called '{name}'", f"Inputs: {_some(sorted(named))}")
    signatures = sorted({one.name for model in models for one in model.signatures})
    if wanted.signature and wanted.signature not in signatures:
        remedy = f"Signatures: {_some(signatures)}" if signatures else "None of these files has any: leave it out"
        raise UserError("--signature", f"there is no '{wanted.signature}'", remedy)


def written(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) or "a scalar"


def _inputs(path: Path, model: ModelFile, wanted: str) -> tuple[tuple[Input, ...], str, list[str]]:
    """The inputs of what is run; the signature to request; and what to say about the choice."""
    names = [one.name for one in model.signatures]
    if wanted in names:
        return model.signatures[names.index(wanted)].inputs, wanted, []
    if len(names) > 1:
        runs = next((one.name for one in model.signatures if one.subgraph == 0), "")
        ran = f"its signature '{_plain(runs)}' is run" if runs else "its main graph is run"
        return model.inputs, "", [f"{path.name}: {ran}, of {_some(sorted(names))}; --signature chooses"]
    if model.subgraphs > 1:
        return model.inputs, "", [f"{path.name}: its main graph is run, of {model.subgraphs}"]
    return model.inputs, "", []


def _every_input(model: ModelFile) -> Iterator[Input]:
    yield from model.inputs
    for signature in model.signatures:
        yield from signature.inputs


def _given(path: Path, inputs: Sequence[Input], wanted: Mapping[str, Sizes]) -> dict[str, Sizes]:
    """What the user gave, by the names of this file. Raises UserError if it does not fit."""
    given = {}
    for name, sizes in wanted.items():
        if not name and len(inputs) != 1:
            names = _some([one.name for one in inputs])
            raise UserError("--shape", f"{path.name} has {len(inputs)} inputs", f"Name one of them, NAME=...: {names}")
        for one in inputs:
            if not name or name in (one.name, *one.also):
                _check_fits(path, one, sizes)
                given[one.name] = sizes
    return given


def _check_fits(path: Path, one: Input, sizes: Sizes) -> None:
    if one.shape is None:
        return
    fixed = [(own, size) for own, size in zip(one.shape, sizes, strict=False) if isinstance(own, int) and own != size]
    if len(sizes) != len(one.shape) or fixed:
        own = f"{_plain(one.name)} of {path.name} is {_shown(one)}"
        problem = "which has a different number of sizes" if len(sizes) != len(one.shape) else "whose sizes are fixed"
        raise UserError(
            "--shape", f"{written(sizes)} does not fit: {own}, {problem}",
            "Give a size for each axis, and change only those that are open" if one.open_axes else "Leave it out",
        )  # fmt: skip


def _check_dims(path: Path, inputs: Sequence[Input], given: Mapping[str, Sizes], dims: Mapping[str, int]) -> None:
    """Raises UserError if --shape and --dim give the same size in two ways."""
    for one in inputs:
        for size, value in zip(one.shape or (), given.get(one.name, ()), strict=False):
            if isinstance(size, str) and dims.get(size, value) != value:
                seen = f"{size} is {dims[size]}, but --shape gives {_plain(one.name)} of {path.name} {value} there"
                raise UserError("--dim", seen, "Leave one of the two out")


def _symbols(inputs: Sequence[Input], given: Mapping[str, Sizes], model: ModelFile) -> dict[str, int]:
    """Sizes by name, equal names being equal sizes: given ones, those in metadata of that name, and the batch."""
    known: dict[str, int] = {}
    for one in inputs:
        for size, value in zip(one.shape or (), given.get(one.name, ()), strict=False):
            if isinstance(size, str) and _is_name(size):
                known.setdefault(size, value)
    for one in inputs:
        for axis in one.open_axes:
            name = str((one.shape or ())[axis])
            declared = model.declared.get(name, "").strip()
            if (
                _is_name(name)
                and not _BATCH.search(name)
                and declared.isdecimal()
                and 0 < int(declared) <= LARGEST_SIZE
            ):
                known.setdefault(name, int(declared))
    for one in inputs:
        if one.shape and isinstance(one.shape[0], str) and _is_batch(one) and _is_name(one.shape[0]):
            known.setdefault(one.shape[0], 1)
    return known


def _known(one: Input, symbols: Mapping[str, int]) -> Sizes | None:
    """None unless all its sizes are known."""
    if one.shape is None:
        return None
    sizes = []
    for axis, size in enumerate(one.shape):
        if isinstance(size, str):
            size = symbols.get(size, 1 if axis == 0 and _is_batch(one) else -1)
        if size < 0:
            return None
        sizes.append(size)
    return tuple(sizes)


def _is_batch(one: Input) -> bool:
    """Whether the first axis counts samples. A single axis may be anything, such as a waveform: its name decides."""
    shape = one.shape or ()
    name = str(shape[0])
    if _is_name(name) and name in shape[1:]:
        return False
    return bool(_BATCH.search(name)) or (len(shape) > 1 and not _NO_BATCH.search(name))


def _is_name(size: str) -> bool:
    """Some exporters call every unknown size "?": those need not be equal."""
    return any(character.isalnum() for character in size)


def _declared(one: Input, model: ModelFile) -> tuple[Sizes | None, str]:
    """Sizes given elsewhere in the file, and where."""
    if one.stored and all(size > 1 for axis, size in enumerate(one.stored) if axis and axis in one.open_axes):
        batch = (1,) if 0 in one.open_axes and _is_batch(one) else one.stored[:1]
        if batch[0] > 1 or 0 not in one.open_axes or _is_batch(one):
            return (*batch, *one.stored[1:]), "the sizes stored in the file; --shape gives others"
    shape = one.shape or ()
    if len(shape) != 4:
        return None, ""
    places = (1, 2) if isinstance(shape[3], int) and shape[3] in (1, 3, 4) else (2, 3)
    for key in _IMAGE_SIZE_KEYS:
        numbers = [int(number) for number in re.findall(r"\d{1,6}", model.declared.get(key, "")[:100])]
        if len(numbers) in (3, 4):
            numbers = [numbers[place - 4] for place in places]
        if len(numbers) not in (1, 2) or 0 in numbers:
            continue
        image = dict(zip(places, (numbers[0], numbers[-1]), strict=True))
        sizes = [image.get(axis, 1 if axis == 0 else -1) if isinstance(s, str) else s for axis, s in enumerate(shape)]
        if all(isinstance(size, int) and size > 0 for size in sizes):
            value = plain_excerpt(model.declared[key][:40])
            return tuple(map(int, sizes)), f"according to its metadata ({key} {value}); --shape gives others"
    return None, ""


def _open(path: Path, inputs: Sequence[Input], left: Sequence[Input], symbols: Mapping[str, int]) -> BadFile:
    """Says which sizes are open, and which option would set them."""
    shown = "; ".join(f"{_axes(one)} of {_plain(one.name)} {_shown(one)}" for one in left[:_MOST_SHOWN])
    more = f"; and {len(left) - _MOST_SHOWN} more inputs" if len(left) > _MOST_SHOWN else ""
    options = " ".join(_options(left, dict(symbols)))
    return BadFile(
        str(path),
        f"it leaves sizes open (only the batch defaults to 1): {shown}{more}",
        f"Give the sizes your application uses, for example: {options}",
    )


def _options(left: Sequence[Input], symbols: dict[str, int]) -> Iterator[str]:
    """The options that are needed; sizes that follow from names already given are left out."""
    for one in left:
        if one.shape is None:
            yield f"--shape {shlex.quote(_plain(one.name) + '=1x3x320x320')}"
            continue
        if _known(one, symbols) is not None:
            continue
        image = len(one.shape) == 4
        sizes = []
        for axis, size in enumerate(one.shape):
            if isinstance(size, str):
                channels_first = image and one.shape[3] not in (1, 3, 4)
                guess = 1 if axis == 0 and (_is_batch(one) or image) else 3 if channels_first and axis == 1 else 0
                guess = guess or (320 if image else 1 if _BATCH.search(size) else 128)
                guess = symbols.setdefault(size, guess) if _is_name(size) else guess
                size = guess
            sizes.append(size)
        yield f"--shape {shlex.quote(f'{_plain(one.name)}={written(sizes)}')}"


def _axes(one: Input) -> str:
    if one.shape is None:
        return "all sizes"
    open_ = [axis for axis in one.open_axes if axis or not _is_batch(one)]
    names = [str(one.shape[axis]) for axis in open_]
    if all(_is_name(name) for name in names):
        return _and([_plain(name) for name in names])
    return f"{'axis' if len(open_) == 1 else 'axes'} {_and([str(axis) for axis in open_])} (counted from 0)"


def _shown(one: Input) -> str:
    if one.shape is None:
        return "[...]"
    sizes = [str(size) if isinstance(size, int) else _plain(size) if _is_name(size) else "?" for size in one.shape]
    return f"[{', '.join(sizes)}]"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - 10} more" if len(names) > 10 else ""
    return (", ".join(map(_plain, names[:10])) or "none") + more


def _plain(name: str) -> str:
    return plain_excerpt(name[:100])
