"""Keras files (.keras, .h5) and SavedModel folders. Only for worker processes: TensorFlow is imported.

Keras' safe mode refuses layers that contain code. A SavedModel is a graph, and its operators could read and write
files: one with such operators is not loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from edgebench.errors import BadFile, UserError
from edgebench.modelfile.feeding import written
from edgebench.schema.bundle import TensorSpec
from exporters import IsolatedModel
from exporters.sources.model_summary import ModelSummary

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
        inputs, outputs = _saved_ports(path)
        converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(path), signature_keys=[SIGNATURE])
    else:
        model = _keras_model(path)
        inputs = [_port(path, one.name, one.shape, one.dtype, isolated.inputs) for one in model.inputs]
        outputs = [_port(path, name, _sizes(one.shape), one.dtype) for name, one in _outputs(model)]
        if any(None in one.shape[1:] for one in model.inputs):
            converter = _of_fixed_sizes(model, inputs)
        else:
            converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    Path(isolated.held).write_bytes(converter.convert())
    return _counted(Path(isolated.held), tuple(inputs), tuple(outputs), _sha256(path))


def _of_fixed_sizes(model: Any, inputs: Sequence[TensorSpec]) -> Any:
    """A converter of a network that leaves sizes open."""
    import keras
    import tensorflow

    ports = [keras.Input(one.shape[1:], batch_size=one.shape[0], dtype=one.dtype, name=one.name) for one in inputs]
    fixed = keras.Model(ports, model(ports[0] if len(ports) == 1 else ports))
    return tensorflow.lite.TFLiteConverter.from_keras_model(fixed)


def _outputs(model: Any) -> Iterator[tuple[str, Any]]:
    yield from zip(_names(model), model.outputs, strict=True)


def _names(model: Any) -> list[str]:
    names = list(getattr(model, "output_names", ()))
    return names if len(names) == len(model.outputs) else [f"output_{place}" for place in range(len(model.outputs))]


def _several(answer: Any) -> list[Any]:
    if isinstance(answer, dict):
        return list(answer.values())
    return list(answer) if isinstance(answer, tuple | list) else [answer]


def _counted(
    converted: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], sha256: str
) -> ModelSummary:
    from exporters.inspect import counting, tflite_reader

    graph = tflite_reader.read(converted)
    counted = counting.network(graph, frozenset())
    unique = {weight.name: weight for step in graph.steps for weight in step.weights}.values()
    return ModelSummary(
        inputs=inputs,
        outputs=outputs,
        parameters=counted.parameters,
        macs=counted.macs,
        zeros=sum(weight.zeros or 0 for weight in unique),
        sha256=sha256,
    )


def network(isolated: IsolatedModel) -> Callable[[Sequence[Any]], list[Any]]:
    """A function from an array for each input to one for each output."""
    import tensorflow

    path = Path(isolated.source)
    if path.is_dir():
        loaded = tensorflow.saved_model.load(str(path))  # the signature's tensors live only as long as this
        signature = loaded.signatures[SIGNATURE]

        outputs = sorted(signature.structured_outputs)  # their own order changes from process to process

        def run(given: Sequence[Any], _alive: Any = loaded) -> Any:
            names = [spec.name for spec in isolated.inputs]
            return signature(**dict(zip(names, given, strict=True)))
    else:
        model = _keras_model(path)
        outputs = _names(model)

        def run(given: Sequence[Any], _alive: Any = None) -> Any:
            return model(given[0] if len(given) == 1 else list(given), training=False)

    def answers(given: Sequence[Any]) -> list[Any]:
        answer = run([tensorflow.constant(one) for one in given])
        # A dictionary has an order of its own.
        found = [answer[name] for name in outputs] if isinstance(answer, dict) else _several(answer)
        return [one.numpy() for one in found]

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


def _saved_ports(path: Path) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs of its signature."""
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
    inputs = sorted(signature.structured_input_signature[1].items())
    return (
        [_port(path, name, spec.shape, spec.dtype.name) for name, spec in inputs],
        [
            _port(path, name, _sizes(spec.shape), spec.dtype.name)
            for name, spec in sorted(signature.structured_outputs.items())
        ],
    )


def _first_sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0][:200]


def _nodes(held: Any) -> Any:
    """The nodes of a graph, or of a function in it."""
    return held.node if hasattr(held, "node") else held.node_def


def _sizes(shape: Sequence[int | None]) -> list[int]:
    """Of an output: those that follow from the inputs' count as 1."""
    return [size or 1 for size in shape]


def _port(
    path: Path, name: str, shape: Sequence[int | None], dtype: str, given: Sequence[TensorSpec] = ()
) -> TensorSpec:
    """One input or output, with a batch of 1. given: what the user wants of inputs that leave sizes open.

    Raises UserError for sizes that stay open.
    """
    wanted = next((one.shape for one in given if one.name in ("", name)), None)
    sizes = [1 if size is None and not axis else size for axis, size in enumerate(shape)]
    if wanted is not None:
        fits = len(wanted) == len(sizes) and all(own in (None, size) for own, size in zip(sizes, wanted, strict=True))
        if not fits:
            seen = f"{written(wanted)} does not fit its input '{name}', {list(shape)}"
            raise UserError("--shape", seen, "Give a size for each axis, and change only those that are open")
        sizes = list(wanted)
    if None in sizes:
        raise UserError(
            str(path), f"its input {list(shape)} leaves sizes open", f"Choose them: --shape {name}=1x224x224x3"
        )
    fixed = tuple(int(size) for size in sizes if size is not None)
    layout: Literal["NHWC", "NC", "any"] = "any"
    if fixed and fixed[0] == 1:
        layout = "NHWC" if len(fixed) == 4 and "float" in dtype else "NC" if len(fixed) == 2 else "any"
    return TensorSpec(name, fixed, dtype, layout)


def _sha256(path: Path) -> str:
    """Hash of a file, or of all files in a folder with their names."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
