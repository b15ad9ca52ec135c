"""What the file that was timed answers to a whole test set. Nothing is timed here; the labels stay on the host."""

from __future__ import annotations

from .process import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .artifact_run import ArtifactRun
    from .journal import Notebook
    from .store import Store


def measure_accuracy(
    artifacts: Sequence[ArtifactRun],
    plan: Mapping[str, Any],
    journal: Notebook,
    store: Store,
    survives: Callable[..., bool],
) -> None:
    """Piece by piece, one artifact after the other; one that breaks keeps the numbers that it has."""
    if not plan["accuracy"]:
        return
    for artifact in artifacts:
        for number in range(len((artifact.spec["test"] or {}).get("pieces", ()))):
            if artifact.worker is None or not survives(
                artifact, journal, answer, artifact, number, plan, journal, store
            ):
                break


def answer(artifact: ArtifactRun, number: int, plan: Mapping[str, Any], journal: Notebook, store: Store) -> None:
    """What is kept of the answers to one piece: the class of each image, or what reductions.py makes of them."""
    reduction, pixels = artifact.spec["test"]["reduction"], artifact.spec["test"]["pixels"]
    sha256, count = artifact.spec["test"]["pieces"][number]
    timeout_s, inputs = plan["worker_timeout_s"], [str(store.checked(sha256))]
    if reduction["kind"] == "classes":
        answers = artifact.running.ask("classify", timeout_s, inputs=inputs, count=count)
        if len(answers) != count:
            raise WorkerFailed("error", "%d answers to %d images" % (len(answers), count))
    else:
        answers = artifact.running.ask("reduce", timeout_s, inputs=inputs, count=count, how=reduction, pixels=pixels)
    journal.write("answers", artifact=artifact.index, piece=number, answers=answers)
