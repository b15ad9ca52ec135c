"""The parts of an image that an answer rests on."""

from __future__ import annotations

from edgebench.networks.evaluation import Evaluation, HeatMap
from edgebench.studies.study.figures import _shown
from edgebench.studies.study.results import ReportImage, Results, Section

HEADING = "Grad-CAM"


def render(results: Results) -> Section:
    shown = _shown.best_of_each_network(results)
    if not shown:
        return Section(HEADING, _shown.NO_EVALUATION)
    images = tuple(
        ReportImage(picture.png, _caption(label, evaluation, picture))
        for label, evaluation in shown
        for picture in evaluation.grad_cam.pictures
    )
    reasons = [f"{label}: {one.grad_cam.reason}." for label, one in shown if one.grad_cam.reason]
    layers = [
        f"{label}: {one.grad_cam.layer}, {one.grad_cam.map_size[0]}x{one.grad_cam.map_size[1]}"
        for label, one in shown
        if one.grad_cam.layer
    ]
    if not images:
        return Section(HEADING, " ".join(reasons))
    text = (
        "Red: what supported the answer (arXiv:1610.02391), as seen by the last convolution that has a map "
        f"({'; '.join(layers)}). The smaller the map, the coarser the picture. {' '.join([*reasons, _shown.CHOICE])}"
    )
    return Section(HEADING, text, images=images)


def _caption(label: str, evaluation: Evaluation, picture: HeatMap) -> str:
    actual, answered = evaluation.class_names[picture.actual], evaluation.class_names[picture.answered]
    verdict = "right" if picture.actual == picture.answered else f"is {actual}"
    return f"{label}: {answered} ({100 * picture.confidence:.0f} %), {verdict}"
