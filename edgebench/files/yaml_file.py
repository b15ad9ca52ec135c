"""YAML files that people write: read strictly, with errors in one sentence that names the place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from edgebench.errors import BadFile

Typed = TypeVar("Typed")

_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")


def load(path: Path, kind: type[Typed]) -> Typed:
    """The file as one `kind`. An unknown key is an error: a misspelt `epochs` must not train something else."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(str(path), f"it cannot be read ({error.strerror})", "Check the path") from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadFile(str(path), f"it is not YAML ({' '.join(str(error).split())})", "Fix the file") from error
    return convert(content, kind, str(path))


def convert(content: Any, kind: type[Typed], where: str) -> Typed:
    """Raises BadFile that names the key, with "did you mean" for one that is not known."""
    try:
        return msgspec.convert(content, kind, str_keys=True)
    except msgspec.ValidationError as error:
        seen = str(error)
        unknown = _UNKNOWN.search(seen)
        remedy = "Correct the value"
        if unknown:
            close = difflib.get_close_matches(unknown["name"], set(_field_names(msgspec.inspect.type_info(kind))), n=1)
            remedy = f"Did you mean '{close[0]}'?" if close else "Remove the key"
        raise BadFile(where, seen, remedy) from error


def _field_names(info: Any) -> Iterator[str]:
    """Every key that the type knows at any depth."""
    if isinstance(info, msgspec.inspect.StructType):
        for field in info.fields:
            yield field.encode_name
            yield from _field_names(field.type)
    for inside in ("item_type", "key_type", "value_type"):
        if hasattr(info, inside):
            yield from _field_names(getattr(info, inside))
    for one in (*getattr(info, "types", ()), *getattr(info, "item_types", ())):
        yield from _field_names(one)
