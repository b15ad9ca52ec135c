"""--metric package.module:callable: a user's own metric over all answers of a test set.

It is called once, with the outputs by name ({name: array [N, ...]}, or a list of arrays where their sizes differ) and
the targets (an array of classes, labels or values; for boxes a list of {"boxes", "labels", "crowds"}; for masks a list
of arrays as they are stored), and returns a number, or {name: number}.
"""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgebench.errors import UserError
from edgebench.networks import named_function
from edgebench.networks.scoring import KeptAnswers, values_bytes
from edgebench.schema.record import Score

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from edgebench.networks.scoring import ImageAnswers, OutputsOfFile

# All outputs of all images come over the link, and are held here.
MOST_BYTES = 256_000_000
MOST_NUMBERS = 100
_AGAIN = "Mend it and run the same command again: nothing is measured twice"


def load(name: str) -> Callable[[dict[str, Any], Any], object]:
    """Raises UserError for what cannot be imported or called."""
    return named_function.load(name, f"--metric {name}", "Name a function")


def asked(network: OutputsOfFile, test: AnnotatedImages) -> KeptAnswers:
    """Raises UserError where the outputs would be too much."""
    size = values_bytes(network)
    if size * len(test.images) > MOST_BYTES:
        most = max(1, MOST_BYTES // size)
        raise UserError(
            "--metric", f"the outputs to {len(test.images):,} images are {size * len(test.images) / 1e6:,.0f} MB",
            f"It takes {MOST_BYTES / 1e6:.0f} MB: score {most:,} images, --dataset {test.name}@{most}",
        )  # fmt: skip
    return KeptAnswers({"kind": "values"}, "all outputs, as they are", size)


def scores(
    name: str, outputs: Sequence[str], answers: Sequence[ImageAnswers], test: AnnotatedImages
) -> tuple[Score, ...]:
    """Raises UserError for a metric that raises, or returns something else than numbers."""
    metric = load(name)
    names = [*outputs, *(f"output {place}" for place in range(len(outputs), len(answers[0])))]
    given = {own: _stacked([one[place] for one in answers]) for place, own in enumerate(names)}
    try:
        returned = metric(given, _targets(test))
    except Exception as error:  # the user's code raises what it likes
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(frame.filename)}, line {frame.lineno}"  # noqa: PTH119
        seen = f"it raised {type(error).__name__}: {str(error)[:300]} ({where})"
        raise UserError(f"--metric {name}", seen, _AGAIN) from error
    numbers = returned if isinstance(returned, dict) else {name.rpartition(":")[2]: returned}
    if not 0 < len(numbers) <= MOST_NUMBERS:
        raise UserError(f"--metric {name}", f"it returned {len(numbers)} numbers", f"Return 1 to {MOST_NUMBERS}")
    return tuple(_score(name, str(key), value) for key, value in numbers.items())


def _score(name: str, key: str, value: Any) -> Score:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not abs(number) < 1e30 or isinstance(value, str):
        raise UserError(
            f"--metric {name}", f"it returned {key} = {str(value)[:100]!r}, which is not a finite number", _AGAIN
        )
    return Score(key, number)


def _stacked(arrays: Sequence[Any]) -> Any:
    import numpy as np

    return np.stack(arrays).squeeze(1) if _is_batch_of_one(arrays) else list(arrays)


def _is_batch_of_one(arrays: Sequence[Any]) -> bool:
    shapes = {one.shape for one in arrays}
    return len(shapes) == 1 and next(iter(shapes))[:1] == (1,)


def _targets(test: AnnotatedImages) -> Any:
    import numpy as np

    if test.kind == "boxes":
        return [{"boxes": one.corners, "labels": one.labels, "crowds": one.crowds} for one in test.targets]
    if test.kind == "masks":
        from PIL import Image

        return [np.asarray(Image.open(file, formats=("PNG",))) for file in test.targets]
    return np.array(test.targets)
