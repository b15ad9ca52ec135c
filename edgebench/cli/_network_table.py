"""The listing of networks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from edgebench.analysis import formatting
from edgebench.networks.models import ListedModel


def table(listed: Sequence[ListedModel]) -> Table:
    """MACs are multiply-accumulates (1 MAC is 2 FLOPs); the ptflops column counts more than multiplications."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    made.add_column("network")
    for heading in ("parameters", "MACs", "MACs by ptflops", "weights"):
        made.add_column(heading, justify="right")
    for one in listed:
        if one.size is None:
            made.add_row(one.name, f"[dim]{escape(one.problem[:60])}[/dim]")
        else:
            size = one.size
            weights = formatting.size(size.weights_bytes)
            made.add_row(one.name, f"{size.parameters:,}", f"{size.macs:,}", f"{one.ptflops_macs:,}", weights)
    return made
