"""The benchmarks' building blocks work; nothing here says how fast anything is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import agent_cost, compare, overhead, peer_tools, report, right
from benchmarks.models import RUNTIMES, Model, input_file
from benchmarks.overhead import Effort
from edgebench.errors import UserError
from edgebench.schema.plan import Plan
from edgebench.train import train

SHORT = Effort(pairs=1, rounds=2, round_s=0.005, warmup_s=0.01)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc to compile the native loops with")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_worker_and_native_loop_answer_alike_and_are_timed(runtime: str, models: Path) -> None:
    pytest.importorskip({"litert": "ai_edge_litert"}.get(runtime, runtime))
    model = Model("relu", runtime, models / f"relu{RUNTIMES[runtime]}", input_file("float32", 1))
    if runtime == "ncnn":
        model.path.write_text("7767517\n2 2\nInput x 0 1 x 0=1\nReLU y 1 1 x y\n")
        model.path.with_suffix(".bin").write_bytes(b"")
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


# ------------------------------------------------------------------ against the tools


def test_a_row_is_printed_before_the_next_is_made_and_a_failed_network_keeps_none_waiting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*, folder: Path) -> Iterator[tuple[list[str], bool]]:
        assert folder.is_dir()
        yield ["first", "onnx", "1.0"], False
        assert "| first" in capsys.readouterr().out
        raise UserError("second", "it has no weights", "Train it")

    def goes_on(*, folder: Path) -> Iterator[tuple[list[str], bool]]:
        yield ["third", "onnx", "2.0"], True

    states = list(report.printed(("network", "format", "file"), (9, 6, 9), {"second": fails, "third": goes_on}))
    assert states == [False, None, True]
    out = capsys.readouterr().out
    assert "| second    | failed | second: it has no weights. Train it |" in out
    assert "| third     | onnx   | 2.0       |" in out


@pytest.mark.parametrize("accuracy_lost", [0.0, 0.5])
def test_what_ours_are_asked_for_is_told_in_their_rows(
    accuracy_lost: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    source = train("mlp-small", "fashion-mnist-mini", epochs=1, out=tmp_path / "mlp.safetensors").path
    broken = UserError("the step onnx-int8", "no module named x", "pip install x")
    tools = [peer_tools.Tool("a tool", "onnx", tmp_path / "none.onnx", broken)]
    monkeypatch.setattr(peer_tools, "make_int8", lambda *_: iter(tools))
    monkeypatch.setattr(right, "PLUGINS", ("onnx",))
    monkeypatch.setattr(right, "LARGEST_DROP", 0.003 - accuracy_lost)
    failed, float32, int8 = right.rows(source, max_drop_points=None, folder=tmp_path)
    assert failed == (["mlp", "onnx", "a tool", "not made", "no module named x", "", "", "", ""], True)
    assert float32[1]
    assert float32[0][-1] == "100%, 1e-4: holds"
    assert int8[1] == (accuracy_lost == 0)
    assert int8[0][2] == "edgebench int8"
    assert int8[0][-1] == f"-0.3, -0.1: {'MISSED' if accuracy_lost else 'holds'}"


def test_comparing_made_up_records_is_timed_in_a_process_of_its_own(tmp_path: Path) -> None:
    compare.make(tmp_path, compare.Size(3, 6, 20, seconds=1.0, bytes=1e9))
    taken = compare.run(compare.HERE, tmp_path, tmp_path / "cache", html=False)
    assert len(list((tmp_path / "desktop-cpu").glob("*.json"))) == 3
    assert taken.cpu_s > 0 and taken.memory_bytes > 10_000_000
