"""Zeros layer by layer, on a terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from edgebench.networks.sparsity import LayerSparsity, SparsityTable


def table(made: SparsityTable) -> Table:
    """Fits into 80 columns. nnz MACs: those an ideal sparse kernel would perform."""
    shown = Table(box=None, pad_edge=False, header_style="dim", collapse_padding=True)
    shown.add_column("layer", no_wrap=True)
    for heading in ("weights", "nonzero", "dead", "zeros", "of live", "MACs", "nnz MACs"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in made.rows:
        shown.add_row(*_cells(row))
    shown.add_section()
    shown.add_row(*_cells(made.total), style="bold")
    return shown


def summary(made: SparsityTable) -> str:
    total = made.total
    return (
        f"{made.effective:.2%} of the dense network's {made.dense_weights:,} weights are zero or removed (effective); "
        f"{total.sparsity:.2%} of the {total.weights:,} remaining weights are zero (nominal), "
        f"{total.live_sparsity:.2%} of those that ever see the image (live)."
    )


def _cells(row: LayerSparsity) -> tuple[str, ...]:
    return (
        escape(_short(row.layer)),
        f"{row.weights:,}",
        f"{row.nonzero:,}",
        f"{row.dead:,}",
        f"{row.sparsity:.1%}",
        f"{row.live_sparsity:.1%}",
        _count(row.macs),
        _count(row.nonzero_macs),
    )


def _short(name: str, width: int = 18) -> str:
    """A long name loses its middle: the beginning says where the layer is, the end what it is."""
    return name if len(name) <= width else f"{name[: width // 2 - 1]}…{name[-(width // 2) :]}"


def _count(number: int) -> str:
    for limit, divisor, unit in ((1e4, 1, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M")):
        if number < limit:
            return f"{number / divisor:.3g}{unit}" if unit else str(number)
    return f"{number / 1e9:.3g}G"
