"""What became of the artifacts of an export: made, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebench.errors import UserError
from edgebench.schema.bundle import Artifact
from exporters import Choice
from exporters.pipeline import refusals
from exporters.workers.process import Failed

# What keeps one artifact from being made, but not the others.
ALONE = (Failed, UserError)
# By the names of the choices.
Results = dict[str, Artifact | Failed | UserError]


def sorted_out(
    results: Results, source: str, choices: Sequence[Choice], folder: Path
) -> tuple[dict[str, Artifact], dict[str, UserError]]:
    """What was made, and the errors for the rest, in the order of the choices. source, folder: see `explained`."""
    made, failed = {}, {}
    for choice in (choice for choice in choices if choice.name in results):
        result = results[choice.name]
        if isinstance(result, Artifact):
            made[choice.name] = result
        elif isinstance(result, Failed):
            failed[choice.name] = refusals.explained(result, source, choices, folder)
        else:
            failed[choice.name] = result
    return made, failed
