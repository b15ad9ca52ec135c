"""The benchmarks' building blocks work; nothing here says how fast anything is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import agent_cost, overhead
from benchmarks.models import RUNTIMES, Model, input_file
from benchmarks.overhead import Effort
from edgebench.plan import Plan

SHORT = Effort(pairs=1, rounds=2, round_s=0.005, warmup_s=0.01)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc to compile the native loops with")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_worker_and_native_loop_answer_alike_and_are_timed(runtime: str, models: Path) -> None:
    pytest.importorskip({"litert": "ai_edge_litert"}.get(runtime, runtime))
    model = Model("relu", runtime, models / f"relu{RUNTIMES[runtime]}", input_file("float32", 1))
    measured = overhead.measure(model, SHORT)
    assert len(measured.rounds) == 2
    assert all(round_.worker_ns > 0 and round_.native_ns > 0 for round_ in measured.rounds)
    assert overhead.row(measured)[:2] == [runtime, "relu"]


def test_loops_that_answer_differently_are_not_compared(models: Path) -> None:
    model = Model("relu", "onnxruntime", models / "relu.onnx", input_file("float32", 1))
    with pytest.raises(RuntimeError, match="answer differently"):
        overhead.check_same_answer(model, [1.0, 2.0], [1.0, 2.1])


def test_a_second_deploy_sends_no_file(models: Path, tiny_plan: Plan, tmp_path: Path) -> None:
    model = models / "relu.onnx"
    sent = [agent_cost.Deploy([model], tiny_plan, tmp_path / "results").sent_bytes() for _ in range(2)]
    assert sent == [model.stat().st_size, 0]
