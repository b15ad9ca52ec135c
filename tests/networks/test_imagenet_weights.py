"""ImageNet weights: found, checked, fitted to other classes and to grey images. Nothing is downloaded."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebench.errors import BadFile, UserError
from edgebench.networks import data, models, starting
from edgebench.networks.own_network import imagenet
from edgebench.networks.own_network.imagenet import PublishedWeights
from edgebench.networks.starting import NetworkOptions
from edgebench.progress import Silent
from edgebench.schema.preprocessing import Geometry
from edgebench.train import TrainOptions, train
from tests.support.small_data import no_network as no_network
from tests.support.trainings import Lines

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

GEOMETRY = Geometry((8,), (8, 8))


def published(folder: Path, network: Any, name: str = "mobilenet_v2") -> PublishedWeights:
    """A file that is named after its content, as torchvision's are."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / "plain.pth"
    torch.save(network.state_dict(), plain)
    path = plain.rename(folder / f"{name}-{hashlib.sha256(plain.read_bytes()).hexdigest()[:8]}.pth")
    return PublishedWeights(f"https://nowhere.invalid/{path.name}", GEOMETRY)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("EDGEBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize("place", ["hub", "data"])
def test_a_file_is_found_in_both_places_and_its_checksum_matters(hub: Path, tmp_path: Path, place: str) -> None:
    folder = hub if place == "hub" else tmp_path / "data"
    one = published(folder, torch.nn.Linear(2, 2))
    absent = dataclasses.replace(one, url="https://nowhere.invalid/other-00000000.pth")
    found, path = imagenet.find("mobilenetv2", [absent, one], Silent())
    assert (found, path) == (one, folder / one.file_name)
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(BadFile, match="not the one in its name"):
        imagenet.find("mobilenetv2", [absent, one], Silent())


@pytest.mark.usefixtures("hub", "no_network")
def test_one_sentence_without_internet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mobilenet_v2-7ebf99e0\.pth .*cannot be downloaded") as raised:
        starting.images_for("mobilenetv2", "fashion-mnist-mini", NetworkOptions(weights="imagenet"), None, Silent())
    assert "https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth" in raised.value.remedy
    assert str(tmp_path / "torch") in raised.value.seen and str(tmp_path / "data") in raised.value.seen


def test_what_torchvision_publishes() -> None:
    for name in imagenet.OURS:
        first = imagenet.published(name)[0]
        assert first.checksum.startswith("sha256:") and first.geometry.crop in ((224, 224), (380, 380))
    assert [one.file_name for one in imagenet.published("mobilenetv2")] == [
        "mobilenet_v2-7ebf99e0.pth",
        "mobilenet_v2-b0353104.pth",
    ]
    assert imagenet.published("torchvision.models:shufflenet_v2_x0_5")[0].file_name.startswith("shufflenetv2_x0.5-")
    for name in ("ultralight", "my.models:make"):
        with pytest.raises(UserError, match="there are none"):
            imagenet.published(name)
    with pytest.raises(UserError, match="torchvision has none"):
        imagenet.published("torchvision.models:nothing")


@pytest.mark.parametrize("channels", [3, 1])
def test_all_but_the_output_layer_is_taken(hub: Path, channels: int) -> None:
    theirs = models.build("mobilenetv2", (3, 32, 32), 1000)
    one = published(hub, theirs)
    ours = models.build("mobilenetv2", (channels, 32, 32), 7)
    note = imagenet.fill(ours, hub / one.file_name, one, "classifier.1")
    assert "'classifier.1' keeps random weights: the data has 7 classes" in note
    assert torch.equal(ours.features[18][0].weight, theirs.features[18][0].weight)
    grey = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected, given = (
            part.eval()(grey.expand(2, count, 32, 32))
            for part, count in ((theirs.features, 3), (ours.features, channels))
        )
    np.testing.assert_allclose(given, expected, atol=1e-4 * float(expected.abs().max()))
    assert ("summed over its three colours" in note) == (channels == 1)
    with pytest.raises(BadFile, match="classifier"):
        imagenet.fill(models.build("mobilenetv2", (3, 32, 32), 7), hub / one.file_name, one, "")


def test_of_another_head_only_the_features_are_taken(tmp_path: Path) -> None:
    theirs = torch.nn.Sequential()
    theirs.features, theirs.classifier = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), torch.nn.Linear(4, 1000)
    ours = torch.nn.Sequential()
    ours.features, ours.fc1 = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), torch.nn.Linear(4, 2)
    one = dataclasses.replace(published(tmp_path, theirs), only="features.")
    note = imagenet.fill(ours, tmp_path / one.file_name, one, "fc1")
    assert note == "only 'features.*' taken; fc1 keep random weights"
    assert torch.equal(ours.features[0].weight, theirs.features[0].weight)


def test_a_training_starts_from_them_and_says_so(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey images of a built-in data set: stretched to the size of the weights, with their own mean."""
    theirs = models.build("mobilenetv2", (3, 32, 32), 1000)
    one = dataclasses.replace(published(hub, theirs), geometry=Geometry((40,), (40, 40)))
    monkeypatch.setattr(imagenet, "published", lambda model: (one,))
    lines = Lines()
    options = TrainOptions(weights="imagenet")
    made = train(
        "mobilenetv2",
        "fashion-mnist-mini@60,20",
        epochs=1,
        options=options,
        out=tmp_path / "m.safetensors",
        progress=lines,
    )
    about = made.about
    assert (about.input_shape, about.preprocessing.resize) == ((1, 40, 40), (40, 40))
    assert about.preprocessing.mean == data.load("fashion-mnist-mini").preprocessing.mean
    assert about.weights is not None and about.weights.url == one.url
    assert hashlib.sha256((hub / one.file_name).read_bytes()).hexdigest() == about.weights.sha256
    assert any("'classifier.1' keeps random weights" in line and "grey" in line for line in lines.lines)
    sizes = NetworkOptions(weights="imagenet", geometry=Geometry((28, 28)))
    assert starting.images_for("mobilenetv2", "fashion-mnist-mini@60,20", sizes, None, lines).input_shape == (1, 28, 28)
