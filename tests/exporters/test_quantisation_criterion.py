"""INT8: what its candidates are compared by, where the images may have trained the network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exporters
from edgebench.export import ExportOptions, export
from edgebench.networks import data
from edgebench.schema.history import Metrics
from edgebench.train import train
from exporters import ConvertedFile, Scheme
from exporters.pipeline.candidates import Candidate, described, fastest
from exporters.pipeline.criterion import AGREEMENT, DIVERGENCE, Criterion, choose_criterion, is_more
from exporters.pipeline.samples import Samples
from exporters.pipeline.summary import candidates, doubts

BY_DIVERGENCE = Criterion("divergence", "as the images trained it")


@pytest.mark.parametrize(
    ("first", "second", "counts", "wanted"),
    [
        (1.0, 0.86, (500, 2000), True),
        (0.90, 0.86, (500, 2000), False),  # 2.4 standard errors
        (0.92, 0.86, (500, 2000), True),
        (0.92, 0.86, (100, 300), False),
        (0.80, 0.86, (500, 2000), False),
        (1.0, 1.0, (500, 2000), False),
        (0.0, 0.0, (10, 10), False),
    ],
)
def test_more_often_right_than_chance_explains(
    first: float, second: float, counts: tuple[int, int], wanted: bool
) -> None:
    assert is_more(first, second, *counts) == wanted


def samples(right: float, count: int) -> Samples:
    reference = np.eye(2, dtype=np.float32)[(np.arange(count) >= right * count).astype(int)]
    return Samples(Path("x.npy"), None, (reference,), np.arange(1), (), (), np.zeros(count, np.int64))


@pytest.mark.parametrize(
    ("kind", "dataset", "validation", "wanted", "words"),
    [
        ("checkpoint", "mini", 0.86, "agreement", "was not trained on these images"),
        ("checkpoint", "mini", 1.0, "divergence", "100.00% on these images and 85.00% on the test images"),
        ("checkpoint", "other", 0.86, "divergence", "it was trained on other, which may contain these images"),
        ("onnx", "", 0.86, "divergence", "it is not known whether the network was trained on mini"),
        ("module", "", 0.86, "divergence", "it is not known"),
        ("keras", "", 0.86, "divergence", "it is not known"),
    ],
)
def test_by_what_files_are_chosen_and_why(kind: Any, dataset: str, validation: float, wanted: str, words: str) -> None:
    @dataclasses.dataclass
    class Given:
        kind: str
        source: dict[str, str]
        tested: Metrics

    given = Given(kind, {"dataset": dataset}, Metrics(accuracy=0.85, loss=0.4, test_images=2000))
    found = choose_criterion(given, "mini", samples(validation, 500))  # type: ignore[arg-type]
    assert found.kind == wanted
    assert words in found.why


def candidate(agreement: float, divergence: float, latency_s: float, name: str) -> Candidate:
    return Candidate(ConvertedFile("int8", name, Scheme("mse")), agreement, 0.9, latency_s, divergence)


def test_the_closest_answers_decide_then_speed() -> None:
    wrong, right, near = (
        candidate(1.0, 5e-3, 4.0, "far"), candidate(1.0, 1e-3, 6.0, "close"), candidate(0.99, 1.05e-3, 5.0, "as close"),
    )  # fmt: skip
    assert fastest([right, wrong, near], BY_DIVERGENCE) is near
    assert fastest([right, wrong, near], AGREEMENT) is wrong
    assert described(right, BY_DIVERGENCE, chosen=True) == "divergence 1.0e-03, agreement 100.00%, 6e+03 ms, chosen"
    assert min((wrong, right, near), key=lambda one: one.loss(BY_DIVERGENCE)) is right


@pytest.mark.export
def test_a_network_that_knows_the_validation_images_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("torch", "onnx", "onnxruntime"):
        if not exporters.importlib.util.find_spec(library):
            pytest.skip(f"needs {library}")
    full = data.load("fashion-mnist-mini")
    with monkeypatch.context() as patch:
        patch.setattr(data, "load", lambda name: dataclasses.replace(full, train=full.validation))
        learnt = train("mlp-small", epochs=60, out=tmp_path / "learnt.safetensors")
    (artifact,) = export(learnt.path, ExportOptions(formats=["onnx-int8"]), out=tmp_path / "out").bundle.artifacts
    assert artifact.notes["chosen_by"].startswith(DIVERGENCE)
    assert "it seems to have been trained on them" in artifact.notes["chosen_by"]
    lines = candidates(artifact)
    assert all("divergence" in line for line in lines)
    divergences = [float(line.partition("divergence ")[2].partition(",")[0]) for line in lines]
    chosen = next(index for index, line in enumerate(lines) if line.endswith("chosen"))
    assert divergences[chosen] == min(divergences)
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("  chosen by the divergence") for line in doubts(artifact))
