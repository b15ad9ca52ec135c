"""What a network is for, one file a task: its name is what users type (`deploy --task detection`).

A plug-in has:

    TARGETS                             the kind of targets that it scores (own_data/annotations.py)
    asked(network, test, choice)        what the device keeps of the answers to an image; UserError where the outputs
                                        are not such a network's
    scores(answers, test, asked)        the metrics, the one that is compared first; answers: for each image the arrays
                                        that device_agents/python/reductions.py describes

The device answers and condenses; labels, boxes and masks stay here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from edgebench import plugins
from edgebench.errors import UserError

if TYPE_CHECKING:
    from edgebench.networks.own_data.annotations import AnnotatedImages
    from edgebench.networks.scoring import ImageAnswers, KeptAnswers, OutputsOfFile, ScoreChoice
    from edgebench.schema.record import Score

    class TaskPlugin(Protocol):
        TARGETS: str

        def asked(self, network: OutputsOfFile, test: AnnotatedImages, choice: ScoreChoice) -> KeptAnswers: ...
        def scores(
            self, answers: Sequence[ImageAnswers], test: AnnotatedImages, asked: KeptAnswers
        ) -> tuple[Score, ...]: ...


_PACKAGE = "edgebench.networks.tasks"
_HAVE = {
    "classes": "one class an image", "labels": "several labels an image", "boxes": "boxes", "masks": "masks",
    "values": "numbers",
}  # fmt: skip


def names() -> list[str]:
    return plugins.names(_PACKAGE)


def load(name: str) -> TaskPlugin:
    """Raises UnknownName."""
    return cast("TaskPlugin", plugins.load(_PACKAGE, name, kind="task"))


def chosen(name: str | None, test: AnnotatedImages) -> str:
    """The task of this name, or what the targets are for. Raises UserError where they are for something else."""
    fitting = next(one for one in names() if test.kind == load(one).TARGETS)
    if name is not None and test.kind != load(name).TARGETS:
        needs = _HAVE[load(name).TARGETS]
        raise UserError(
            f"--task {name}", f"it is scored by {needs}, {test.name} has {_HAVE[test.kind]}",
            f"Leave --task out (it is {fitting}), or give other data: see docs/own-data.md",
        )  # fmt: skip
    return name or fitting
