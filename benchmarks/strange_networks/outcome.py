"""What became of one network on one route."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

State = Literal["right", "wrong", "refused", "traceback"]
# An operator by its name: 'NonMaxSuppression', aten.col2im, TFL_... in quotes or after a dot.
_OPERATOR = re.compile(r"operator '[\w.:]+'|aten[.:]+\w+|opcode '\w+'|\bop ['\"]?\w+|[A-Z]\w+ \('")


class Outcome(msgspec.Struct, frozen=True):
    """right, wrong: a file was made. words: how near it is, or what was said. A peer's exception is `traceback`."""

    network: str
    route: str
    state: State
    words: str

    @property
    def names_operator(self) -> bool:
        return _OPERATOR.search(self.words) is not None
