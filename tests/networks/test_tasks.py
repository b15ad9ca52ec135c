"""Metrics by task, against pycocotools, scikit-learn and sums by hand; layouts of detectors; annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from device_agents.python import pixels, reductions
from edgebench.device import accuracy
from edgebench.errors import BadFile, UserError
from edgebench.modelfile import Input
from edgebench.networks import own_metric, tasks
from edgebench.networks.own_data import annotated, pictures
from edgebench.networks.own_data.annotations import AnnotatedImages, Boxes
from edgebench.networks.scoring import KeptAnswers, OutputsOfFile, ScoreChoice
from edgebench.networks.tasks import _average_precision, _heads, multilabel
from edgebench.progress import Silent
from edgebench.schema import tensors
from edgebench.schema.bundle import TensorSpec
from edgebench.schema.preprocessing import Geometry, Preprocessing
from edgebench.schema.record import Score
from tests.support import detectors
from tests.support.records import make_artifact

pytest.importorskip("pycocotools")
SIZE = (64, 96)


def test_of(kind: Any, targets: Any, names: tuple[str, ...] = (), sizes: Any = (), **more: Any) -> AnnotatedImages:
    images = np.zeros((len(targets), *SIZE, 3), np.uint8)
    return AnnotatedImages("data", kind, images, targets, sizes, names, "0" * 64, Geometry(), **more)


test_of.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's


def network(*outputs: tuple[str, tuple[int | str, ...], str], **more: Any) -> OutputsOfFile:
    return OutputsOfFile("net", SIZE, tuple(Input(*one) for one in outputs), **more)


def values(scores: tuple[Score, ...]) -> dict[str, float]:
    return {one.metric: one.value for one in scores}


def load(path: Path, geometry: Geometry | None = None) -> AnnotatedImages:
    found = annotated.load(str(path), geometry, 3, Silent())
    assert found is not None
    return found


# ------------------------------------------------------------------ layouts of detectors

# In pixels of an input of 64 rows and 96 columns: corners, score, class.
WANTED = [((8.0, 8.0, 40.0, 24.0), 0.9, 1), ((50.0, 30.0, 90.0, 60.0), 0.5, 0), ((10.0, 40.0, 20.0, 60.0), 0.25, 2)]
CELLS = 8 * 12 + 4 * 6 + 2 * 3


def corners() -> np.ndarray:
    return np.array([one for one, _, _ in WANTED], np.float32)


def centred(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


def table(rows: int, boxes: np.ndarray, classes: int, *, before: int = 0, fill: float = 0.0) -> np.ndarray:
    """[1, rows, 4 (+ objectness of 1) + classes], the wanted boxes in the first rows."""
    whole = np.full((1, rows, 4 + before + classes), fill, np.float32)
    whole[0, :, :4] = boxes[0]
    whole[0, : len(boxes), :4] = boxes
    whole[0, :, 4 : 4 + before] = 1.0
    for row, (_, score, kind) in enumerate(WANTED):
        whole[0, row, 4 + before + kind] = score
    return whole


def yolox() -> np.ndarray:
    raw = table(CELLS, centred(corners()), 3, before=1)
    cells, steps = reductions._cells(SIZE, _heads.STRIDES)
    raw[0, :, :2] = raw[0, :, :2] / steps - cells
    raw[0, :, 2:4] = np.log(raw[0, :, 2:4] / steps)
    return raw


def end_to_end() -> np.ndarray:
    rows = [(*box, score, kind) for box, score, kind in WANTED]
    return np.array([[*rows, *[(0.0,) * 6] * 7]], np.float32)


def logits(shares: np.ndarray) -> np.ndarray:
    return np.log(shares / (1 - shares))


RELATIVE = corners() / np.float32([SIZE[1], SIZE[0], SIZE[1], SIZE[0]])
SCORES = np.array([one for _, one, _ in WANTED], np.float32)
KINDS = np.array([one for _, _, one in WANTED])
ONE_HOT = np.where(np.arange(3) == KINDS[:, None], SCORES[:, None], 1e-4).astype(np.float32)
WITH_BACKGROUND = np.concatenate([1 - ONE_HOT.sum(1, keepdims=True), ONE_HOT], 1).astype(np.float32)
ANCHORS = np.array([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.5, 0.4], [0.1, 0.8, 0.1, 0.3]], np.float32)
OFFSETS = np.concatenate([
    (centred(RELATIVE)[:, :2] - ANCHORS[:, :2]) / 0.1 / ANCHORS[:, 2:],
    np.log(centred(RELATIVE)[:, 2:] / ANCHORS[:, 2:]) / 0.2,
], 1).astype(np.float32)  # fmt: skip

HEADS: dict[str, tuple[str, list[tuple[str, np.ndarray]], dict[str, Any]]] = {
    "yolov8": ("yolov8", [("output0", table(CELLS, centred(corners()), 3).transpose(0, 2, 1))], {}),
    "yolov8, relative": ("yolov8", [("Identity", table(CELLS, centred(RELATIVE), 3).transpose(0, 2, 1))], {}),
    "yolov8 with masks": (
        "yolov8",
        [
            ("output0", np.concatenate([table(CELLS, centred(corners()), 3).transpose(0, 2, 1),
                                        np.ones((1, 32, CELLS), np.float32)], 1)),
            ("output1", np.zeros((1, 32, 16, 24), np.float32)),
        ],
        {},
    ),
    "yolov5": ("yolov5", [("output", table(3 * CELLS, centred(corners()), 3, before=1))], {}),
    "yolox": ("yolox", [("output", yolox())], {}),
    "end-to-end": ("end-to-end", [("output0", end_to_end())], {}),
    "YOLOv7": (
        "end-to-end",
        [("output", np.array([(0, *box, kind, score) for box, score, kind in WANTED], np.float32))], {},
    ),
    "apart": (
        "end-to-end",
        [("num_dets", np.array([[3]], np.int32)), ("det_boxes", corners()[None]), ("det_scores", SCORES[None]),
         ("det_classes", KINDS[None].astype(np.int32))], {},
    ),
    "torchvision": (
        "torchvision",
        [("2481", corners()), ("2450", SCORES), ("2451", (KINDS + 1).astype(np.int64))], {},
    ),
    "postprocess": (
        "postprocess",
        [("d:1", RELATIVE[None][..., [1, 0, 3, 2]]), ("d:2", KINDS[None].astype(np.float32)), ("d:3", SCORES[None]),
         ("d:4", np.array([3.0], np.float32))], {"postprocess": (0, 1, 2, 3)},
    ),
    "ssd": ("ssd", [("scores", WITH_BACKGROUND[None]), ("boxes", RELATIVE[None])], {}),
    "ssd of logits": ("ssd", [("scores", np.log(WITH_BACKGROUND)[None]), ("boxes", RELATIVE[None])], {}),
    "ssd of offsets": ("ssd", [("scores", WITH_BACKGROUND[None]), ("boxes", OFFSETS[None])], {"anchors": ANCHORS}),
    "detr": ("detr", [("logits", logits(ONE_HOT)[None]), ("pred_boxes", centred(RELATIVE)[None])], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_layouts_of_detectors_are_recognised_and_read(name: str, tmp_path: Path) -> None:
    layout, outputs, more = HEADS[name]
    choice = ScoreChoice()
    if "anchors" in more:
        np.save(tmp_path / "anchors.npy", more.pop("anchors"))
        choice = ScoreChoice(anchors=tmp_path / "anchors.npy")
    file = network(*((one, array.shape, array.dtype.name) for one, array in outputs), **more)
    boxes = Boxes(corners(), KINDS, np.ones(3, np.float32), np.zeros(3, bool))
    data = test_of("boxes", [boxes], ("a", "b", "c"), [(96, 64)])
    asked = tasks.load("detection").asked(file, data, choice)
    assert asked.said.startswith(f"{layout} head")
    found, scores, kinds = reductions.reduced([array for _, array in outputs], asked.reduction)
    found, scores, kinds = found[:3], scores[:3], kinds[:3]
    assert np.allclose(found, corners(), atol=0.01) and np.allclose(scores, SCORES, atol=1e-3)
    assert kinds.tolist() == KINDS.tolist()
    assert values(tasks.load("detection").scores([[found, scores, kinds]], data, asked))["mAP50-95"] == pytest.approx(
        1.0
    )


def test_a_layout_that_is_not_known_is_refused_with_what_it_is() -> None:
    with pytest.raises(UserError, match=r"net: its outputs are not .*: heat \[1, 20, 32\].*--head"):
        _heads.found(network(("heat", (1, 20, 32), "float32")), 3, ScoreChoice(head="ssd"))
    with pytest.raises(UserError, match="Did you mean 'yolov8'"):
        _heads.found(network(("heat", (1, 20, 32), "float32")), 3, ScoreChoice(head="yolo8"))


def test_open_sizes_leave_the_columns() -> None:
    """As nudenet's 320n.onnx: [batch, 22, ...]."""
    head = _heads.found(network(("output0", ("batch", 22, "cells"), "float32")), 18, ScoreChoice())
    assert (head.name, head.classes, head.recipe["boxes"]) == ("yolov8", 18, [0, True, 0, 4])


