"""evaluate: a network -> its accuracy and calibration on a whole split, and what it looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from edgebench.errors import UnknownName, UserError
from edgebench.networks import data, starting, training
from edgebench.networks.evaluation import Bin, Embedding, Evaluation, GradCam, Roc, SplitName, packed
from edgebench.networks.from_checkpoint import images_of, rebuild
from edgebench.networks.starting import StartingPoint
from edgebench.progress import Progress, Silent

if TYPE_CHECKING:
    from torch import nn

    from edgebench.networks.data import Dataset, Split
    from edgebench.networks.evaluation.measures import Array
    from edgebench.schema.checkpoint import Metadata

__all__ = ["Evaluation", "evaluate"]

TOP = 5
NO_PICTURES = "pictures were not requested"


def evaluate(
    source: Path | StartingPoint,
    *,
    split: SplitName = "test",
    images: int | None = None,
    pictures: bool = True,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Evaluation:
    """Classify every image of a split.

    source: a checkpoint, or a network with weights of the user's own. images: only so many, evenly over the classes.
    pictures: Grad-CAM and t-SNE as well (seconds longer). Raises UserError if an answer is not finite, or if the data
    set does not have its images and classes.
    """
    import numpy as np

    from edgebench.networks.evaluation import features, gradcam, measures, parameters

    _check(split, images)
    start = starting.point(source)
    network, tested, about, digest = _opened(start, progress)
    chosen = _chosen(getattr(tested, split), images)
    network = network.to(training.device())

    with progress.step(f"evaluate {Path(start.name).stem} on {len(chosen)} {split} images", len(chosen)) as step:
        logits = training.logits(network, chosen.images, about.preprocessing, step.advance).astype(np.float64)
    _check_finite(logits, start.name)
    logs = measures.log_probabilities(logits)
    probabilities = np.exp(logs)
    grad_cam, tsne = GradCam(reason=NO_PICTURES), Embedding(reason=NO_PICTURES)
    if pictures:
        with progress.step("Grad-CAM and t-SNE"):
            grad_cam = gradcam.of_a_few(network, chosen, about.preprocessing, probabilities)
            tsne = features.embedded(network, chosen, about.preprocessing)

    classes = len(about.class_names)
    return Evaluation(
        checkpoint=digest,
        model=about.model,
        dataset=about.dataset,
        split=split,
        class_names=about.class_names,
        confusion=tuple(map(tuple, measures.confusion(chosen.labels, logits.argmax(1), classes).tolist())),
        top5_right=measures.in_top(logits, chosen.labels, TOP) if classes > TOP else None,
        nll=measures.negative_log_likelihood(logs, chosen.labels),
        brier=measures.brier(probabilities, chosen.labels),
        reliability=_bins(probabilities, chosen.labels),
        roc=tuple(_roc(logs[:, label], chosen.labels == label) for label in range(classes)),
        parameters=parameters.count(network),
        grad_cam=grad_cam,
        tsne=tsne,
        right_base64=packed(logits.argmax(1) == chosen.labels),
    )


def _opened(start: StartingPoint, progress: Progress) -> tuple[nn.Module, Dataset, Metadata, str]:
    """The network, its images, what is known of it, and a checkpoint's digest."""
    if start.is_checkpoint:
        opened = starting.checkpoint_of(start)
        tested = images_of(opened, start.dataset, progress)
        about = msgspec.structs.replace(opened.about, dataset=tested.name if start.dataset else opened.about.dataset)
        return rebuild(opened), tested, about, opened.digest
    images, begun = starting.named(start, progress, other_classes=False)
    return begun.network.eval(), images, starting.described(start, images, begun), ""


def _check(split: str, images: int | None) -> None:
    if split not in get_args(SplitName):
        raise UnknownName("split", split, get_args(SplitName))
    if images is not None and images < 1:
        raise UserError("images", f"{images} is not a number of images", "Give 1 or more, or leave it out")


def _chosen(whole: Split, images: int | None) -> Split:
    return whole if images is None or images >= len(whole) else data.balanced(whole, images)


def _check_finite(logits: Array, source: str) -> None:
    import numpy as np

    finite = np.isfinite(logits).all(1)
    if not finite.all():
        raise UserError(
            source,
            f"its answers to {int((~finite).sum())} of {len(logits)} images are not finite numbers",
            "Train it again with a lower learning rate",
        )


def _bins(probabilities: Array, labels: Array) -> tuple[Bin, ...]:
    from edgebench.networks.evaluation import measures

    columns = measures.reliability(probabilities.max(1), probabilities.argmax(1) == labels)
    return tuple(Bin(*row) for row in zip(*(column.tolist() for column in columns), strict=True))


def _roc(scores: Array, positive: Array) -> Roc:
    """scores: logarithms of probabilities, in which tiny ones still differ."""
    from edgebench.networks.evaluation import roc

    if positive.all() or not positive.any():
        return Roc()
    whole = roc.curve(scores, positive)
    false_positive, true_positive = roc.thinned(*whole)
    return Roc(tuple(false_positive.tolist()), tuple(true_positive.tolist()), roc.area(*whole))
