"""A detector that finds squares: images of 64x64 with red, green and blue squares of 8x8, on a grid, and its network.

Each of the 64 cells of 8x8 scores by its mean colour, so its boxes are right wherever the annotations are.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, CELL, CLASSES = 64, 8, 3
NAMES = ("red", "green", "blue")
# Of the strides 16 and 32: as many rows as such a network has, of which none ever scores.
EMPTY = (SIDE // 16) ** 2 + (SIDE // 32) ** 2


def scene(seed: int, squares: int = 4) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """An image, and (row, column, class) of its squares."""
    random = np.random.default_rng(seed)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    found = []
    for cell in random.choice((SIDE // CELL) ** 2, squares, replace=False):
        row, column, kind = int(cell) // CELL, int(cell) % CELL, int(random.integers(CLASSES))
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL, kind] = 255
        found.append((row, column, kind))
    return image, found


def coco(folder: Path, images: int, *, scale: int = 1, shift: float = 0.0) -> Path:
    """`images` scenes, enlarged `scale` times, with boxes shifted to the right by that much of their width."""
    (folder / "images").mkdir(parents=True)
    content: dict[str, list[dict[str, object]]] = {
        "images": [], "annotations": [],
        "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES, 1)],
    }  # fmt: skip
    side = SIDE * scale
    for number in range(images):
        pixels, squares = scene(number)
        large = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
        large.save(folder / "images" / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png", "width": side, "height": side})
        for row, column, kind in squares:
            size = CELL * scale
            left = min(column * size + shift * size, side - size)
            content["annotations"].append({
                "id": len(content["annotations"]), "image_id": number, "category_id": kind + 1, "iscrowd": 0,
                "bbox": [left, row * size, size, size], "area": size * size,
            })  # fmt: skip
    path = folder / "val.json"
    path.write_text(json.dumps(content))
    return path


def yolo(folder: Path, images: int) -> Path:
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(images):
        pixels, squares = scene(number)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        lines = [
            f"{kind} {(column + 0.5) * CELL / SIDE} {(row + 0.5) * CELL / SIDE} {CELL / SIDE} {CELL / SIDE}"
            for row, column, kind in squares
        ]
        (folder / "labels" / f"{number}.txt").write_text("\n".join(lines) + "\n")
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n")
    return folder


def centres() -> np.ndarray:
    """float32 [cells, 4]: centre and size of each cell, and of the empty ones."""
    rows, columns = np.mgrid[: SIDE // CELL, : SIDE // CELL]
    cells = np.stack([(columns.ravel() + 0.5) * CELL, (rows.ravel() + 0.5) * CELL], 1)
    whole = np.concatenate([cells, np.full((EMPTY, 2), SIDE / 2)])
    return np.concatenate([whole, np.full_like(whole, CELL)], 1).astype(np.float32)


def network(path: Path) -> Path:
    """As ONNX, in the layout of YOLOv8: [1, 7, 84]. Its input: 0 to 1."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "boxes": centres().T[None],
        "empty": np.zeros((1, CLASSES, EMPTY), np.float32),
        "shape": np.array([1, CLASSES, -1], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
        helper.make_node("Concat", ["flat", "empty"], ["scores"], axis=2),
        helper.make_node("Concat", ["boxes", "scores"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "squares",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + CLASSES, len(centres())])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
