"""A file in its host runtime by the same session that devices measure it with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from edgebench.schema.bundle import TensorSpec
from exporters import OpenedArtifact


def opened(runtime: ModuleType, path: Path, shown: str) -> OpenedArtifact:
    """runtime: of the agent. Runs it once on zeros: such files do not say what their outputs are."""
    session = runtime.load(str(path), {"threads": 1, "device": "cpu", "precision": "file"})

    def run(stored: Sequence[Any]) -> Sequence[Any]:
        for place, values in enumerate(stored):
            session.feed(place, values.tobytes())
        session.invoke()
        answers: Sequence[Any] = session.arrays()
        return answers

    import numpy as np

    inputs = tuple(_spec(one["name"], tuple(one["shape"]), one["dtype"]) for one in session.inputs())
    answers = run([np.zeros(one.shape, one.dtype) for one in inputs])
    outputs = tuple(_spec(name, one.shape, one.dtype.name) for name, one in zip(session.outputs, answers, strict=True))
    return OpenedArtifact(inputs, outputs, shown, run)


def _spec(name: str, shape: tuple[int, ...], dtype: str) -> TensorSpec:
    layout: Literal["NCHW", "NC", "any"] = "any"
    if len(shape) == 4 and shape[0] == 1:
        layout = "NCHW"
    elif len(shape) == 2:
        layout = "NC"
    return TensorSpec(name, tuple(map(int, shape)), dtype, layout)
