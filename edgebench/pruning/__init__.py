"""Pruning methods, one file each: the file's name is what users type.

A plugin has one function:

    def prune(model, ratio, input_shape) -> None

It removes about `ratio` of whatever the method removes, in place, physically (a weight that is set to zero is still
there: that is sparsity, and not what this step is for). The answers' number must not change. Raises UserError where
the network has nothing left to remove.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgebench import plugins

if TYPE_CHECKING:
    from torch import nn

    from edgebench.models import InputShape


def names() -> list[str]:
    return plugins.names("edgebench.pruning")


def apply(method: str, model: nn.Module, ratio: float, input_shape: InputShape) -> None:
    """Raises UnknownName for a name that is no file here."""
    plugins.load("edgebench.pruning", method, kind="pruning method").prune(model, ratio, input_shape)
