"""Processor time: of the machine, of a process, and of others while a job measures."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from device_agents.python import facts, load
from tests.support.machine import Notebook, plant
from tests.support.machine import root as root

TICKS = os.sysconf("SC_CLK_TCK")


def stat(*seconds: float) -> dict[str, str]:
    """/proc/stat with: user nice system idle iowait irq softirq steal guest guest_nice, in s."""
    ticks = " ".join(str(round(second * TICKS)) for second in seconds)
    return {"proc/stat": f"cpu  {ticks}\ncpu0 {ticks}\nintr 12345\n"}


def test_busy_is_everything_but_waiting_and_guests_are_not_counted_twice(root: Path) -> None:
    plant(root, stat(10, 1, 5, 1000, 50, 0.5, 0.25, 3, 7, 0))
    assert facts.machine_cpu_s() == {"busy_s": 16.75, "steal_s": 3}


@pytest.mark.parametrize("content", [None, "", "intr 1\n", "cpu 1 2 3\n"])
def test_a_machine_without_proc_stat_says_nothing_of_its_load(content: str | None, root: Path) -> None:
    if content is not None:
        plant(root, {"proc/stat": content})
    assert facts.machine_cpu_s() == {}
    notebook = Notebook()
    load.journal_load(load.processor_seconds([]), [Measured(1)], notebook)
    assert notebook.lines == []


def test_a_process_is_charged_for_what_it_used_and_a_gone_one_for_nothing() -> None:
    own = os.times()
    assert facts.process_cpu_s(os.getpid()) == pytest.approx(own.user + own.system, abs=0.5)
    assert facts.process_cpu_s(2**22 + 1) == 0


class Measured:
    """An artifact whose worker is the process of that number."""

    def __init__(self, pid: int) -> None:
        self.worker = type("Worker", (), {"pid": pid})
        self.index = pid


def load_of(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: list[Measured],
    after: list[Measured],
    used_s: dict[int, list[float]],
) -> dict[str, Any]:
    """The load of a job during which the machine was busy for 10 s and each worker used its seconds."""
    readings = {pid: iter(seconds) for pid, seconds in used_s.items()}
    monkeypatch.setattr(facts, "process_cpu_s", lambda pid: next(readings[pid], 0.0) if pid in readings else 0.0)
    plant(root, stat(100, 0, 0, 0, 0, 0, 0, 0))
    first = load.processor_seconds(before)
    plant(root, stat(110, 0, 0, 0, 0, 0, 0, 1))
    notebook = Notebook()
    load.journal_load(first, after, notebook)
    found: dict[str, Any] = notebook.lines[0]["load"]
    return found


def test_the_load_of_a_job_is_what_changed_while_it_measured(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Measured(101), Measured(102)
    found = load_of(root, monkeypatch, [one, two], [one, two], {101: [2, 7], 102: [1, 5]})
    assert (found["own_s"], found["busy_s"], found["steal_s"]) == pytest.approx((9, 10, 1))
    assert found["wall_s"] >= 0


def test_a_worker_that_broke_meanwhile_does_not_count_as_another_program(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had used 6 s in its warm-up; afterwards it is one of the children that have ended."""
    one, two = Measured(101), Measured(102)
    ended = iter([SimpleNamespace(ru_utime=0.0, ru_stime=0.0), SimpleNamespace(ru_utime=5.5, ru_stime=0.5)])
    monkeypatch.setattr(load.resource, "getrusage", lambda who: next(ended))
    found = load_of(root, monkeypatch, [one, two], [one], {101: [2, 11], 102: [6]})
    assert found["own_s"] == pytest.approx(9)
