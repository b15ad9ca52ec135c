"""A web worker of the page, as the job sees it; the counterpart of process.ModelWorkerProcess on a Linux device.

When the page is reloaded, or closed and opened again, all web workers are lost. The worker is then replaced by one with
the same model and input, warmed up for as long as the lost one had run; the values that follow are marked.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from device_agents.python import runtimes
from device_agents.python.process import WorkerFailed
from edgebench.device.phone import answers
from edgebench.device.phone.messages import text
from edgebench.device.phone.page import Page, PageGone, PageReloaded

# The artifact fails if the phone is locked or the page reloaded more often than this during one round.
MAX_REPEATS = 20
REWARM_MAX_S = 10.0
_NUMBERS = itertools.count(1)
_REBUILT_FROM = ("runtime", "load", "pace", "golden")


def _now_ns() -> int:
    """On a clock that continues while this machine is suspended, as the phone's does."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class PageWorker:
    """versions, folders: of each runtime's npm package."""

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
        self._threads = ""

    def __enter__(self) -> PageWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._page.close_worker(self._number)

    def ask(self, what: str, timeout_s: float, **arguments: Any) -> Any:
        """Raises WorkerFailed if there is no valid answer."""
        if what == "reset_high_water":
            return False  # wasm never returns memory, and has no high-water mark
        request = self._for_page(what, arguments)
        said, took_ns = self._ask(what, timeout_s, request)
        answer = answers.checked(what, said, request, took_ns)
        if what in _REBUILT_FROM:
            self._made_by.append((what, request))
        if what == "load" and self._threads.isdigit():
            answer["runtime"]["threads"] = max(1, int(self._threads))
        if what == "runtime":
            self._threads = answer.get("threads", "")
            answer["version"] = self._versions[arguments["name"]]
        return answer

    def time(self, timeout_s: float, count: int, block: int, least_s: float = 0.0) -> tuple[dict[str, Any], bytes]:
        """As ModelWorkerProcess.time. Values measured while the page was hidden are discarded and measured again."""
        reasons = []
        for _ in range(MAX_REPEATS):
            asked = {"count": count, "block": block, "least_s": least_s}
            said, took_ns = self._ask("time", timeout_s, asked)
            if "interrupted" not in said:
                break
            reasons.append("the page was hidden")
        else:
            raise WorkerFailed("error", f"the page was hidden {MAX_REPEATS} times in one round")
        if self._interrupted:
            reasons.append(self._interrupted)
            self._interrupted = ""
        summary, values = answers.timed(said, asked, took_ns)
        self._ran_s += sum(values) / 1e9
        if reasons:
            summary["round"]["interrupted"] = ", ".join(dict.fromkeys(reasons))
        return summary, json.dumps({"values_ns": values}, separators=(",", ":")).encode()

    def _ask(self, what: str, timeout_s: float, arguments: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """The page's raw answer, and how many ns it took by this machine's clock."""
        for _ in range(MAX_REPEATS):
            try:
                if self._generation != self._page.generation:
                    self._make_again(timeout_s)
                return self._ask_page(what, timeout_s, arguments)
            except PageReloaded:
                continue
        raise WorkerFailed("error", f"the page was reloaded {MAX_REPEATS} times in one step")

    def _make_again(self, timeout_s: float) -> None:
        anew = self._page.anew > self._generation
        self._generation = self._page.generation
        self._number = next(_NUMBERS)
        for what, arguments in self._made_by:
            self._ask_page(what, timeout_s, arguments)
        warm_s = 0.0
        while self._made_by and warm_s < min(self._ran_s, REWARM_MAX_S):
            asked = {"count": 10, "block": 1, "least_s": 0.0}
            said, took_ns = self._ask_page("time", timeout_s, asked)
            _, values = answers.timed(said, asked, took_ns)
            warm_s += max(sum(values), 1e6) / 1e9
        if self._ran_s:
            self._interrupted = "the page was opened again" if anew else "the page was reloaded"

    def _ask_page(self, what: str, timeout_s: float, arguments: dict[str, Any]) -> tuple[dict[str, Any], int]:
        asked_ns = _now_ns()
        try:
            answer = self._page.ask({"do": what, "worker": self._number, **arguments}, timeout_s)
        except TimeoutError:
            self.close()
            why = "; the page was in the background, bring it to the front" if self._page.hidden else ""
            raise WorkerFailed("timeout", f"no answer to '{what}' within {timeout_s:g} s{why}") from None
        except PageGone:
            raise WorkerFailed(
                "timeout",
                "the phone is gone (locked, out of reach, or its page closed); unlock it, open the page again",
            ) from None
        if "error" in answer:
            raise WorkerFailed("error", text(answer["error"], 2000) or "the page gives no reason")
        return answer, _now_ns() - asked_ns

    def _for_page(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the page needs them: files by their hash, and the scripts to load."""
        request = dict(arguments)
        if what == "runtime":
            name = request["name"]
            assets, script = f"/assets/{self._folders[name]}/", f"/runtimes/{name}.js"
            request = {"name": name, "options": request["options"], "script": script, "assets": assets}
            request |= {"tiny": runtimes.module(name).TINY_MODEL, "emulated": self._page.emulated}
            self._runtime = name
        if what == "load":
            request["options"] = {**request["options"], "runtime": self._runtime}
        if "path" in request:
            name, size = _blob(request.pop("path"))
            request |= {"blob": name, "bytes": size}
        for files in ("inputs", "golden"):
            if files in request:
                request[files] = [_blob(path) for path in request[files]]
        return request


def _blob(path: str) -> tuple[str, int]:
    """The name by which the page fetches a file, its hash, and its size in bytes."""
    file = Path(path).resolve()
    return file.name, file.stat().st_size
