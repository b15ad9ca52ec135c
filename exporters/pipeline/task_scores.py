"""What a network's answers to annotated test images are worth on this machine, and those of a file made of it.

They are condensed and scored as on a device (`deploy --accuracy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from device_agents.python import reductions
from edgebench.errors import UserError
from edgebench.modelfile import Input
from edgebench.networks import tasks
from edgebench.networks.scoring import OutputsOfFile, ScoreChoice

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from exporters.pipeline.samples import Samples


def of(answers: Sequence[Any], test: Samples, annotated: AnnotatedImages) -> dict[str, Any]:
    """For Parity: the metric that is compared, its value, and the parent's. answers: for each output [N, ...].

    Empty for outputs that no task can read, and where the library for the metric is missing.
    """
    outputs = tuple(Input(one.name, one.shape, one.dtype) for one in test.outputs)
    height, width = annotated.images.shape[1:3]
    network = OutputsOfFile(annotated.name, (height, width), outputs)
    task = tasks.load(tasks.chosen(None, annotated))
    try:
        asked = task.asked(network, annotated, ScoreChoice())
        values = []
        for whole in (answers, test.reference):
            kept = [
                reductions.reduced([output[place : place + 1] for output in whole], asked.reduction)
                for place in range(len(annotated.images))
            ]
            values.append(task.scores(kept, annotated, asked)[0])
    except UserError:
        return {}
    return {"metric": values[0].metric, "score": values[0].value, "parent_score": values[1].value}
