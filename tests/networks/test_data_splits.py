"""Splits: what they hold, what is held out of them, their hash, and balanced parts of them."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest

from edgebench.errors import UnknownName, UserError
from edgebench.networks import data
from edgebench.networks.data import Split
from tests.support.small_data import mini as mini
from tests.support.small_data import no_network as no_network


def test_a_split_refuses_other_types() -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match="uint8"):
        Split(images.astype(np.int32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="int64"):
        Split(images, np.zeros(3, np.int64))


def test_the_split_hash_tells_splits_apart(mini: data.Dataset) -> None:
    known = data.split_hash(mini)
    assert len(known) == 64
    turned = dataclasses.replace(mini, train=mini.train.take(np.arange(len(mini.train))[::-1]))
    swapped = dataclasses.replace(mini, validation=mini.test, test=mini.validation)
    relabelled = dataclasses.replace(mini, test=Split(mini.test.images, (mini.test.labels + 1) % 10))
    assert len({known, *map(data.split_hash, (turned, swapped, relabelled))}) == 4


def test_a_split_remembers_where_its_images_came_from() -> None:
    whole = Split(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.arange(10) % 2)
    train, validation = data.hold_out(whole, 2)
    assert validation.positions().tolist() == [6, 7, 8, 9]
    assert train.take([4, 0]).positions().tolist() == train.take([4, 0]).images.reshape(-1).tolist() == [4, 0]
    with pytest.raises(ValueError, match="index"):
        Split(whole.images, whole.labels, np.arange(3))


def test_balanced_takes_classes_in_turn_and_what_there_is() -> None:
    labels = np.array([0, 0, 0, 0, 1, 2, 2], np.int64)
    assert labels[data.balanced_index(labels, 5)].tolist() == [0, 1, 2, 0, 2]
    assert sorted(data.balanced_index(labels, 100).tolist()) == list(range(7))


def test_balanced_index_is_what_counting_one_by_one_gives() -> None:
    rng = np.random.default_rng(0)
    for classes in (1, 3, 62):
        labels = rng.choice(classes, 2000, p=rng.dirichlet(np.ones(classes)))
        seen, turns = dict.fromkeys(range(classes), 0), []
        for label in labels.tolist():
            turns.append(seen[label])
            seen[label] += 1
        expected = np.lexsort((labels, turns))
        assert np.array_equal(data.balanced_index(labels, 5000), expected)
        assert np.array_equal(data.balanced_index(labels, 100), expected[:100])
    assert data.balanced_index(np.empty(0, np.int64), 5).tolist() == []


def test_as_many_labels_as_emnist_byclass_has_are_split_in_seconds() -> None:
    labels = np.random.default_rng(0).choice(62, 814_255, p=np.arange(1, 63) / np.arange(1, 63).sum())
    official = Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels)
    started = time.monotonic()
    train, validation = data.hold_out(official, 200)
    chosen = data.balanced(train, 256)
    assert time.monotonic() - started < 5  # 0.2 s when this was written
    assert len(validation) == 62 * 200
    assert np.bincount(chosen.labels, minlength=62).min() == 4


def test_a_part_of_a_data_set_is_balanced_and_keeps_its_name() -> None:
    whole, part = data.load("fashion-mnist-mini"), data.load("fashion-mnist-mini@200,50")
    assert (part.name, len(part.train), len(part.test)) == ("fashion-mnist-mini@200,50", 200, 50)
    assert np.bincount(part.train.labels).tolist() == [20] * 10
    assert data.split_hash(part) not in (data.split_hash(whole), data.split_hash(data.load("fashion-mnist-mini@201")))
    assert len(data.load("fashion-mnist-mini@200").test) == len(whole.test)
    # The test images are the official ones, whatever part of them.
    assert np.array_equal(part.test.images, whole.test.images[part.test.index])


@pytest.mark.parametrize("part", ["", "x", "-5", "9", "9999999", "100,", "100,5", "100,50,50", "1e3"])
def test_a_part_that_is_none_is_told(part: str) -> None:
    with pytest.raises(UserError, match=f"data set 'fashion-mnist-mini@{part}'"):
        data.load(f"fashion-mnist-mini@{part}")
    with pytest.raises(UnknownName, match="Did you mean 'cifar10'"):
        data.load("cifar1@100")
