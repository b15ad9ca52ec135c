"""What a worker reports about its run: threads, processors, nodes that fell back, a GPU's memory."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from device_agents.python import gpu_memory, runtimes, worker
from device_agents.python.meters import nvml
from device_agents.python.process import ModelWorkerProcess
from device_agents.python.runtimes import _onnx_providers, onnxruntime
from device_agents.python.simulation import SimulatedBoard, SimulatedModel
from edgebench import compare, deploy
from edgebench.analysis import verdict
from edgebench.analysis.report import csv, markdown
from edgebench.analysis.report.sections import _facts
from edgebench.device import simulated
from edgebench.errors import UserError
from edgebench.schema import bundle, targets
from edgebench.schema.plan import Plan
from edgebench.schema.record import Memory, Runtime
from edgebench.schema.targets import Target
from tests.support.records import make_record

SIMULATED = targets.load("simulated", Path(__file__).parents[2] / "targets.yaml")

# ------------------------------------------------------------------ threads and processors


def ask_runtime(folder: Path, file: Path, threads: int, cpus: list[int]) -> dict[str, Any]:
    options = {"threads": threads, "device": "cpu", "cpus": cpus}
    with ModelWorkerProcess(folder / "stderr", {"OMP_NUM_THREADS": "1"}) as process:
        process.ask("runtime", 60, name="onnxruntime", folder="", options=options)
        loaded: dict[str, Any] = process.ask("load", 60, path=str(file), options=options)
        return loaded


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_counted_as_the_runtime_started_them(threads: int, relu_bundle: Path, tmp_path: Path) -> None:
    artifact = bundle.load(relu_bundle).artifacts[0]
    loaded = ask_runtime(tmp_path, relu_bundle / artifact.content.file, threads, [])
    assert loaded["runtime"]["threads"] == threads
    assert loaded["runtime"]["cpus"] == sorted(os.sched_getaffinity(0))


def test_a_target_pins_its_worker_and_the_record_says_where_it_ran(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    last = max(os.sched_getaffinity(0))
    here = Target(name="here", transport="local", runtimes=("onnxruntime",), cpus=(last,))
    one, *_ = deploy.deploy(here, deploy.artifacts_at([relu_bundle]), tiny_plan, tmp_path / "results")
    assert (one.runtime.threads, one.runtime.cpus) == (1, (last,))
    assert one.runtime.notes["nodes"] == {"CPUExecutionProvider": 1}
    (row,) = compare.compare([one]).rows
    assert dict(_facts.facts(row))["threads"] == f"1 requested, 1 started, on processors {last}"


def test_a_processor_that_is_not_there_fails_with_its_reason(
    relu_bundle: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    here = Target(name="here", transport="local", runtimes=("onnxruntime",), cpus=(4000,))
    with pytest.raises(UserError, match=r"this device has processors .*, not \[4000\]"):
        deploy.deploy(here, deploy.artifacts_at([relu_bundle]), tiny_plan, tmp_path / "results")


@pytest.mark.parametrize(
    ("runtime", "asked", "said"),
    [
        (Runtime("x", threads=1, cpus=(0,)), 1, None),
        (Runtime("x", threads=4, cpus=(0, 1)), 1, "1 threads were requested, x started 4"),
        (Runtime("x", threads=4, cpus=(2, 3)), 4, "4 threads shared 2 processors"),
        (Runtime("x"), 4, None),
    ],
)
def test_threads_that_are_not_those_asked_for_are_said(runtime: Runtime, asked: int, said: str | None) -> None:
    one = msgspec.structs.replace(make_record(threads=asked), runtime=runtime)
    assert [reason.seen for reason in verdict.judge(one).reasons] == ([said] if said else [])


def test_other_threads_and_processors_are_another_condition() -> None:
    one, other = (
        msgspec.structs.replace(make_record(name), runtime=Runtime("onnxruntime", threads=threads, cpus=cpus))
        for name, threads, cpus in (("a-onnx-fp32", 1, (0,)), ("b-onnx-fp32", 2, (2, 3)))
    )
    row = compare.compare([one, other]).rows[1]
    assert "threads started: 2, baseline 1" in row.differences
    assert "processors: [2, 3], baseline [0]" in row.differences


# ------------------------------------------------------------------ fallback


def test_nodes_that_fall_back_are_counted_and_end_it(relu_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one accelerator of every onnxruntime wheel takes no node at all."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(_onnx_providers.NAMES, "acl", "AzureExecutionProvider")
    monkeypatch.setattr(_onnx_providers, "settings", lambda _: {})
    artifact = bundle.load(relu_bundle).artifacts[0]
    path = str(relu_bundle / artifact.content.file)
    with pytest.raises(runtimes.Fallback, match=r"1 of 1 nodes .* would run on the CPU: Relu 1"):
        onnxruntime.load(path, {"threads": 1, "device": "cpu", "provider": "acl"})


def test_what_falls_back_is_never_timed_and_has_a_remedy_of_its_own(tmp_path: Path, tiny_plan: Plan) -> None:
    board = SimulatedBoard(seed=1)
    models = {
        "good": SimulatedModel(1_000_000, device=board),
        "bad": SimulatedModel(1_000_000, fallback_nodes=3, device=board),
    }
    folder = simulated.write_bundle(tmp_path / "bundle", models)
    good, bad = deploy.deploy(SIMULATED, deploy.artifacts_at([folder]), tiny_plan, tmp_path / "results")
    assert good.rounds and good.runtime.notes == {"nodes": {"simulated": 10}}
    assert not bad.rounds and (bad.outcome.status, bad.outcome.kind) == ("failed", "fallback")
    (reason,) = verdict.judge(bad).reasons
    assert reason.level == "invalid" and "3 of 10 nodes would run elsewhere" in reason.seen
    assert "inspect" in reason.remedy


# ------------------------------------------------------------------ memory

MEMORY = Memory(
    bare={"rss_bytes": 40_000_000},
    loaded={"rss_bytes": 43_000_000},
    running={"rss_bytes": 43_500_000, "high_water_bytes": 44_500_000},
    reset=True,
)


def test_memory_is_shown_in_the_parts_that_it_is_made_of() -> None:
    one = msgspec.structs.replace(make_record(), memory=MEMORY)
    comparison = compare.compare([one])
    assert MEMORY.parts is not None and MEMORY.parts.working_set == 1_500_000
    assert "44.5 MB (40+3.0+1.5)" in markdown.render(comparison)
    header, line = csv.render(comparison).splitlines()
    told = dict(zip(header.split(","), line.split(","), strict=False))
    assert (told["memory_runtime_bytes"], told["memory_weights_bytes"]) == ("40000000", "3000000")
    assert told["gpu_process_bytes"] == ""


def test_memory_that_was_not_told_has_no_parts() -> None:
    assert msgspec.structs.replace(MEMORY, running={"rss_bytes": 1}).parts is None
    assert msgspec.structs.replace(MEMORY, bare={}).parts is None


def test_what_a_gpu_holds_is_said_by_whom() -> None:
    running = MEMORY.running | {"gpu_process_bytes": 512_000_000, "gpu_allocated_high_water_bytes": 3_000_000}
    one = msgspec.structs.replace(make_record(), memory=msgspec.structs.replace(MEMORY, running=running))
    assert "GPU memory 512 MB by its driver, 3.00 MB at most by the allocator" in markdown.render(
        compare.compare([one])
    )


class Driver:
    """The functions of NVML that report the memory of each process, for two GPUs."""

    def __init__(self, held: list[list[tuple[int, int]]], room: int = 64) -> None:
        self._held, self._room = held, room

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self._held)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:
        device._obj.value = 1 + index.value
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, device: Any, count: Any, infos: Any) -> int:
        held = self._held[device.value - 1]
        fits, count._obj.value = len(held) <= count._obj.value, len(held)
        if not fits:
            return 7
        for info, (pid, used) in zip(infos, held, strict=False):
            info.pid, info.usedGpuMemory = pid, used
        return 0


def test_a_process_is_found_on_every_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [(1000 + n, 5) for n in range(100)]
    monkeypatch.setattr(nvml, "_load", lambda: Driver([[(7, 300), (8, 1)], [*many, (7, 20)]]))
    assert gpu_memory.process_bytes(7) == 320
    assert gpu_memory.process_bytes(9) is None, "in a container the driver knows another number"


def test_a_driver_that_does_not_tell_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = ctypes.c_ulonglong(-1).value
    monkeypatch.setattr(nvml, "_load", lambda: Driver([[(7, unknown)]]))
    assert gpu_memory.process_bytes(7) is None
    monkeypatch.setattr(nvml, "_load", lambda: SimpleNamespace(nvmlInit_v2=lambda: 9))
    assert gpu_memory.process_bytes(7) is None


def test_a_worker_adds_what_driver_and_allocator_say(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = worker.ModelWorker()
    holder._device = "cuda"
    resets: list[int] = []
    holder._runtime = SimpleNamespace(
        gpu_allocated=lambda: {"gpu_allocated_bytes": 2, "gpu_allocated_high_water_bytes": 3},
        reset_gpu_high_water=lambda: resets.append(1),
    )
    monkeypatch.setattr(nvml, "_load", lambda: Driver([[(os.getpid(), 300)]]))
    sizes = holder.do_memory()
    assert (sizes["gpu_process_bytes"], sizes["gpu_allocated_high_water_bytes"]) == (300, 3)
    holder.do_reset_high_water()
    assert resets == [1]
    holder._device = "cpu"
    assert "gpu_process_bytes" not in holder.do_memory()