def test_classes_are_matched_by_name_order_or_number() -> None:
    boxes = [Boxes(corners()[:1], np.array([0]), np.ones(1, np.float32), np.zeros(1, bool))]
    asked = tasks.load("detection").asked

    def file(columns: int, names: str = "") -> OutputsOfFile:
        return network(("o", (1, 4 + columns, CELLS), "float32"), declared={"names": names} if names else {})

    named = asked(file(3, "{0: 'cat', 1: 'dog', 2: 'cow'}"), test_of("boxes", boxes, ("dog", "cat")), ScoreChoice())
    assert named.classes == (1, 0, -1)
    with pytest.raises(UserError, match="the category 'pig', which the network does not have"):
        asked(file(3, "['cat', 'dog', 'cow']"), test_of("boxes", boxes, ("cat", "pig")), ScoreChoice())
    with pytest.raises(UserError, match="it has 3 classes, the test images 2"):
        asked(file(3), test_of("boxes", boxes, ("cat", "pig")), ScoreChoice())
    gaps = asked(file(91), test_of("boxes", boxes, ("cat", "pig"), numbers=(17, 90)), ScoreChoice())
    assert gaps.classes[17] == 0 and gaps.classes[90] == 1 and gaps.classes[0] == -1


def test_boxes_that_a_better_one_covers_are_removed_within_their_class() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [30, 0, 40, 10]], np.float32)
    assert reductions._apart(boxes, np.array([0, 0, 1, 0]), 0.7, 100) == [0, 2, 3]
    assert reductions._apart(boxes, np.array([0, 0, 1, 0]), 0.7, 2) == [0, 2]


