"""torch-pruning's dependency graph, without a mistake of its release 1.6.

Imported by `_groups` only: this imports torch-pruning.
"""

from __future__ import annotations

from typing import Any

import torch_pruning
from torch_pruning import ops


class ChannelGraph(torch_pruning.DependencyGraph):  # type: ignore[misc]
    """It takes each reshape for a flattening, as it reads sizes under a name that torch gave up.

    Windows and heads of attention would multiply the channels until memory is full, a shuffle ends in a division by
    zero. Here only what flattens images, or makes images of rows, counts as such. Sizes of `chunk` are given likewise.
    """

    def _build_dependency(self, module2node: dict[Any, Any]) -> None:
        super()._build_dependency(module2node)
        for node in module2node.values():
            if node.type == ops.OPTYPE.RESHAPE and not _flattens(node.grad_fn):
                node.type = ops.OPTYPE.ELEMENTWISE
            elif node.type == ops.OPTYPE.SPLIT and getattr(node.grad_fn, "_saved_dim", None) == 1:
                node.grad_fn = _Split(node.grad_fn)


class _Split:
    """The sizes of the parts, under the names that torch-pruning reads."""

    def __init__(self, step: Any) -> None:
        self._saved_split_sizes = [one.shape[1] for one in step._input_metadata]
        self._saved_dim = 1


def _flattens(step: Any) -> bool:
    """step: of the gradients. True where its sizes are not known."""
    before = getattr(step, "_saved_self_sym_sizes", None)
    metadata = getattr(step, "_input_metadata", None)
    if before is None or not metadata:
        return True
    after = tuple(metadata[0].shape)
    return before[0] == after[0] and 2 in (len(before), len(after))  # noqa: PLR2004
