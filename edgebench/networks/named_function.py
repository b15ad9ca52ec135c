"""A function of the user's own, by the name `package.module:callable`; imported from the folder that the user is in."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from edgebench.errors import UserError

# Set to `refused` where whoever names files is not trusted with code, as by `edgebench mcp`.
OWN_CODE = "EDGEBENCH_OWN_CODE"


def refuse_if_forbidden(where: str) -> None:
    """Checkpoints and bundles may name code too. Raises UserError."""
    if os.environ.get(OWN_CODE) == "refused":
        raise UserError(where, "it names code, which is not run here", "Use edgebench's command line for it")


def load(name: str, where: str, remedy: str) -> Callable[..., Any]:
    """where: what names it, for errors; remedy: for something that cannot be called. Raises UserError."""
    refuse_if_forbidden(where)
    module, colon, attribute = name.partition(":")
    here = os.getcwd()  # noqa: PTH109
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if not colon:
            raise ImportError("write package.module:callable")
        found: Any = importlib.import_module(module)
        for step in attribute.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            where, f"it cannot be imported ({error})", "Check the name, and the folder you are in"
        ) from error
    if not callable(found):
        raise UserError(where, f"it is {type(found).__name__}, not a function", remedy)
    function: Callable[..., Any] = found
    return function
