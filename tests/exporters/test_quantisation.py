"""INT8: the choice between candidates, by their answers and then by speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebench.errors import UserError
from edgebench.export import ExportOptions, export
from edgebench.schema import tensors
from exporters import ConvertedFile, Scheme
from exporters.pipeline.candidates import Candidate, fastest

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.standard_normal((1, 1000)).astype(np.float32)


def candidate(agreement: float, latency_s: float, name: str) -> Candidate:
    return Candidate(ConvertedFile("int8", name, Scheme("mse")), agreement, 0.9, latency_s)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([(0.98, 9.0, "slow"), (0.98, 6.0, "fast")], "fast"),
        ([(0.98, 9.0, "right"), (0.97, 6.0, "wrong")], "right"),
        ([(0.9795, 9.0, "slow"), (0.98, 6.0, "fast"), (0.9791, 5.0, "faster")], "faster"),
        ([(0.98, 9.0, "first"), (0.98, 8.9, "hardly faster")], "first"),
    ],
)
def test_answers_decide_then_speed(given: list[tuple[float, float, str]], wanted: str) -> None:
    assert fastest([candidate(*one) for one in given]).made.file == wanted


def test_divergence_is_zero_for_equal_probabilities_and_grows() -> None:
    reference = RANDOM.standard_normal((100, 10)).astype(np.float32)
    assert tensors.divergence(reference + 5, reference) == pytest.approx(0, abs=1e-6)
    near, far = (
        tensors.divergence(reference + NORMAL[0, :1000].reshape(100, 10) * size, reference) for size in (0.1, 1)
    )
    assert 0 < near < far


@pytest.mark.parametrize("drop", [-0.1, 100, float("nan")])
def test_a_drop_that_is_none_is_told_before_any_work(drop: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--max-drop"):
        export(tmp_path / "nothing.safetensors", ExportOptions(max_drop_points=drop))