# ------------------------------------------------------------------ metrics


def test_map_is_what_pycocotools_says_and_by_hand() -> None:
    """One class, two images: found rightly, found wrongly before that, not found."""
    truth = [
        Boxes(np.float32([[0, 0, 10, 10]]), np.array([0]), np.float32([100]), np.zeros(1, bool)),
        Boxes(np.float32([[20, 20, 40, 40]]), np.array([0]), np.float32([400]), np.zeros(1, bool)),
    ]
    found = [
        (np.array([[50.0, 50, 60, 60], [0, 0, 10, 10]]), np.array([0.9, 0.8]), np.array([0, 0])),
        (np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64)),
    ]
    # Half of the objects at a precision of a half: 51 of the 101 recalls.
    assert values(_average_precision.scores(found, truth, 1))["mAP50"] == pytest.approx(0.5 * 51 / 101)


def test_samples_of_images_add_up_as_in_pycocotools() -> None:
    random = np.random.default_rng(1)
    truth, found = [], []
    for _ in range(30):
        count = int(random.integers(0, 6))
        low, sides = random.uniform(0, 80, (count, 2)), random.uniform(5, 30, (count, 2))
        own, kinds = np.concatenate([low, low + sides], 1), random.integers(0, 3, count)
        crowds = random.random(count) < 0.1
        truth.append(Boxes(own.astype(np.float32), kinds, sides.prod(1).astype(np.float32), crowds))
        boxes = np.concatenate([own + random.normal(0, 2, own.shape), random.uniform(0, 40, (3, 4)) + [0, 0, 40, 40]])
        found.append((boxes, random.random(len(boxes)), np.concatenate([kinds, random.integers(0, 3, 3)])))
    evaluated = _average_precision._evaluated(found, truth, 3)
    once = _average_precision.resampled(evaluated, 30, np.ones((1, 30), np.int64))
    scores = _average_precision.scores(found, truth, 3)
    assert (once.mean(), once[0, 0]) == pytest.approx((scores[0].value, scores[1].value))
    low, high = np.percentile(scores[0].resampled, (2.5, 97.5))
    assert low < scores[0].value < high and len(scores[0].resampled) == 200


