"""What users type for data of their own, and what checkpoints and bundles keep of it.

photos                      a folder of class folders
photos.csv, photos.jsonl    a manifest
digits.npz, digits/x.npy    arrays
my.data:make                code of the user's
photos?seed=3&skip-broken   with what is not the default
photos@1000,200             so many of its training and test images only
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgebench.errors import BadFile, UserError

Kind = Literal["folder", "manifest", "arrays", "code"]

SUFFIXES: dict[str, Kind] = {".csv": "manifest", ".jsonl": "manifest", ".npz": "arrays", ".npy": "arrays"}
_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_OPTIONS = re.compile(r"(.+)\?((?:seed=\d+|skip-broken)(?:&(?:seed=\d+|skip-broken))*)")
_PART = re.compile(r"(.+)@(\d+(?:,\d+)?)")
READABLE = "Give a folder of class folders, a .csv or .jsonl manifest, .npz or .npy arrays, or package.module:callable"


@dataclass(frozen=True)
class Address:
    """where: an absolute path, or the callable. part: as typed behind the @."""

    kind: Kind
    where: str
    seed: int = 0
    skip_broken: bool = False
    part: str = ""

    @property
    def path(self) -> Path:
        return Path(self.where)

    def __str__(self) -> str:
        options = [f"seed={self.seed}"] if self.seed else []
        options += ["skip-broken"] if self.skip_broken else []
        asked = f"?{'&'.join(options)}" if options else ""
        return f"{self.where}{f'@{self.part}' if self.part else ''}{asked}"


def with_options(name: str, *, seed: int = 0, skip_broken: bool = False) -> str:
    """A data set's name with choices that stand beside it on the command line."""
    options = [f"seed={seed}"] if seed else []
    options += ["skip-broken"] if skip_broken else []
    return f"{name}?{'&'.join(options)}" if options else name


def is_own(name: str, built_in: Collection[str]) -> bool:
    """Whether this is data of the user's own. A built-in name wins over a folder called so; ./NAME is the folder."""
    plain = name.partition("?")[0].partition("@")[0]
    if plain in built_in:
        return False
    return any(_looks_own(where) for where in (_split(name)[0], plain))


def _looks_own(where: str) -> bool:
    return bool(
        _CALLABLE.fullmatch(where)
        or "/" in where
        or where in (".", "..")
        or Path(where).suffix.lower() in SUFFIXES
        or Path(where).expanduser().exists()
    )


def _nothing_there(name: str, path: Path) -> BadFile:
    """Raised where there is no such file: if what stands before an @ or a ? is one, what follows is to blame."""
    plain = re.split("[?@]", name, maxsplit=1)[0]
    behind = name[len(plain) :]
    if behind and plain and (Path(plain).expanduser().exists() or _CALLABLE.fullmatch(plain)):
        return BadFile(
            f"data set '{name}'",
            f"'{behind}' cannot be read",
            f"Write {plain}@TRAIN or {plain}@TRAIN,TEST for so many images, {plain}?seed=3&skip-broken for options",
        )
    return BadFile(str(path), "there is no such file or folder", "Check the path of the data set")


def is_callable(name: str) -> bool:
    return _CALLABLE.fullmatch(_split(name)[0]) is not None


def exists(name: str) -> bool:
    """Whether there is a file or folder at a path that may have a part and options behind it."""
    return Path(_split(name)[0]).expanduser().exists()


def train_images(name: str) -> int | None:
    """The part of a data set's training images that its name asks for, built-in ones included."""
    part = _split(name)[1]
    return int(part.partition(",")[0]) if part else None


def parse(name: str) -> Address:
    """Raises BadFile for a path where nothing is, or nothing that can be read."""
    where, part, options = _split(name)
    seed = next((int(one[5:]) for one in options if one.startswith("seed=")), 0)
    skip = "skip-broken" in options
    if _CALLABLE.fullmatch(where) and not Path(where).exists():
        return Address("code", where, seed, skip, part)
    path = Path(where).expanduser().absolute()
    if not path.exists():
        raise _nothing_there(name, path)
    kind = "folder" if path.is_dir() else SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise BadFile(str(path), f"'{path.suffix}' is not a kind of data set", READABLE)
    return Address(kind, str(path), seed, skip, part)


def place(name: str) -> tuple[Path | None, int | None, bool]:
    """(path, how many of its test images, whether broken ones are left out) of data in files; a path of None: code.
    Raises BadFile if nothing is there.

    photos@200 and photos@1000,200 both stand for 200 test images.
    """
    where, part, options = _split(name)
    if _CALLABLE.fullmatch(where) and not Path(where).exists():
        return None, None, False
    path = Path(where).expanduser().absolute()
    if not path.exists():
        raise _nothing_there(name, path)
    return path, int(part.rpartition(",")[2]) if part else None, "skip-broken" in options


def _split(name: str) -> tuple[str, str, list[str]]:
    """(where, part, options). A file whose own name has an @ or a ? in it is meant as it is."""
    if Path(name).exists():
        return name, "", []
    asked = _OPTIONS.fullmatch(name)
    where, options = (asked[1], asked[2].split("&")) if asked else (name, [])
    part = None if Path(where).exists() else _PART.fullmatch(where)
    return (part[1], part[2], options) if part else (where, "", options)


def refuse_options(name: str) -> None:
    """Raises UserError where options of own data stand behind a built-in name."""
    if "?" in name:
        raise UserError(
            f"data set '{name}'",
            "--split-seed and --skip-broken are for data of your own: built-in data sets have fixed splits",
            "Leave them out",
        )
