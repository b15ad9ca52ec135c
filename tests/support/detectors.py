"""A detector that finds squares: images of 64x64 with red, green and blue squares of 8x8, on a grid, and its network.

Each of the 64 cells of 8x8 scores by its mean colour, so its boxes are right wherever the annotations are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def split(folder: Path, train: int, test: int) -> Path:
    """YOLO's folder with the splits train and val; its data.yaml."""
    yolo(folder, train + test)
    for number in range(train + test):
        part = "train" if number < train else "val"
        for name, suffix in (("images", "png"), ("labels", "txt")):
            (folder / name / part).mkdir(exist_ok=True)
            (folder / name / f"{number}.{suffix}").rename(folder / name / part / f"{number}.{suffix}")
    path = folder / "data.yaml"
    path.write_text("train: images/train\nval: images/val\nnames: [red, green, blue]\n")
    return path


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


def network_tflite(path: Path) -> Path:
    """As TFLite, with anchors for cells and a TFLite_Detection_PostProcess. Its input: NHWC, 0 to 1."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import flexbuffers

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, [schema.BufferT()], [graph], []
    graph.tensors, graph.operators = [], []
    cells = (SIDE // CELL) ** 2

    def tensor(name: str, shape: list[int], value: np.ndarray | None = None) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name.encode(), shape, schema.TensorType.FLOAT32
        if value is not None:
            made.type = schema.TensorType.INT32 if value.dtype == np.int32 else schema.TensorType.FLOAT32
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            model.buffers.append(buffer)
            made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(code: int, inputs: list[int], outputs: list[int], custom: str = "") -> Any:
        kind = schema.OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, min(code, 127), 1
        kind.customCode = custom.encode() if custom else None
        model.operatorCodes.append(kind)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(model.operatorCodes) - 1, inputs, outputs
        graph.operators.append(made)
        return made

    image = tensor("image", [1, SIDE, SIDE, 3])
    pooled, rows = tensor("pooled", [1, SIDE // CELL, SIDE // CELL, 3]), tensor("rows", [1, cells, 3])
    scores = tensor("scores", [1, cells, 4])
    pool = operator(schema.BuiltinOperator.AVERAGE_POOL_2D, [image], [pooled])
    pool.builtinOptionsType, pool.builtinOptions = schema.BuiltinOptions.Pool2DOptions, schema.Pool2DOptionsT()
    pool.builtinOptions.padding = schema.Padding.VALID
    for side in ("strideW", "strideH", "filterWidth", "filterHeight"):
        setattr(pool.builtinOptions, side, CELL)
    shape = tensor("shape", [3], np.array([1, cells, 3], np.int32))
    operator(schema.BuiltinOperator.RESHAPE, [pooled, shape], [rows])
    pads = tensor("pads", [3, 2], np.array([[0, 0], [0, 0], [1, 0]], np.int32))
    operator(schema.BuiltinOperator.PAD, [rows, pads], [scores])
    boxes = tensor("boxes", [1, cells, 4], np.zeros((1, cells, 4), np.float32))
    anchors = tensor("anchors", [cells, 4], centres()[:cells, [1, 0, 3, 2]] / np.float32(SIDE))
    results = [tensor("locations", [1, 10, 4]), tensor("classes", [1, 10]), tensor("values", [1, 10]), tensor("n", [1])]
    post = operator(schema.BuiltinOperator.CUSTOM, [boxes, scores, anchors], results, "TFLite_Detection_PostProcess")
    options = {
        "max_detections": 10, "max_classes_per_detection": 1, "num_classes": 3, "nms_score_threshold": 0.01,
        "nms_iou_threshold": 0.5, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    post.customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)
    # In another order than the operator's, as in TensorFlow 2's exports.
    graph.inputs, graph.outputs = [image], [results[2], results[0], results[3], results[1]]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path
