from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
import re
import struct
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edgebench import evaluate as evaluate_
from edgebench.cli._evaluation_table import tables
from edgebench.errors import BadFile, UnknownName, UserError
from edgebench.networks import data, models, training
from edgebench.networks.data import Dataset
from edgebench.networks.evaluation import features, listing, load, measures, parameters, roc, save
from edgebench.networks.evaluation.measures import calibration_error, log_probabilities, negative_log_likelihood
from edgebench.networks.from_checkpoint import rebuild
from edgebench.schema import checkpoint
from edgebench.schema.checkpoint import Checkpoint
from edgebench.train import train
from tests.conftest import run_cli

torch = pytest.importorskip("torch")

from edgebench.networks.evaluation import gradcam  # noqa: E402  (behind the question whether torch is there)

evaluate = evaluate_.evaluate


# ------------------------------------------------------------------ measures, against closed forms


def test_equal_logits_are_equal_probabilities_however_large() -> None:
    logs = log_probabilities(np.full((3, 4), 1e4))
    assert np.exp(logs) == pytest.approx(0.25)
    assert negative_log_likelihood(logs, np.array([0, 1, 3])) == pytest.approx(math.log(4))


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([[1.0, 0.0, 0.0]], 0.0),
        ([[0.0, 1.0, 0.0]], 2.0),
        ([[1 / 3, 1 / 3, 1 / 3]], (2 / 3) ** 2 + 2 / 9),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 1.0),
    ],
)
def test_brier_score_is_the_squared_distance_to_the_truth(probabilities: list[list[float]], expected: float) -> None:
    labels = np.zeros(len(probabilities), int)
    assert measures.brier(np.array(probabilities), labels) == pytest.approx(expected)


def test_top_k_counts_a_class_behind_those_that_equal_it() -> None:
    logits = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])
    labels = np.array([1, 0, 0])
    assert [measures.in_top(logits, labels, k) for k in (1, 2, 3)] == [0, 1, 3]


def test_confusion_and_what_follows_from_it() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    answers = np.array([0, 0, 0, 1, 1, 0])
    counts = measures.confusion(labels, answers, 3)
    assert counts.tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]
    each = measures.per_class(counts)
    assert each.recall == pytest.approx([3 / 4, 1 / 2, 0])
    assert each.precision == pytest.approx([3 / 4, 1 / 2, 0])
    # The third class is nowhere: 0, and no warning about a division.
    assert each.f1 == pytest.approx([3 / 4, 1 / 2, 0])


def test_f1_is_the_harmonic_mean() -> None:
    each = measures.per_class(np.array([[8, 2], [4, 6]]))
    assert each.f1 == pytest.approx(2 * each.precision * each.recall / (each.precision + each.recall))


def test_calibration_error_of_a_hand_made_case() -> None:
    confidence = np.array([0.95, 0.97, 0.55, 0.58])
    right = np.array([True, False, True, True])
    count, mean, accuracy = measures.reliability(confidence, right, bins=10)
    assert count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert (mean[9], accuracy[9]) == (pytest.approx(0.96), 0.5)
    assert calibration_error(count, mean, accuracy) == pytest.approx((2 * 0.46 + 2 * (1 - 0.565)) / 4)


def test_an_interval_of_confidence_has_its_upper_end_and_not_its_lower() -> None:
    count, _, _ = measures.reliability(np.array([0.5, 0.5000001, 1.0, 0.0]), np.ones(4, bool), bins=2)
    assert count.tolist() == [2, 2]


def test_a_network_that_is_as_right_as_it_is_sure_has_no_calibration_error() -> None:
    confidence = np.full(100, 0.8)
    assert calibration_error(*measures.reliability(confidence, np.arange(100) < 80)) == pytest.approx(0)


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_how_often_a_positive_scores_higher_and_ties_count_half(seed: int) -> None:
    numbers = np.random.default_rng(seed)
    scores = numbers.integers(0, 6, 40).astype(float)  # many ties
    positive = numbers.random(40) < 0.4
    pairs = list(itertools.product(scores[positive], scores[~positive]))
    expected = sum((own > other) + 0.5 * (own == other) for own, other in pairs) / len(pairs)
    assert roc.area(*roc.curve(scores, positive)) == pytest.approx(expected)


