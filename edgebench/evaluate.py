"""evaluate: a checkpoint -> its accuracy and calibration on a whole split, and what it looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from edgebench.errors import UnknownName, UserError
from edgebench.networks import data, training
from edgebench.networks.evaluation import Bin, Embedding, Evaluation, GradCam, Roc, SplitName, packed
from edgebench.networks.from_checkpoint import images_of, rebuild
from edgebench.progress import Progress, Silent
from edgebench.schema import checkpoint

if TYPE_CHECKING:
    from edgebench.networks.data import Split
    from edgebench.networks.evaluation.measures import Array

__all__ = ["Evaluation", "evaluate"]

TOP = 5
NO_PICTURES = "pictures were not requested"


def evaluate(
    source: Path,
    *,
    split: SplitName = "test",
    dataset: str | None = None,
    images: int | None = None,
    pictures: bool = True,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> Evaluation:
    """Classify every image of a split.

    dataset: instead of the one that it was trained on, with the same classes. images: only so many, evenly over the
    classes. pictures: Grad-CAM and t-SNE as well (seconds longer). Raises UserError if an answer is not finite, or if
    the data set does not have its images and classes.
    """
    import numpy as np

    from edgebench.networks.evaluation import features, gradcam, measures, parameters

    _check(split, images)
    opened = checkpoint.load(source)
    about = opened.about
    tested = images_of(opened, dataset, progress)
    chosen = _chosen(getattr(tested, split), images)
    network = rebuild(opened).to(training.device())

    with progress.step(f"evaluate {opened.name} on {len(chosen)} {split} images", len(chosen)) as step:
        logits = training.logits(network, chosen.images, about.preprocessing, step.advance).astype(np.float64)
    _check_finite(logits, source)
    logs = measures.log_probabilities(logits)
    probabilities = np.exp(logs)
    grad_cam, tsne = GradCam(reason=NO_PICTURES), Embedding(reason=NO_PICTURES)
    if pictures:
        with progress.step("Grad-CAM and t-SNE"):
            grad_cam = gradcam.of_a_few(network, chosen, about.preprocessing, probabilities)
            tsne = features.embedded(network, chosen, about.preprocessing)

    classes = len(about.class_names)
    return Evaluation(
        checkpoint=opened.digest,
        model=about.model,
        dataset=tested.name if dataset else about.dataset,
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


def _check(split: str, images: int | None) -> None:
    if split not in get_args(SplitName):
        raise UnknownName("split", split, get_args(SplitName))
    if images is not None and images < 1:
        raise UserError("images", f"{images} is not a number of images", "Give 1 or more, or leave it out")


def _chosen(whole: Split, images: int | None) -> Split:
    return whole if images is None or images >= len(whole) else data.balanced(whole, images)


def _check_finite(logits: Array, source: Path) -> None:
    import numpy as np

    finite = np.isfinite(logits).all(1)
    if not finite.all():
        raise UserError(
            str(source),
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
