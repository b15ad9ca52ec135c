"""Keras files (.keras, .h5) and SavedModel folders. Only for worker processes: TensorFlow is imported.

Keras' safe mode refuses layers that contain code. A SavedModel is a graph, and its operators could read and write
files: one with such operators is not loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import BadFile, UserError
from exporters import IsolatedModel
from exporters.sources.model_summary import ModelSummary

if TYPE_CHECKING:
    from edgebench.schema.arrays import Float32Array

SUFFIXES = (".keras", ".h5")
SAVED_MODEL = "saved_model.pb"
SIGNATURE = "serving_default"
TOUCHES_FILES = ("ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc")


def look(isolated: IsolatedModel) -> ModelSummary:
    """Convert it to float32 TFLite, from which all precisions are made, and count on that: normalisations are folded.

    Raises UserError for what export cannot start from.
    """
    import tensorflow

    path = Path(isolated.source)
    if path.is_dir():
        shapes = _saved_shapes(path)
        converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(path), signature_keys=[SIGNATURE])
    else:
        model = _keras_model(path)
        shapes = [tuple(one.shape) for one in (*model.inputs, *model.outputs)]
        converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    height, width, channels = _image(path, shapes)
    Path(isolated.held).write_bytes(converter.convert())
    return _counted(Path(isolated.held), (channels, height, width), _sha256(path))


def _counted(converted: Path, input_shape: tuple[int, int, int], sha256: str) -> ModelSummary:
    from exporters.inspect import counting, tflite_reader

    graph = tflite_reader.read(converted)
    counted = counting.network(graph, frozenset())
    unique = {weight.name: weight for step in graph.steps for weight in step.weights}.values()
    return ModelSummary(
        input_shape=input_shape,
        parameters=counted.parameters,
        macs=counted.macs,
        zeros=sum(weight.zeros or 0 for weight in unique),
        sha256=sha256,
    )


def network(isolated: IsolatedModel) -> Callable[[Float32Array], Float32Array]:
    import tensorflow

    path = Path(isolated.source)
    if path.is_dir():
        loaded = tensorflow.saved_model.load(str(path))  # the signature's tensors live only as long as this
        signature = loaded.signatures[SIGNATURE]
        (name,) = signature.structured_input_signature[1]

        def run(images: Any, _alive: Any = loaded) -> Any:
            (answer,) = signature(**{name: images}).values()
            return answer
    else:
        model = _keras_model(path)

        def run(images: Any, _alive: Any = None) -> Any:
            return model(images, training=False)

    def answers(images: Float32Array) -> Float32Array:
        result: Float32Array = run(tensorflow.constant(images.transpose(0, 2, 3, 1))).numpy()
        return result

    return answers


def _keras_model(path: Path) -> Any:
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zipfile, h5py and Keras raise their own
        raise BadFile(
            str(path),
            f"Keras cannot load it without running code from it ({_first_sentence(error)})",
            "Export it from your own code as a SavedModel: model.export(FOLDER)",
        ) from error


def _saved_shapes(path: Path) -> list[tuple[int | None, ...]]:
    """The shapes of all inputs, then of all outputs."""
    import tensorflow
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        stored = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL).read_bytes())
        graphs = [one.graph_def for one in stored.meta_graphs]
        nodes = [node for graph in graphs for held in (graph, *graph.library.function) for node in _nodes(held)]
        touching = sorted({node.op for node in nodes} & set(TOUCHES_FILES))
        if touching:
            raise BadFile(
                str(path),
                f"it contains the operator {touching[0]}, which accesses files",
                "Save it without that operator",
            )
        signatures = tensorflow.saved_model.load(str(path)).signatures
    except UserError:
        raise
    except Exception as error:  # protobuf and TensorFlow raise their own
        raise BadFile(str(path), f"TensorFlow cannot load it ({_first_sentence(error)})", "Save it again") from error
    if SIGNATURE not in signatures:
        raise BadFile(str(path), f"it has no signature '{SIGNATURE}'", "Save it with model.export(FOLDER)")
    signature = signatures[SIGNATURE]
    specs = (*signature.structured_input_signature[1].values(), *signature.structured_outputs.values())
    return [tuple(spec.shape) for spec in specs]


def _first_sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0][:200]


def _nodes(held: Any) -> Any:
    """The nodes of a graph, or of a function in it."""
    return held.node if hasattr(held, "node") else held.node_def


def _image(path: Path, shapes: list[tuple[int | None, ...]]) -> tuple[int, int, int]:
    """(height, width, channels). Raises UserError for anything but a classifier of images of one size."""
    if len(shapes) != 2 or len(shapes[0]) != 4 or len(shapes[1]) != 2:
        raise UserError(
            str(path),
            f"its inputs and outputs are {', '.join(str(list(shape)) for shape in shapes)}",
            "Export reads image classifiers: [N, H, W, C] in, [N, classes] out",
        )
    _, height, width, channels = shapes[0]
    if height is None or width is None or channels is None:
        raise UserError(
            str(path), f"its input {list(shapes[0])} leaves sizes open", "Save it with fixed sizes: keras.Input"
        )
    return height, width, channels


def _sha256(path: Path) -> str:
    """Hash of a file, or of all files in a folder with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