def test_average_precision_of_labels_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    scores, truth = random.integers(0, 20, 300) / 20, random.random(300) < 0.3
    times = random.integers(0, 3, 300)
    (own,) = multilabel.average_precision(scores, truth, times[None])
    assert own == pytest.approx(metrics.average_precision_score(truth, scores, sample_weight=times))
    data = test_of("labels", [np.array([True, False]), np.array([False, True]), np.array([True, True])], ("a", "b"))
    answers = [[np.float32([[2, -1]])], [np.float32([[-2, 1]])], [np.float32([[3, -3]])]]
    asked = tasks.load("multilabel").asked(network(("o", (1, 2), "float32")), data, ScoreChoice())
    found = values(tasks.load("multilabel").scores(answers, data, asked))
    assert found == {"mAP": pytest.approx((1 + (1 + 2 / 3) / 2) / 2), "F1": pytest.approx(2 * 3 / (2 * 3 + 0 + 1))}


def test_numbers_are_scored_by_their_errors() -> None:
    data = test_of("values", [np.float32([1]), np.float32([2]), np.float32([6])])
    answers = [[np.float32([[1.5]])], [np.float32([[2]])], [np.float32([[5]])]]
    asked = tasks.load("regression").asked(network(("o", (1, 1), "float32")), data, ScoreChoice())
    scores = tasks.load("regression").scores(answers, data, asked)
    assert values(scores) == {"MAE": pytest.approx(0.5), "R2": pytest.approx(1 - 1.25 / 14)}
    assert [one.lower_is_better for one in scores] == [True, False]


def test_masks_are_scored_in_the_networks_input(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (8, 4)).save(tmp_path / "images/a.png")
    mask = np.array([[0, 0, 0, 0, 1, 1, 1, 255]] * 4, np.uint8)
    Image.fromarray(mask).save(tmp_path / "masks/a.png")
    data = load(tmp_path)
    scores = np.zeros((1, 2, 2, 4), np.float32)  # half the size
    scores[0, 1, :, 3] = 1
    file = network(("o", scores.shape, "float32"))
    asked = tasks.load("segmentation").asked(file, data, ScoreChoice())
    answers = [reductions.reduced([scores], asked.reduction)]
    # Of 28 pixels that count 20 are right: of class 0 16 of 24 in either, of class 1 4 of 12.
    assert values(tasks.load("segmentation").scores(answers, data, asked)) == {
        "mIoU": pytest.approx((16 / 24 + 4 / 12) / 2), "pixels": pytest.approx(20 / 28),
    }  # fmt: skip


def test_a_letterbox_is_left_as_it_was_entered() -> None:
    size, geometry = (300, 150), Geometry(letterbox=(64, 96))
    image = Image.new("RGB", size)
    image.paste((255, 0, 0), (150, 50, 210, 110))
    made = np.asarray(pictures.sized(image, geometry))
    assert made.shape == (64, 96, 3) and (made[0] == 114).all() and (made[-1] == 114).all()
    rows, columns = np.nonzero((made[..., 0] > 128) & (made[..., 1] < 60))
    (x, y), (left, top) = pictures.placement(size, geometry)
    seen = [(columns.min() - left) / x, (rows.min() - top) / y, (columns.max() + 1 - left) / x,
            (rows.max() + 1 - top) / y]  # fmt: skip
    assert seen == pytest.approx([150, 50, 210, 110], abs=3)


@pytest.mark.parametrize(
    ("layout", "dtype", "step", "zero"),
    [("NCHW", "float32", None, None), ("NHWC", "float32", None, None), ("NCHW", "float16", None, None),
     ("NHWC", "int8", 0.0123, -3), ("NHWC", "uint8", None, None)],
)  # fmt: skip
def test_bytes_become_inputs_on_a_device_as_here(layout: Any, dtype: str, step: float | None, zero: int | None) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    shape = (1, 3, 5, 7) if layout == "NCHW" else (1, 5, 7, 3)
    spec = TensorSpec("x", shape, dtype, layout, step, zero)
    preprocessing = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    if dtype == "uint8":
        preprocessing = Preprocessing((0.0,) * 3, (1 / 255,) * 3)
    artifact = msgspec.structs.replace(make_artifact("net-onnx-fp32"), inputs=(spec,), preprocessing=preprocessing)
    how = accuracy._pixels(artifact, images, {"kind": "boxes"})
    assert how is not None
    wanted = tensors.to_stored(preprocessing.apply(images), spec)
    assert b"".join(pixels.prepared(one.tobytes(), how) for one in images) == wanted.tobytes()
    if dtype == "uint8":
        assert np.array_equal(wanted, images), "bytes stay bytes"


