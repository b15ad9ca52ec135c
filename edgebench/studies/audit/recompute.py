"""The true size of a published row's network, from edgebench's network of the same name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from edgebench.errors import BadFile
from edgebench.networks import models
from edgebench.schema.history import Size
from edgebench.studies.audit.published import PublishedRow


@dataclass(frozen=True)
class Computed:
    """layers: kind of torch layer -> how many."""

    size: Size
    ptflops_macs: int
    layers: Counter[str]


def computed(row: PublishedRow) -> Computed | None:
    """None if the row does not name the network and its input. Raises UnknownName and BadFile."""
    if not (row.model and row.input_shape and row.classes):
        return None
    named = [row.model, row.input_shape, row.classes, row.arguments]
    try:
        return _computed(msgspec.json.encode(named))
    except (RuntimeError, TypeError, ValueError) as error:
        seen = f"'{row.model}' cannot be built for that input and with those arguments ({error})"
        raise BadFile(
            f"published row '{row.label}'", seen, "Correct model, arguments, input_shape or classes"
        ) from error


@lru_cache(maxsize=64)
def _computed(named: bytes) -> Computed:
    import torch

    model, (channels, height, width), classes, arguments = msgspec.json.decode(named)
    shape = (channels, height, width)
    with torch.device("meta"):
        network = models.build(model, shape, classes, **arguments)
    layers = Counter(type(module).__name__ for module in network.modules() if not any(module.children()))
    return Computed(models.count(network, shape), models.ptflops_macs(network, shape), layers)