def test_equal_scores_are_one_step_of_the_curve() -> None:
    false_positive, true_positive = roc.curve(np.ones(6), np.array([1, 1, 0, 0, 0, 1], bool))
    assert (false_positive.tolist(), true_positive.tolist()) == ([0, 1], [0, 1])


def test_a_thinned_curve_lies_on_the_curve_and_keeps_its_ends() -> None:
    numbers = np.random.default_rng(0)
    positive = numbers.random(20_000) < 0.1
    whole = roc.curve(numbers.normal(size=20_000) + positive, positive)
    thin = roc.thinned(*whole)
    assert len(thin[0]) <= roc.POINTS < len(whole[0])
    assert set(zip(*thin, strict=True)) <= set(zip(*whole, strict=True))
    assert (thin[0][0], thin[1][0], thin[0][-1], thin[1][-1]) == (0, 0, 1, 1)
    assert roc.area(*thin) == pytest.approx(roc.area(*whole), abs=1e-3)


def test_a_short_curve_is_left_alone() -> None:
    whole = roc.curve(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    assert roc.thinned(*whole) == whole


# ------------------------------------------------------------------ parameters


def test_parameters_are_counted_as_the_study_counts_them() -> None:
    count = parameters.count(models.build("res-se", (3, 32, 32), 10))
    assert (count.total, count.trainable, count.total + count.buffers) == (83_344, 83_344, 83_920)


def test_zeros_and_frozen_weights_are_told_apart() -> None:
    network = models.build("mlp-small", (1, 28, 28), 10)
    before = parameters.count(network)
    first = next(network.parameters())
    first.requires_grad_(False)
    first.data[:, :100] = 0
    after = parameters.count(network)
    assert (before.total, after.total) == (13_002, 13_002)
    assert after.trainable == before.trainable - first.numel()
    assert before.nonzero - after.nonzero == 100 * len(first)


# ------------------------------------------------------------------ Grad-CAM


class Pooled(torch.nn.Module):
    """Maps of a 1x1 convolution, averaged, into one Linear: Grad-CAM of it can be written down."""

    def __init__(self, *, inplace: bool) -> None:
        super().__init__()
        # Registered the wrong way round: the order of running decides.
        self.classifier = torch.nn.Linear(3, 2)
        self.second = torch.nn.Conv2d(4, 3, 1)
        self.first = torch.nn.Conv2d(1, 4, 1)
        self.act = torch.nn.ReLU(inplace=inplace)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.act(self.second(self.first(images)))
        return self.classifier(maps.mean((2, 3)))


def of_seed(inplace: bool) -> Pooled:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Pooled(inplace=inplace).eval()


@pytest.mark.parametrize("inplace", [False, True])
def test_grad_cam_is_the_maps_weighted_by_the_mean_gradient(inplace: bool) -> None:
    network = of_seed(inplace)
    images = np.random.default_rng(0).normal(size=(2, 1, 5, 4)).astype(np.float32)
    classes = np.array([0, 0])
    with torch.no_grad():
        maps = network.second(network.first(torch.from_numpy(images)))
        weights = network.classifier.weight[torch.from_numpy(classes)] / 20  # d logit / d activation, everywhere
        gradient = weights[:, :, None, None] * (maps > 0)
        expected = ((gradient.mean((2, 3), keepdim=True) * maps).sum(1)).clamp(min=0)
        expected /= expected.amax((1, 2), keepdim=True)  # not 0 for these images
    heat = gradcam.heat_maps(network, network.second, images, classes, (5, 4))
    assert heat == pytest.approx(expected.numpy(), abs=1e-6)


def test_the_layer_is_the_last_convolution_that_runs() -> None:
    found = gradcam.find_layer(of_seed(False), np.zeros((1, 1, 5, 4), np.float32))
    assert found is not None
    assert (found.name, tuple(found.left.shape[2:])) == ("second", (5, 4))


@pytest.mark.parametrize(("model", "layer", "map_size"), [("resnet18", "layer3.1.conv2", (2, 2))])
def test_convolutions_without_a_map_are_passed_over(model: str, layer: str, map_size: tuple[int, int]) -> None:
    """The last stage of a stock ResNet18 works on single pixels at this size."""
    found = gradcam.find_layer(models.build(model, (3, 32, 32), 10).eval(), np.zeros((1, 3, 32, 32), np.float32))
    assert found is not None
    assert (found.name, tuple(found.left.shape[2:])) == (layer, map_size)


def test_where_nothing_speaks_for_the_class_there_is_no_heat() -> None:
    network = of_seed(False)
    network.classifier.weight.data[:] = -network.classifier.weight.data.abs()
    network.second.bias.data[:] = 10.0  # every map is positive
    heat = gradcam.heat_maps(network, network.second, np.ones((1, 1, 3, 3), np.float32), np.array([0]), (3, 3))
    assert heat.tolist() == np.zeros((1, 3, 3)).tolist()


def test_examples_are_right_and_wrong_answers_of_different_classes() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    answers = np.array([0, 0, 1, 0, 2, 2, 3, 0, 4, 4])
    assert gradcam.examples(labels, answers).tolist() == [0, 2, 4, 6, 3, 7]


def test_a_network_that_is_never_wrong_has_right_examples_only() -> None:
    labels = np.arange(6)
    assert gradcam.examples(labels, labels).tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------ the whole of it


@pytest.fixture(scope="module")
def small() -> Dataset:
    full = data.load("fashion-mnist-mini")
    return dataclasses.replace(full, train=data.balanced(full.train, 1280), test=data.balanced(full.test, 400))


@pytest.fixture(scope="module")
def trained(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: small)
        return train("ultralight", epochs=2, out=tmp_path_factory.mktemp("trained") / "net.safetensors")


@pytest.fixture
def quick(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(data, "load", lambda name: small)
    return small


@pytest.fixture(scope="module")
def made(trained: Checkpoint, small: Dataset) -> evaluate_.Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name: small)
        return evaluate(trained.path)


def test_it_says_the_same_as_the_checkpoint(made: evaluate_.Evaluation, trained: Checkpoint) -> None:
    metrics = trained.about.metrics
    assert (made.checkpoint, made.images, made.split) == (trained.digest, 400, "test")
    assert made.accuracy == metrics.accuracy
    assert made.nll == pytest.approx(metrics.loss, rel=1e-6)
    assert made.parameters.total == trained.about.size.parameters


def test_its_parts_agree_with_one_another(made: evaluate_.Evaluation) -> None:
    assert [sum(row) for row in made.confusion] == [40] * 10
    assert sum(one.count for one in made.reliability) == 400
    right = sum(one.count * one.accuracy for one in made.reliability)
    assert right == pytest.approx(made.right)
    assert 0 <= made.ece <= 1 and 0 <= made.brier <= 2
    assert made.top5_right is not None and made.top5_right >= made.right
    assert all(curve.auc is not None and 0.5 < curve.auc <= 1 for curve in made.roc)
    assert len(made.roc) == 10 and made.macro_auc == pytest.approx(np.mean([curve.auc for curve in made.roc]))


def test_its_pictures_are_pictures(made: evaluate_.Evaluation) -> None:
    assert (made.grad_cam.layer, made.grad_cam.map_size, made.grad_cam.reason) == ("pointwise", (14, 14), "")
    kinds = [one.actual == one.answered for one in made.grad_cam.pictures]
    assert kinds == [True] * 4 + [False] * 4
    for one in made.grad_cam.pictures:
        assert one.png.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">II", one.png[16:24]) == ((28 + 1 + 28) * 4, 28 * 4)
        assert 0.1 < one.confidence <= 1