def test_what_is_packed_is_unpacked() -> None:
    images = [[np.float32([[1, 2]]), np.uint8([3])], [np.zeros((0, 2), np.float32), np.uint8([4])]]
    found = accuracy.unpacked(json.dumps(reductions.packed(images)).encode())
    assert all(
        np.array_equal(a, b) for own, other in zip(found, images, strict=True) for a, b in zip(own, other, strict=True)
    )
    assert [one[0].tolist() for one in accuracy.unpacked(b"[3, 1]")] == [[3], [1]]
    part = reductions.packed(images)[:1]
    for wrong in ({"shapes": [[1, 2**30]]}, {"shapes": [[1, 1]]}, {"zlib_base64": "AAAA"}, {"dtype": "object"}):
        with pytest.raises(ValueError):
            accuracy.unpacked(json.dumps([{**part[0], **wrong}]).encode())


# ------------------------------------------------------------------ annotations


def test_coco_and_yolo_say_the_same(tmp_path: Path) -> None:
    coco, yolo = load(detectors.coco(tmp_path / "c", 5)), load(detectors.yolo(tmp_path / "y", 5))
    for left, right in zip(coco.targets, yolo.targets, strict=True):
        assert np.allclose(left.corners, right.corners) and left.labels.tolist() == right.labels.tolist()
    assert (coco.class_names, yolo.class_names, coco.sizes) == (detectors.NAMES, detectors.NAMES, yolo.sizes)
    (tmp_path / "y/data.yaml").write_text("path: .\nval: images\nnames: {0: r, 1: g, 2: b}\n")
    assert load(tmp_path / "y/data.yaml").class_names == ("r", "g", "b")
    assert load(tmp_path / "c/val.json").sha256 == coco.sha256
    assert len(annotated.load(f"{tmp_path / 'y'}@2", None, 3, Silent()).images) == 2  # type: ignore[union-attr]


def spoil(path: Path, change: Any) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


