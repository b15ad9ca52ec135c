"""The size of a checkpoint in each packing format, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from edgebench.networks.packed_file import Packed


def table(found: Sequence[Packed]) -> Table:
    """found: the dense file first."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    shown.add_column("format")
    for heading in ("weights, bytes", "file, bytes", "of dense"):
        shown.add_column(heading, justify="right")
    shown.add_column("unpacked")
    dense = found[0].file_bytes
    for one in found:
        shown.add_row(
            escape(one.format),
            f"{one.weights_bytes:,}",
            f"{one.file_bytes:,}",
            f"{one.file_bytes / dense:.1%}",
            "identical" if one.accuracy is None else f"lossy: accuracy {one.accuracy:.2%}",
        )
    return shown
