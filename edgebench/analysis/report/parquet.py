"""Write Parquet: the columns of the CSV with their types (needs pyarrow)."""

from __future__ import annotations

import io

from edgebench.analysis import tidy
from edgebench.analysis.comparison import Comparison
from edgebench.errors import MissingPackage


def render(comparison: Comparison) -> bytes:
    """Raises MissingPackage."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingPackage("--parquet", "pyarrow", "parquet") from error
    lines = tidy.lines(comparison)
    columns = {name: [line[name] for line in lines] for name in (lines[0] if lines else ())}
    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()
