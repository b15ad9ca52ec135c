"""What the page shows about a job, made from the journal's events."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from device_agents.python import series
from device_agents.python.journal import Journal

_STEPS = {"loaded": "checking its outputs", "golden": "outputs are right", "memory": "memory is measured",
          "warmup": "warming up", "warm": "warm"}  # fmt: skip


class JobDisplay:
    """Written by the thread of the job, read by HTTP threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: list[str] = []
        self.ended()

    def started(self, names: list[str], rounds_min: int) -> None:
        with self._lock:
            self._names = names
            self._rounds_min = rounds_min
            self._notes = ["waiting"] * len(names)
            self._failed = [False] * len(names)
            self._medians: list[list[float]] = [[] for _ in names]
            self._state = ("good", "Measuring", "Keep this page in front, and do not use the phone.")

    def ended(self, status: str = "") -> None:
        with self._lock:
            said = {
                "": ("calm", "Connected", "Waiting for work from edgebench."),
                "done": ("good", "Done", "The results are on the computer."),
                "budget": ("good", "Done", "The results are on the computer; not all are as precise as requested."),
                "stopped": ("warn", "Stopped", "It was stopped on the computer. The results so far are saved."),
            }
            self._state = said.get(status) or ("bad", "Failed", "The terminal shows why.")

    def event(self, event: str, artifact: int | None, fields: dict[str, Any], copied: bytes | bytearray) -> None:
        with self._lock:
            if artifact is None or artifact >= len(self._names):
                return
            if event == "round":
                values = json.loads(copied)["values_ns"]
                self._medians[artifact].append(series.median(values) / fields["round"]["block"])
                count = len(self._medians[artifact])
                self._notes[artifact] = (
                    f"round {count}" if count < self._rounds_min else f"round {count}, until precise"
                )
            elif event == "failed":
                self._failed[artifact] = True
                self._notes[artifact] = f"left out: {fields['outcome']['reason'][:200]}"
            elif event in _STEPS:
                self._notes[artifact] = _STEPS[event]

    def now(self) -> dict[str, Any]:
        with self._lock:
            level, headline, detail = self._state
            return {
                "level": level,
                "headline": headline,
                "detail": detail,
                "over": headline != "Measuring",
                "artifacts": [self._artifact(index) for index in range(len(self._names))],
            }

    def _artifact(self, index: int) -> dict[str, Any]:
        medians, failed = self._medians[index], self._failed[index]
        is_over = self._state[1] != "Measuring"
        note = f"{len(medians)} rounds" if is_over and not failed else self._notes[index]
        return {
            "name": self._names[index],
            "value": _milliseconds(series.median(medians)) if medians else "",
            "note": note,
            "failed": failed,
            "share": None if failed or is_over else min(1.0, len(medians) / self._rounds_min),
        }


class ShownJournal(Journal):
    """A journal whose events are also displayed."""

    def __init__(self, path: Path, show: JobDisplay) -> None:
        super().__init__(path)
        self._show = show

    def write(self, event: str, copied: bytes | bytearray = b"", **fields: Any) -> None:
        super().write(event, copied, **fields)
        self._show.event(event, fields.get("artifact"), fields, copied)


def _milliseconds(ns: float) -> str:
    milliseconds = ns / 1e6
    return (
        f"{milliseconds:.3f} ms"
        if milliseconds < 1
        else f"{milliseconds:.2f} ms"
        if milliseconds < 100
        else f"{milliseconds:.0f} ms"
    )