SPOILED = {
    "outside": (lambda c: c["annotations"][0].update(bbox=[60, 0, 20, 8]), r"0.png: a box reaches out of its 64x64"),
    "category": (lambda c: c["annotations"][0].update(category_id=7), "a box has the category 7, which it does not"),
    "missing": (lambda c: c["images"][1].update(file_name="gone.png"), r"gone.png is missing"),
    "image": (lambda c: c["annotations"][0].update(image_id=99), "a box belongs to image 99"),
    "size": (lambda c: c["images"][0].update(width=32), "it has 64x64 pixels upright, the annotations say 32x64"),
    "negative": (lambda c: c["annotations"][0].update(bbox=[0, 0, -5, 8]), "has a negative width or height"),
    "NaN": (lambda c: c["annotations"][0].update(bbox=[0, 0, "a", 8]), "not an annotation file of COCO's kind"),
    "empty": (lambda c: c.update(images=[], annotations=[]), "no image has an annotation"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_annotations_that_cannot_be_meant_are_refused(name: str, tmp_path: Path) -> None:
    change, said = SPOILED[name]
    with pytest.raises(BadFile, match=said):
        load(spoil(detectors.coco(tmp_path / "c", 2), change))


@pytest.mark.parametrize(
    ("line", "said"),
    [("0 0.9 0.5 0.5 0.1", "a box reaches out"), ("3 0.5 0.5 0.1 0.1", "line 1: class 3 has no name, there are 3"),
     ("cat 0.5 0.5 0.1 0.1", "is not a class and numbers"), ("0 0.5 0.5", "it has 2 numbers after the class"),
     ("0 nan 0.5 0.1 0.1", "a box reaches out")],
)  # fmt: skip
def test_lines_of_yolo_that_cannot_be_meant_are_refused(line: str, said: str, tmp_path: Path) -> None:
    root = detectors.yolo(tmp_path / "y", 1)
    (root / "labels/0.txt").write_text(line)
    with pytest.raises(BadFile, match=said):
        load(root)


def test_columns_of_labels_and_values(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text("path,labels,split\na.png,cat;indoors,test\nb.png,,test\n")
    tags = load(tmp_path / "t.csv")
    assert (tags.kind, tags.class_names) == ("labels", ("cat", "indoors"))
    assert [one.tolist() for one in tags.targets] == [[True, True], [False, False]]
    (tmp_path / "v.jsonl").write_text('{"path": "a.png", "values": [1, 2.5]}\n{"path": "b.png", "values": [0, "x"]}\n')
    with pytest.raises(BadFile, match="line 2: its value is .*not a number"):
        load(tmp_path / "v.jsonl")
    np.savez(tmp_path / "y.npz", x=np.zeros((3, 4, 4), np.uint8), y=np.zeros((3, 2, 2)))
    with pytest.raises(BadFile, match=r"y has the shape \[3, 2, 2\]; there are 3 images"):
        load(tmp_path / "y.npz")
    (tmp_path / "about.json").write_text("{}")
    assert annotated.load(str(tmp_path), None, 3, Silent()) is None, "a folder of images with some other .json"
    (tmp_path / "c.csv").write_text("path,label,value\na.png,cat,1\nb.png,dog,2\n")
    assert annotated.load(str(tmp_path / "c.csv"), None, 3, Silent()) is None


def test_a_task_that_the_data_is_not_for_is_refused() -> None:
    with pytest.raises(UserError, match=r"--task detection: it is scored by boxes, data has numbers.*it is regression"):
        tasks.chosen("detection", test_of("values", [np.float32([1])]))
    assert tasks.chosen(None, test_of("masks", ["a"])) == "segmentation"
    assert {tasks.load(name).TARGETS for name in tasks.names()} == set(tasks._HAVE)


def test_a_classifier_of_other_classes_is_refused() -> None:
    data = test_of("classes", [0, 1], ("a", "b"))
    with pytest.raises(UserError, match="net: it answers with 3 numbers, the test images have 2 classes"):
        tasks.load("classification").asked(network(("o", (1, 3), "float32")), data, ScoreChoice())
    second = tasks.load("classification").asked(
        network(("features", (1, 64), "float32"), ("o", (1, 2), "float32")), data, ScoreChoice()
    )
    assert second.reduction == {"kind": "top", "output": 1, "count": 1}


# ------------------------------------------------------------------ a metric of one's own

METRICS = """
def fine(outputs, targets): return {"worst": float(abs(outputs["o"][:, 0] - targets).max())}
def raising(outputs, targets): return outputs["logits"]
def text(outputs, targets): return "0.5"
def infinite(outputs, targets): return float("inf")
number = 3
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [("raising", "it raised KeyError: 'logits' .own_metrics_of_a_test.py, line 3"),
     ("text", "it returned text = '0.5', which is not a finite number"), ("infinite", "not a finite number"),
     ("number", "it is int, not a function"), ("gone", "it cannot be imported"), ("", "it cannot be imported")],
)  # fmt: skip
def test_metrics_that_are_none_say_so(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metrics_of_a_test.py").write_text(METRICS)
    monkeypatch.syspath_prepend(tmp_path)
    data = test_of("classes", np.array([1, 2]), ("a", "b", "c"))
    answers = [[np.float32([[1.5]])], [np.float32([[2]])]]
    with pytest.raises(UserError, match=said):
        own_metric.scores(f"own_metrics_of_a_test:{name}", ["o"], answers, data)
    assert values(own_metric.scores("own_metrics_of_a_test:fine", ["o"], answers, data)) == {"worst": 0.5}


def test_a_metric_of_outputs_beyond_what_fits_is_refused_before() -> None:
    data = test_of("classes", [0] * 100)
    assert own_metric.asked(network(("o", (1, 10), "float32")), data) == KeptAnswers(
        {"kind": "values"}, "all outputs, as they are", 40
    )
    with pytest.raises(UserError, match=r"are 2,822 MB.*--dataset data@9"):
        own_metric.asked(network(("o", (1, 84, 84000), "float32")), data)
