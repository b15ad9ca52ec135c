"""A web worker of the page, seen from the job: what process.WorkerProcess is on a Linux device.

A reload takes all web workers with it. One that was lost so is made again as it was, with the same model, the same
input, and warmed up for as long as the lost one had run; the values that follow say that this happened.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from device_agents.python import runtimes, series
from device_agents.python.process import WorkerFailed
from edgebench.phone.page import Gone, Page, Reloaded

# A phone that is locked or reloaded more often than this during one round is not measured.
MAX_REPEATS = 20
REWARM_MAX_S = 10.0
_NUMBERS = itertools.count(1)
_REBUILT_FROM = ("runtime", "load", "pace", "golden")


class PageWorker:
    """versions, folders: of each runtime's package, as the page gets it."""

    pid = None  # not a process of this machine

    def __init__(self, page: Page, versions: Mapping[str, str], folders: Mapping[str, str]) -> None:
        self._page = page
        self._versions = versions
        self._folders = folders
        self._number = next(_NUMBERS)
        self._generation = page.generation
        self._made_by: list[tuple[str, dict[str, Any]]] = []
        self._ran_s = 0.0
        self._interrupted = ""

    def __enter__(self) -> PageWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._page.close_worker(self._number)

    def ask(self, what: str, timeout_s: float, **arguments: Any) -> Any:
        """Raises WorkerFailed for everything but an answer."""
        if what == "reset_high_water":
            return False  # wasm never gives memory back, and keeps no other mark
        told = self._for_page(what, arguments)
        answer = self._ask(what, timeout_s, told)["ok"]
        if what in _REBUILT_FROM:
            self._made_by.append((what, told))
        if what == "classify":
            return _classes(answer)
        if what == "runtime":
            answer["version"] = self._versions[arguments["name"]]
        return answer

    def time(self, timeout_s: float, count: int, block: int, least_s: float = 0.0) -> tuple[dict[str, Any], bytes]:
        """As WorkerProcess.time. What was measured while nobody saw the page is thrown away and measured again."""
        reasons = []
        for _ in range(MAX_REPEATS):
            answer = self._ask("time", timeout_s, {"count": count, "block": block, "least_s": least_s})
            if "interrupted" not in answer:
                break
            reasons.append("the page was hidden")
        else:
            raise WorkerFailed("error", f"the page was hidden {MAX_REPEATS} times in one round")
        if self._interrupted:
            reasons.append(self._interrupted)
            self._interrupted = ""
        values = _checked_values(answer["ok"], count, exactly=not least_s)
        self._ran_s += sum(values) / 1e9
        copied = {"values_ns": values, **({"interrupted": ", ".join(dict.fromkeys(reasons))} if reasons else {})}
        return _summary(answer["ok"], values), json.dumps(copied, separators=(",", ":")).encode()

    def _ask(self, what: str, timeout_s: float, arguments: dict[str, Any]) -> dict[str, Any]:
        for _ in range(MAX_REPEATS):
            try:
                if self._generation != self._page.generation:
                    self._make_again(timeout_s)
                return self._ask_page(what, timeout_s, arguments)
            except Reloaded:
                continue
        raise WorkerFailed("error", f"the page was reloaded {MAX_REPEATS} times in one step")

    def _make_again(self, timeout_s: float) -> None:
        self._generation = self._page.generation
        self._number = next(_NUMBERS)
        for what, arguments in self._made_by:
            self._ask_page(what, timeout_s, arguments)
        warm_s = 0.0
        while self._made_by and warm_s < min(self._ran_s, REWARM_MAX_S):
            answer = self._ask_page("time", timeout_s, {"count": 10, "block": 1, "least_s": 0.0})
            warm_s += max(sum(answer["ok"]["values_ns"]), 1e6) / 1e9
        if self._ran_s:
            self._interrupted = "the page was reloaded"

    def _ask_page(self, what: str, timeout_s: float, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._page.ask({"do": what, "worker": self._number, **arguments}, timeout_s)
        except TimeoutError:
            self.close()
            raise WorkerFailed("timeout", f"no answer to '{what}' within {timeout_s:g} s") from None
        except Gone:
            raise WorkerFailed(
                "timeout",
                "the phone is gone (locked, out of reach, or its page closed); unlock it, open the page again",
            ) from None
        if "error" in answer:
            raise WorkerFailed("error", str(answer["error"])[:2000])
        if not isinstance(answer.get("ok"), (dict, type(None))):
            raise WorkerFailed("error", f"the page's answer to '{what}' is none")
        return answer

    def _for_page(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The same arguments for the page: files are named by their content, and it is told what to load."""
        told = dict(arguments)
        if what == "runtime":
            name = told["name"]
            assets, script = f"/assets/{self._folders[name]}/", f"/runtimes/{name}.js"
            told = {"name": name, "options": told["options"], "script": script, "assets": assets}
            told["tiny"] = runtimes.module(name).TINY_MODEL
            self._runtime = name
        if what == "load":
            told["options"] = {**told["options"], "runtime": self._runtime}
        for key in ("path", "inputs"):
            if key in told:
                file = Path(told.pop(key)).resolve()
                told |= {"blob": file.name, "bytes": file.stat().st_size}
        return told


def _checked_values(answer: Mapping[str, Any], count: int, *, exactly: bool) -> list[int]:
    """What comes from a browser is untrusted."""
    values = answer.get("values_ns")
    if not isinstance(values, list) or len(values) < count or (exactly and len(values) > count):
        raise WorkerFailed("error", f"the page did not answer with {count} values")
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise WorkerFailed("error", "the page answered with values that are no times")
    # What the clock cannot tell from nothing: such values make the job take longer blocks.
    return [max(value, 1) for value in values]


def _classes(answer: Mapping[str, Any]) -> list[int]:
    classes = answer.get("classes")
    if not isinstance(classes, list) or not all(isinstance(one, int) and 0 <= one < 65536 for one in classes):
        raise WorkerFailed("error", "the page answered with what are no classes")
    return classes


def _summary(answer: Mapping[str, Any], values: list[int]) -> dict[str, Any]:
    """As worker.py's do_time answers."""
    missed = answer.get("missed")
    # With a pace every inference begins cold: that is what is measured.
    settled = values if missed is not None else values[series.cold_prefix(values) :]
    return {
        "start_ns": _whole(answer.get("start_ns")),
        "duration_ns": max(_whole(answer.get("duration_ns")), sum(values), 1),
        "missed": None if missed is None else _whole(missed),
        "median_ns": series.median(settled),
        "settled": len(settled),
        "sum_ns": sum(values),
    }


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0
