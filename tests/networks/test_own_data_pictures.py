"""Pixels: odd modes, orientation, geometry against torchvision, and images that are decoded when asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebench.networks import data
from edgebench.networks.lazy_images import LazyImages, pieces
from edgebench.networks.own_data import pictures as reading
from edgebench.schema.preprocessing import Geometry, Preprocessing
from tests.support import pictures

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def read(path: Path, channels: int, geometry: Geometry = Geometry()) -> np.ndarray:  # noqa: B008
    from PIL import Image

    with Image.open(path) as image:
        size = reading.final_size(reading.upright(image).size, geometry)
    return reading.ImageFiles([str(path)], ["0" * 64], np.arange(1), (*size, channels), geometry)[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_are_read_as_torchvision_reads_them(mode: str, tmp_path: Path) -> None:
    folder = pytest.importorskip("torchvision.datasets.folder")
    path = pictures.write(tmp_path / "a.png", 1, mode="L" if mode == "LA" else mode)
    if mode == "LA":
        Image.open(path).convert("LA").save(path)
    assert np.array_equal(read(path, 3), np.asarray(folder.default_loader(str(path))))


def test_a_palette_with_transparency_and_cmyk(tmp_path: Path) -> None:
    image = Image.open(pictures.write(tmp_path / "a.png", 1)).convert("P")
    image.info["transparency"] = bytes(range(256))
    image.save(tmp_path / "p.png", transparency=bytes(range(256)))
    assert np.array_equal(read(tmp_path / "p.png", 3), np.asarray(image.convert("RGBA").convert("RGB")))
    pictures.write(tmp_path / "c.jpg", 1, mode="CMYK")
    assert read(tmp_path / "c.jpg", 3).shape == (8, 8, 3)


def test_of_sixteen_bits_the_upper_eight(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read(tmp_path / "deep.png", 1)[..., 0], deep >> 8)
    assert np.array_equal(read(tmp_path / "deep.png", 3)[..., 2], deep >> 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photographs_stand_upright(orientation: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    image = Image.open(pictures.write(tmp_path / "a.png", 1, (12, 8)))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "t.png", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "t.png"))
    assert np.array_equal(read(tmp_path / "t.png", 3), np.asarray(upright))


@pytest.mark.parametrize("size", [(40, 30), (30, 41), (17, 33), (64, 64)])
@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_geometry_is_torchvisions_to_the_bit(size: tuple[int, int], how: str, tmp_path: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    path = pictures.write(tmp_path / "a.png", 1, size)
    mode = transforms.InterpolationMode(how)
    wanted = transforms.Compose([transforms.Resize(16, mode), transforms.CenterCrop((14, 11))])
    geometry = Geometry((16,), (14, 11), how)  # type: ignore[arg-type]
    assert np.array_equal(read(path, 3, geometry), np.asarray(wanted(Image.open(path))))
    exact = transforms.Resize((9, 20), mode)
    assert np.array_equal(read(path, 3, Geometry((9, 20), None, how)), np.asarray(exact(Image.open(path))))  # type: ignore[arg-type]


def test_without_antialiasing_it_is_torchs_interpolation(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = pictures.write(tmp_path / "a.png", 1, (40, 30))
    pixels = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].float()
    wanted = torch.nn.functional.interpolate(pixels, (9, 20), mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    assert np.abs(read(path, 3, Geometry((9, 20), antialias=False)) - wanted.numpy()).max() < 1.01  # Pillow rounds down


def test_lazy_images_look_like_an_array(tmp_path: Path) -> None:
    made = data.prepared(str(pictures.folder(tmp_path / "photos", count=20)))
    images = made.train.images
    assert isinstance(images, LazyImages)
    whole = images[:]
    assert (whole.shape, whole.dtype, len(images), images.ndim) == (images.shape, images.dtype, 28, 4)
    assert np.array_equal(images[3], whole[3])
    assert np.array_equal(images[5:9], whole[5:9])
    assert np.array_equal(images[np.array([4, 1, 4])], whole[[4, 1, 4]])
    assert np.array_equal(np.asarray(images.pick(whole[:, 0, 0, 0] > 99)), whole[whole[:, 0, 0, 0] > 99])
    assert np.array_equal(np.concatenate(list(pieces(images, 5))), whole)
    assert images.content != images.pick(slice(1, None)).content


def test_grey_folders_have_one_channel_unless_three_are_wanted(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for number in range(5):
            pictures.write(tmp_path / name / f"{number}.png", number, mode="L")
    assert data.prepared(str(tmp_path)).input_shape == (1, 8, 8)
    assert data.prepared(str(tmp_path), channels=3).input_shape == (3, 8, 8)
    known = Preprocessing((0.5,) * 3, (0.5,) * 3, geometry=Geometry((4,)))
    assert data.prepared(str(tmp_path), known).input_shape == (3, 4, 4)


def test_built_in_images_take_a_geometry_too() -> None:
    made = data.prepared("fashion-mnist-mini@100", geometry=Geometry((16,), (12, 12)))
    assert made.input_shape == (1, 12, 12)
    assert made.train.images[:3].shape == (3, 12, 12, 1)
