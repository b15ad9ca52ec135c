"""A struct type without some of its fields: what one line carries of something whose rest stands beside it."""

from __future__ import annotations

from typing import Any

import msgspec


def without(kind: type[msgspec.Struct], *names: str) -> type[msgspec.Struct]:
    """The other fields, with their types and defaults: each is spelt once, in `kind`."""
    fields = [_field(one) for one in msgspec.structs.fields(kind) if one.name not in names]
    return msgspec.defstruct(f"{kind.__name__}Part", fields, frozen=True, forbid_unknown_fields=True, kw_only=True)


def only(kind: type[msgspec.Struct], *names: str) -> type[msgspec.Struct]:
    return without(kind, *(one.name for one in msgspec.structs.fields(kind) if one.name not in names))


def _field(one: msgspec.structs.FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    if one.required:
        return one.name, one.type
    if one.default is msgspec.NODEFAULT:
        return one.name, one.type, msgspec.field(default_factory=one.default_factory)
    return one.name, one.type, one.default
