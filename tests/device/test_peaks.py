"""The probe of what a device can do at most."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_agents.python import peaks, runtimes
from tools import make_peak_models


def test_its_networks_are_those_that_the_tool_makes() -> None:
    assert make_peak_models.WRITTEN.read_text() == make_peak_models.source()


def test_int8_and_float_are_those_of_the_runtime_and_what_it_cannot_do_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peaks, "MOST_COPIED", 1 << 24)
    one, two, *_ = peaks.probe(runtimes.module("onnxruntime"), {"threads": 2, "device": "cpu"}, str(tmp_path), 0.01)
    assert (one["threads"], two["threads"]) == (1, 2) and one["float_flops"]["best"] > 1e8
    for runtime, library in (("torch", "torch"), ("ncnn", "ncnn"), ("mnn", "_mnncengine")):
        pytest.importorskip(library)
        own, *_ = peaks.probe(runtimes.module(runtime), {"threads": 1, "device": "cpu"}, str(tmp_path), 0.01)
        assert own["float_flops"]["best"] > 1e8 and "int8_ops" not in own and not list(tmp_path.iterdir())
    for elsewhere, device in (("onnxruntime", "cuda"), ("simulated", "cpu")):
        assert peaks.probe(runtimes.module(elsewhere), {"threads": 1, "device": device}, str(tmp_path), 0.01) == []


def test_it_is_probed_as_the_target_computes_with_one_thread_its_own_and_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peaks, "copy_rate", lambda threads, seconds: {})
    monkeypatch.setattr(peaks.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    asked = []

    class Runtime:
        @staticmethod
        def product(kind: str, size: int, options: dict[str, object], scratch: Path) -> None:
            asked.append((kind, options))

        __name__ = "any"

    options = {"threads": 2, "device": "cpu", "provider": "xnnpack", "precision": "fast"}
    found = peaks.probe(Runtime(), options, str(tmp_path), 0.01)  # type: ignore[arg-type]
    assert [one["threads"] for one in found] == [1, 2, 4]
    assert asked == [(kind, {**options, "threads": count}) for count in (1, 2, 4) for kind in ("float", "int8")]


def test_a_rate_is_the_best_and_its_spread_says_how_far_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0, 10, 100, 120, 200, 240])
    monkeypatch.setattr(peaks.time, "perf_counter_ns", lambda: next(clock))
    monkeypatch.setattr(peaks, "MOST_REPEATS", 3)
    found = peaks._rate(lambda: None, 100, "so", 1.0)
    assert (found["best"], found["spread"], found["repeats"]) == (1e10, 0.5, 3)
