"""Which operators of an INT8 file run in float after all, and why, for its notes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import cast

import msgspec

from edgebench.schema.inspection import Format, Layer, LoadedBy, NetworkInFile, as_run
from exporters.inspect import LookTask
from exporters.workers.process import Failed, WorkerPool

NOT_GIVEN = "between float operators"
# Name of the note on files that are INT8 by name but hardly anything more.
BY_NAME_ONLY = "int8_by_name_only"


def note(path: Path, format_: Format, scratch: Path, workers: WorkerPool) -> tuple[str, int | None]:
    """One line, and how many operators compute in integers.

    Where that cannot be found out, the line says why: by then the file has shown that it runs.
    """
    read = LookTask(str(path.absolute()), format_, "read", str(scratch))
    try:
        with workers.start("look", format_) as worker:
            (network,) = (cast(NetworkInFile, line.looked) for line in worker.answers(read))
            load = msgspec.structs.replace(read, step="load")
            (loaded,) = (cast(LoadedBy, line.looked) for line in worker.answers(load))
    except Failed as failure:
        return f"not known: {failure.seen}", None
    layers = [as_run(layer, loaded) for layer in network.layers]
    return described(layers), sum(layer.arithmetic == "integer" for layer in layers)


def described(layers: list[Layer]) -> str:
    counted = [layer for layer in layers if layer.arithmetic != "none"]
    floating = [layer for layer in counted if layer.arithmetic == "float"]
    if not floating:
        return f"none of {len(counted)}"
    reasons: dict[str, Counter[str]] = {}
    for layer in floating:
        reasons.setdefault(layer.why_float or NOT_GIVEN, Counter())[layer.operator] += 1
    grouped = "; ".join(
        f"{', '.join(f'{kind} x{number}' if number > 1 else kind for kind, number in kinds.items())}: {why}"
        for why, kinds in reasons.items()
    )
    return f"{len(floating)} of {len(counted)}; {grouped}"
