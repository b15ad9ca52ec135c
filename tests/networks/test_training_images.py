"""What happens to training images and their labels."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from edgebench.networks import data, training
from edgebench.networks.data import Dataset, Split
from edgebench.networks.training.recipes import Augment, Mix, Recipe, Sgd
from edgebench.schema.preprocessing import Preprocessing

torch = pytest.importorskip("torch")
augment = pytest.importorskip("edgebench.networks.training.augment")
images = pytest.importorskip("edgebench.networks.training.images")
mixing = pytest.importorskip("edgebench.networks.training.mixing")

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made_up(count: int = 50, shape: tuple[int, int, int] = (6, 5, 3), *, flip: bool = True) -> Dataset:
    random = np.random.default_rng(0)
    split = Split(random.integers(0, 256, (count, *shape), np.uint8), np.arange(count, dtype=np.int64) % 4)
    preprocessing = Preprocessing((0.5,) * shape[2], (0.25,) * shape[2])
    return Dataset("made-up", split, split, split, tuple("abcd"), preprocessing, flip, "none")


def recipe(**choices: object) -> Recipe:
    return Recipe("x", 1, 8, Sgd(0.1), **choices)


def test_every_image_comes_once_an_epoch_with_its_label() -> None:
    dataset = made_up()
    supply = images.TrainingImages(dataset, recipe(), CPU)
    batches = list(supply.epoch())
    assert supply.batches == len(batches) == 7 and [len(labels) for _, labels in batches] == [8] * 6 + [2]
    known = torch.from_numpy(dataset.preprocessing.apply(dataset.train.images))
    inputs, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    distances = (inputs[:, None] - known[None]).abs().amax((2, 3, 4))
    which = distances.argmin(1)
    assert distances.amin(1).max() < 1e-6
    assert sorted(which.tolist()) == list(range(50))
    assert torch.equal(labels, torch.from_numpy(dataset.train.labels)[which])
    assert not torch.equal(batches[0][0], next(supply.epoch())[0]), "each epoch has its own order"


def test_a_last_batch_of_one_image_is_left_out() -> None:
    supply = images.TrainingImages(made_up(count=17), recipe(), CPU)
    assert [len(labels) for _, labels in supply.epoch()] == [8, 8]
    assert (supply.batches, len(supply)) == (2, 16)


def test_images_are_moved_and_mirrored_whole() -> None:
    image = torch.arange(2 * 3 * 5, dtype=torch.uint8).reshape(1, 3, 5, 2) + 1
    padded = augment.pad(image, 1)
    picked = augment.pick(padded, torch.zeros(400, dtype=torch.int64), 1, flip=True)

    def moved(source: torch.Tensor, down: int, right: int) -> torch.Tensor:
        canvas = torch.zeros(5, 7, 2, dtype=torch.uint8)
        canvas[1:4, 1:6] = source
        return canvas[1 + down : 4 + down, 1 + right : 6 + right]

    possible = [
        moved(source, down, right)
        for source in (image[0], image[0].flip(1))
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    seen = {next(i for i, p in enumerate(possible) if torch.equal(p, one)) for one in picked}
    assert len(seen) == len(possible) == 18


def test_digits_are_not_mirrored() -> None:
    dataset = made_up(flip=False)
    plain = images.TrainingImages(dataset, recipe(augment=Augment(flip=True)), CPU)
    known = torch.from_numpy(dataset.preprocessing.apply(dataset.train.images))
    for batch, _ in plain.epoch():
        for image in batch:
            assert (known - image).abs().amax((1, 2, 3)).min() < 1e-6


def test_a_quarter_turn_is_a_quarter_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    square = torch.rand(3, 2, 4, 4)
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda tensor, low, high: tensor.fill_(high))
    turned = augment.rotate(square, 90.0)
    assert torch.allclose(turned, square.rot90(1, (2, 3)), atol=1e-5)


def test_turning_keeps_the_middle_of_an_oblong_and_what_comes_in_is_black() -> None:
    oblong = torch.ones(20, 1, 9, 21)
    turned = augment.rotate(oblong, 30.0)
    assert torch.allclose(turned[:, 0, 3:6, 9:12], torch.ones(20, 3, 3), atol=1e-4)
    assert turned.min() == 0.0


def test_erased_rectangles_have_the_papers_sizes() -> None:
    erased = augment.erase(torch.ones(500, 2, 32, 32), 0.5)
    zeros = (erased == 0).sum((1, 2, 3)) / (2 * 32 * 32)
    touched = zeros[zeros > 0]
    assert 180 < len(touched) < 320
    assert touched.min() > 0.01 and touched.max() < 0.36
    for image in erased[zeros > 0][:20]:
        rows, columns = (image[0] == 0).any(1).sum(), (image[0] == 0).any(0).sum()
        assert (image[0] == 0).sum() == rows * columns, "one rectangle"


def test_auto_augment_works_on_groups_of_bytes() -> None:
    before = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8)
    after = augment.auto_augment(before, "cifar10")
    assert after.shape == before.shape and after.dtype == torch.uint8
    assert not torch.equal(after, before)


def test_the_training_sees_what_the_exported_network_will_see() -> None:
    dataset = made_up(shape=(28, 28, 1))
    preprocessing = Preprocessing((0.3,), (0.2,), (32, 40))
    ours = images.Preprocess(preprocessing, CPU)(torch.from_numpy(dataset.train.images).permute(0, 3, 1, 2).float())
    theirs = torch.from_numpy(preprocessing.apply(dataset.train.images))
    assert theirs.shape == (50, 1, 32, 40)
    assert torch.allclose(ours, theirs, atol=1e-5)
    resized = dataclasses.replace(dataset, preprocessing=preprocessing)
    assert resized.input_shape == (1, 32, 40)


def test_preprocessing_of_old_files_is_read_and_written_as_before() -> None:
    text = b'{"mean":[0.5],"std":[0.25]}'
    read = msgspec.json.decode(text, type=Preprocessing)
    assert read == Preprocessing((0.5,), (0.25,)) and msgspec.json.encode(read) == text


# ------------------------------------------------------------------ MixUp and CutMix


def distinct() -> tuple[torch.Tensor, torch.Tensor]:
    """Eight images, each filled with its own label."""
    labels = torch.arange(8)
    return labels.float()[:, None, None, None].expand(8, 1, 10, 10).clone(), labels


def test_mixup_mixes_labels_as_it_mixes_images() -> None:
    batch, labels = distinct()
    mixed, shares = mixing.mix(batch, labels, 8, Mix(mixup_alpha=1.0))
    assert torch.allclose(shares.sum(1), torch.ones(8))
    assert torch.allclose(mixed[:, 0, 0, 0], shares @ torch.arange(8.0), atol=1e-5)
    assert ((shares > 0).sum(1) == 2).any()


def test_cutmix_gives_each_label_its_share_of_the_area() -> None:
    for _ in range(20):
        batch, labels = distinct()
        mixed, shares = mixing.mix(batch, labels, 8, Mix(cutmix_alpha=1.0))
        for image, share in zip(mixed, shares, strict=True):
            area = torch.bincount(image.int().flatten(), minlength=8) / 100
            assert torch.allclose(area, share, atol=1e-6)


def test_a_batch_is_mixed_with_the_probability_asked_for() -> None:
    batch, labels = distinct()
    mixed = [mixing.mix(batch, labels, 8, Mix(0.2, 1.0, 0.25))[1].ndim == 2 for _ in range(400)]
    assert 60 < sum(mixed) < 140
    untouched, same = mixing.mix(batch, labels, 8, Mix())
    assert untouched is batch and same is labels


def test_shares_and_labels_give_the_same_loss() -> None:
    objective = pytest.importorskip("edgebench.networks.training.objective")
    answers, labels = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    shares = torch.nn.functional.one_hot(labels, 4).float()
    assert torch.allclose(
        objective.classification(answers, labels, 0.1), objective.classification(answers, shares, 0.1)
    )
    assert objective.imitation(answers, answers, training.recipe("distil").distil).item() == pytest.approx(0, abs=1e-6)


def test_subsets_are_balanced() -> None:
    labels = data.balanced(made_up().train, 12).labels
    assert np.bincount(labels).tolist() == [3, 3, 3, 3]
