"""Networks of the user's own: code that makes them, weights in the files that people have, other numbers of classes.

    my.models:make ─ imported, called ─> torch.nn.Module <─ weights only ─ best.pth
                                              │
                                     another classifier, if the data has other classes

Code is run in the process that trains it. An export runs it in worker processes only.
"""

from __future__ import annotations

import re
from pathlib import Path

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_own(name: str) -> bool:
    """Whether it is `package.module:callable`, and no file."""
    return _CALLABLE.fullmatch(name) is not None and not Path(name).exists()


def plain_name(name: str) -> str:
    """For files: `my.models:make` -> `models-make`; names of built-in networks stay."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name.rpartition(".")[2]).strip(".-") if is_own(name) else name
