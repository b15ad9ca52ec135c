"""JSON files that anyone may have written or damaged: read within limits, decoded strictly, refused in one sentence."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgebench.errors import BadFile

_T = TypeVar("_T")
_BOM = b"\xef\xbb\xbf"
# The longest part of a decoder's message that is shown: it may quote its input.
_MOST_WORDS = 300


@dataclass(frozen=True)
class Kind:
    """The kind of a file. name: such as "a record"; newest: its newest schema; remedy: for other or damaged files."""

    name: str
    newest: int
    remedy: str
    most_bytes: int


def read(path: Path, kind: Kind) -> bytes:
    """Raises BadFile for what cannot be read, is not a regular file (a pipe may never end), or is too large."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise BadFile(str(path), f"it is not a file, so it is not {kind.name}", kind.remedy)
        if found.st_size > kind.most_bytes:
            most = f"{kind.most_bytes / 2**20:.0f} MiB"
            raise BadFile(
                str(path), f"with {found.st_size} bytes it is too large for {kind.name} ({most})", kind.remedy
            )
        return path.read_bytes()
    except OSError as error:
        raise BadFile(str(path), f"cannot be read ({error.strerror})", "Check the path") from error
    except ValueError as error:  # a NUL in the path
        raise BadFile(repr(str(path)), f"cannot be read ({error})", "Check the path") from error


def decode(
    data: bytes, where: str, kind: Kind, type_: type[_T], upgrade: Callable[[dict[str, Any]], dict[str, Any]]
) -> _T:
    """The content as `type_`. The schema is checked first, because a newer file may hold anything.

    upgrade: converts older content to the newest schema; any error in it means damage.
    """
    try:
        content = msgspec.json.decode(data.removeprefix(_BOM))
    except RecursionError as error:
        raise BadFile(where, f"it is not {kind.name} (nested too deeply)", kind.remedy) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadFile(where, f"it is not {kind.name} ({shortened(error)})", kind.remedy) from error
    check_schema(content, where, kind)
    try:
        content = upgrade(content)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        words = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        seen = f"it is not {kind.name} (its schema is {content['schema_version']}: {words})"
        raise BadFile(where, shortened(seen), kind.remedy) from error
    return convert(content, where, kind, type_)


def convert(content: Any, where: str, kind: Kind, type_: type[_T]) -> _T:
    """Raises BadFile, with the location, for anything that the type does not allow."""
    try:
        return msgspec.convert(content, type_)
    except RecursionError as error:
        raise BadFile(where, f"it is not {kind.name} (nested too deeply)", kind.remedy) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadFile(where, f"it is not {kind.name} ({shortened(error)})", kind.remedy) from error


def check_schema(content: Any, where: str, kind: Kind) -> None:
    if not isinstance(content, dict) or "schema_version" not in content:
        raise BadFile(where, f"it is not {kind.name} (it has no schema_version)", kind.remedy)
    version = content["schema_version"]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        seen = shortened(f"it is not {kind.name} (its schema_version is {version!r}, not a number from 1 on)")
        raise BadFile(where, seen, kind.remedy)
    if version > kind.newest:
        seen = shortened(f"it has schema {version}, but this edgebench reads only up to {kind.newest}")
        raise BadFile(where, seen, "Upgrade edgebench")


def shortened(words: object) -> str:
    text = str(words)
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}..."
