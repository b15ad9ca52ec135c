"""Jobs on a phone whose page a headless Chromium has open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edgebench import deploy
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from edgebench.schema.targets import Target
from tests.support.browser import Person

BUNDLE = Path(__file__).parents[1] / "data/bundle"
PHONE = Target(name="phone", transport="web", runtimes=("onnxruntime-web", "litert-web"))


@pytest.fixture
def person() -> Iterator[Person]:
    somebody = Person()
    yield somebody
    somebody.leave()


ALL = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
# Enough where it is about the connection, and quicker.
TWO = ("onnx-int8", "tflite-int8")


def measure(
    person: Person, plan: Plan, tmp_path: Path, target: Target = PHONE, only: Sequence[str] = TWO
) -> dict[str, Record]:
    sources = [one for one in deploy.artifacts_at([BUNDLE]) if one.artifact.name.endswith(tuple(only))]
    records = deploy.deploy(target, sources, plan, tmp_path / "results", progress=person)
    return {f"{one.artifact.format}-{one.artifact.precision}": one for one in records}


def assert_right(measured: dict[str, Record], rounds_min: int = 3) -> None:
    """Complete, checked, int8 to the bit; the floats as near as another order of additions brings them."""
    assert list(measured) in (list(ALL), list(TWO))
    for name, one in measured.items():
        assert one.outcome.status in ("complete", "budget"), one.outcome
        assert one.golden is not None and one.golden.passed and one.golden.agreement_with_host == 1
        assert one.golden.max_abs_diff is not None
        assert one.golden.max_abs_diff <= (0 if "int8" in name else 1e-5)
        assert len(one.rounds) >= rounds_min and one.warmup and one.load_ns and one.first_inference_ns
        assert one.memory is not None and one.memory.running["wasm_heap_bytes"] >= 1 << 20
        assert one.in_browser and one.target.transport == "web"
        assert one.runtime.name == ("onnxruntime-web" if "onnx" in name else "litert-web")