def test_features_of_one_class_are_near_one_another(made: evaluate_.Evaluation) -> None:
    pytest.importorskip("sklearn")
    points, labels = np.array(made.tsne.points), np.array(made.tsne.labels)
    assert (made.tsne.layer, len(points)) == ("classifier", 400)
    centres = np.array([points[labels == label].mean(0) for label in range(10)])
    within = np.linalg.norm(points - centres[labels], axis=1).mean()
    assert within < np.linalg.norm(points - points.mean(0), axis=1).mean()


def test_it_comes_back_from_a_file(made: evaluate_.Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    save(made, path)
    assert load(path) == made
    with pytest.raises(BadFile, match="cannot be read"):
        load(tmp_path / "missing.json")
    path.write_bytes(path.read_bytes().replace(b'"nll"', b'"nlll"'))
    with pytest.raises(BadFile, match=r"not an evaluation.*Make it again"):
        load(path)


def test_fewer_images_and_no_pictures(trained: Checkpoint, quick: Dataset) -> None:
    some = evaluate(trained.path, split="validation", images=100, pictures=False)
    assert some.right_by_image is not None and (len(some.right_by_image), int(some.right_by_image.sum())) == (
        100,
        some.right,
    )
    assert [sum(row) for row in some.confusion] == [10] * 10
    assert (some.split, some.grad_cam.pictures, some.tsne.points) == ("validation", (), ())
    assert some.grad_cam.reason and some.tsne.reason


def test_a_class_without_images_has_no_curve_and_breaks_nothing(trained: Checkpoint, quick: Dataset) -> None:
    some = evaluate(trained.path, images=5, pictures=False)
    assert [curve.auc is None for curve in some.roc] == [False] * 5 + [True] * 5
    assert some.per_class.recall[5:].tolist() == [0] * 5
    measured = {(one.name, one.of_class) for one in listing.by_class(some)}
    assert ("auc", some.class_names[0]) in measured and ("auc", some.class_names[9]) not in measured


def test_images_that_the_network_sees_larger_are_shown_as_they_are(
    trained: Checkpoint, quick: Dataset, tmp_path: Path
) -> None:
    about = msgspec.structs.replace(
        trained.about,
        model="res-dws-20k",
        input_shape=(1, 56, 56),
        preprocessing=msgspec.structs.replace(trained.about.preprocessing, resize=(56, 56)),
    )
    larger = checkpoint.save(models.build("res-dws-20k", (1, 56, 56), 10), about, tmp_path / "larger.safetensors")
    made = evaluate(larger.path, images=40)
    assert made.images == 40 and made.grad_cam.map_size == (14, 14)
    assert struct.unpack(">II", made.grad_cam.pictures[0].png[16:24]) == ((28 + 1 + 28) * 4, 28 * 4)


def test_a_network_without_convolution_says_so(quick: Dataset, tmp_path: Path) -> None:
    made = evaluate(train("mlp-small", epochs=1, out=tmp_path).path, images=40)
    assert "no convolution" in made.grad_cam.reason and not made.grad_cam.pictures


def test_without_scikit_learn_there_is_a_reason_and_the_rest(
    trained: Checkpoint, quick: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    made = evaluate(trained.path, images=50)
    assert "pip install 'edgebench[studies]'" in made.tsne.reason
    assert made.grad_cam.pictures


def test_features_need_a_last_layer_and_enough_images(quick: Dataset) -> None:
    pytest.importorskip("sklearn")
    convolutional = torch.nn.Sequential(torch.nn.Conv2d(1, 10, 28), torch.nn.Flatten())
    assert features.embedded(convolutional, quick.test, quick.preprocessing).reason == features.NO_LAST_LAYER
    few = data.balanced(quick.test, 20)
    assert features.embedded(convolutional, few, quick.preprocessing).reason == features.TOO_FEW


# ------------------------------------------------------------------ what goes wrong


def test_answers_that_are_no_numbers(trained: Checkpoint, quick: Dataset, tmp_path: Path) -> None:
    network = rebuild(trained)
    network.classifier.bias.data[0] = math.nan
    broken = checkpoint.save(network, trained.about, tmp_path / "broken.safetensors")
    with pytest.raises(UserError, match="400 of 400 images are not finite numbers"):
        evaluate(broken.path)


def test_a_data_set_that_is_another_one_now(trained: Checkpoint, quick: Dataset, tmp_path: Path) -> None:
    about = msgspec.structs.replace(trained.about, class_names=tuple("abcdefghij"))
    other = checkpoint.save(rebuild(trained), about, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="different images or classes than 'fashion-mnist-mini'"):
        evaluate(other.path)


def test_bad_arguments(trained: Checkpoint, quick: Dataset) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'validation'"):
        evaluate(trained.path, split="validaton")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="0 is not a number of images"):
        evaluate(trained.path, images=0)


def test_training_mode_and_memory_of_gradients_are_left_as_they_were(trained: Checkpoint, quick: Dataset) -> None:
    network = rebuild(trained)
    shares = np.exp(log_probabilities(training.logits(network, quick.test.images[:40], quick.preprocessing)))
    gradcam.of_a_few(network, data.balanced(quick.test, 40), quick.preprocessing, shares)
    assert not network.training
    assert all(one.grad is None for one in network.parameters())
    assert not any(layer._forward_hooks for layer in network.modules())


# ------------------------------------------------------------------ the command


def test_the_command_prints_and_writes(trained: Checkpoint, tmp_path: Path) -> None:
    done = run_cli(
        "evaluate", trained.path, "--csv", "net.csv", "--json", "net.json", "--html", "net.html", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    made = load(tmp_path / "net.json")
    for expected in ("macro f1", "ece", f"{made.accuracy:.4f}", "101,930", "Ankle boot", "net.html"):
        assert expected in done.stdout
    with (tmp_path / "net.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = {(row["name"], row["of_class"]): row for row in rows}
    assert float(found["accuracy", ""]["value"]) == made.accuracy
    assert float(found["accuracy", ""]["low"]) < made.accuracy < float(found["accuracy", ""]["high"])
    assert float(found["recall", "Trouser"]["value"]) == made.per_class.recall[1]
    assert found["nll_nats", ""]["low"] == ""
    page = (tmp_path / "net.html").read_text()
    assert "Summary" in page and f"<td>{made.accuracy:.4f}</td>" in page
    assert "Grad-CAM" in page and page.count("data:image/png;base64,") == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.safetensors"], "missing.safetensors: cannot be read"),
        (["junk.safetensors"], "not a safetensors file"),
        (["net.safetensors", "--split", "tset"], "Did you mean 'test'"),
        (["net.safetensors", "--html", "no/such/folder/net.html"], "net.html: cannot be written"),
        (["net.safetensors", "--csv", "."], "cannot be written"),
    ],
)
def test_bad_input_is_told_in_one_sentence(
    arguments: list[str], words: str, trained: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "junk.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    (tmp_path / "net.safetensors").write_bytes(trained.path.read_bytes())
    done = run_cli("evaluate", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"junk.safetensors", "net.safetensors", "cache"}


def test_a_class_without_a_curve_has_no_auc_on_the_terminal(made: evaluate_.Evaluation) -> None:
    nobody = msgspec.structs.replace(made, roc=tuple(msgspec.structs.replace(one, auc=None) for one in made.roc))
    screen = Console(width=80, record=True, file=io.StringIO())
    screen.print(*tables(nobody))
    shown = screen.export_text()
    assert "macro auc" not in shown
    assert re.search(r"Ankle boot +40( +0\.\d+){3} +-", shown)
