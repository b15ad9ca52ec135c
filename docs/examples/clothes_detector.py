"""A small detector in plain torch: it finds trousers, sneakers and bags (Fashion-MNIST) on grey canvases of 96 x 96.

    python clothes_detector.py      makes clothes.pth, clothes/ (120 test images, annotations in COCO's format), and
                                    samples.npz (images for INT8's ranges)

Training takes about a minute on two cores. `make` is the network, for edgebench and for whoever else wants it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SIDE, CELL = 96, 8
CELLS = SIDE // CELL
BATCH = 24
NAMES = {1: "trouser", 7: "sneaker", 8: "bag"}  # by their labels in Fashion-MNIST


class Detector(nn.Module):
    """One stage, no anchors: a cell of 8 x 8 pixels says where the object is whose centre it holds, and what it is."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1)):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(64, 4 + len(NAMES), 1)
        nn.init.constant_(self.head.bias[4:], -4.0)  # most cells hold nothing
        rows, columns = torch.meshgrid(torch.arange(CELLS), torch.arange(CELLS), indexing="ij")
        self.register_buffer("corner", torch.stack([columns, rows])[None] / CELLS)

    def raw(self, images: Tensor) -> Tensor:
        return self.head(self.body(images))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[1, 3, 96, 96], 0 to 1 -> corners [1, cells, 4] in shares of the image, scores [1, cells, classes].

        Two outputs, as each gets a scale of its own in INT8.
        """
        raw = self.raw(images)
        box = raw[:, :4].sigmoid()
        centre, half = box[:, :2] / CELLS + self.corner, box[:, 2:] / 2
        corners = torch.cat([centre - half, centre + half], 1)
        return corners.flatten(2).transpose(1, 2), raw[:, 4:].flatten(2).transpose(1, 2)


def make() -> nn.Module:
    return Detector()


def scene(clothes: dict[int, np.ndarray], random: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """A canvas, and (class, left, top, width, height) of what is on it: one to three pieces that do not overlap."""
    canvas = np.full((SIDE, SIDE), random.integers(20, 90), np.float32) + random.normal(0, 8, (SIDE, SIDE))
    taken, found = np.zeros((SIDE, SIDE), bool), []
    for _ in range(random.integers(1, 4)):
        number = int(random.integers(len(NAMES)))
        pieces = clothes[number]
        piece = torch.from_numpy(pieces[random.integers(len(pieces))])[None, None].float()
        size = int(random.integers(24, 41))
        piece = functional.interpolate(piece, (size, size), mode="bilinear").numpy()[0, 0]
        rows, columns = np.flatnonzero((piece > 30).any(1)), np.flatnonzero((piece > 30).any(0))
        piece = piece[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        height, width = piece.shape
        top, left = (int(random.integers(0, SIDE - side + 1)) for side in (height, width))
        place = (slice(top, top + height), slice(left, left + width))
        if not taken[place].any():
            taken[place] = True
            canvas[place] = np.where(piece > 30, piece, canvas[place])
            found.append((number, left, top, width, height))
    return np.repeat(canvas.clip(0, 255).astype(np.uint8)[..., None], 3, 2), found


def scenes(split: str, count: int, seed: int) -> tuple[np.ndarray, list[list[tuple[int, ...]]]]:
    from edgebench.networks import data

    images = getattr(data.load("fashion-mnist-mini"), split)
    clothes = {place: images.images[images.labels == label][..., 0] for place, label in enumerate(NAMES)}
    random = np.random.default_rng(seed)
    canvases, found = zip(*(scene(clothes, random) for _ in range(count)), strict=True)
    return np.stack(canvases), list(found)


def targets(found: list[list[tuple[int, ...]]]) -> tuple[Tensor, Tensor]:
    """What `raw` should say after its sigmoid: boxes [N, 4, cells, cells], NaN where no centre is; classes."""
    boxes = torch.full((len(found), 4, CELLS, CELLS), torch.nan)
    classes = torch.zeros(len(found), len(NAMES), CELLS, CELLS)
    for one, pieces in enumerate(found):
        for number, left, top, width, height in pieces:
            x, y = (left + width / 2) / CELL, (top + height / 2) / CELL
            row, column = min(int(y), CELLS - 1), min(int(x), CELLS - 1)
            boxes[one, :, row, column] = torch.tensor([x - column, y - row, width / SIDE, height / SIDE])
            classes[one, number, row, column] = 1
    return boxes, classes


def train(network: Detector, count: int = 1200, epochs: int = 10) -> None:
    images, found = scenes("train", count, seed=0)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    boxes, classes = targets(found)
    batches = [torch.arange(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * len(batches))
    for epoch in range(epochs):
        total = 0.0
        for batch in batches:
            raw = network.raw(pixels[batch] / 255)
            here = ~boxes[batch].isnan()
            where = (raw[:, :4].sigmoid()[here] - boxes[batch][here]).abs().mean()
            what = functional.binary_cross_entropy_with_logits(raw[:, 4:], classes[batch], reduction="sum") / len(batch)
            loss = 5 * where + what
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() / len(batches)
        print(f"epoch {epoch + 1} of {epochs}: loss {total:.3f}", flush=True)


def write(folder: Path, count: int = 120) -> None:
    """Test images of pieces that were not trained on, and their boxes in COCO's format."""
    from PIL import Image

    images, found = scenes("test", count, seed=1)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    annotations = [
        {"image_id": image, "category_id": number, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for image, pieces in enumerate(found)
        for number, *box in pieces
    ]
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE} for n in range(count)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES.values())],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, 1)],
    }
    (folder / "test.json").write_text(json.dumps(content))


if __name__ == "__main__":
    torch.manual_seed(0)
    made = Detector()
    train(made)
    torch.save(made.state_dict(), "clothes.pth")
    write(Path("clothes"))
    # As the network is fed, by the name of forward's argument: INT8 takes its ranges from these.
    canvases, _ = scenes("train", 200, seed=2)
    np.savez("samples.npz", images=np.float32(canvases.transpose(0, 3, 1, 2)) / 255)
