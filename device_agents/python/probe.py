"""Whether a runtime works here, tried by loading a tiny model in a process of its own.

An import proves nothing: with numpy 2, tflite-runtime imports fine and dies at the first model.
"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

from . import runtimes
from .process import ModelWorkerProcess, WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .store import Store

TIMEOUT_S = 120


def look(store: Store, name: str, options: dict[str, Any], pids: list[int]) -> dict[str, Any]:
    """{"folder": where it was found ("" is the system's own), "facts": {...}} or {"problem": why not}.

    pids: the processes started here are added to it.
    """
    found = store.installed(name)
    brought = [str(folder) for folder in found if store.is_runtime_whole(folder)]
    problem = "the copy that was sent here was damaged, and has been removed" if len(brought) < len(found) else None
    # Of a program only the copy sent last counts: an older one that works must not stand in for it.
    folders = (brought[:1] or [""]) if hasattr(runtimes.module(name), "PROGRAM") else ["", *brought]
    for folder in folders:
        try:
            return {"folder": folder, "facts": _try(store, name, folder, options, pids)}
        except WorkerFailed as error:
            problem = problem or error.reason
    return {"problem": problem}


def _try(store: Store, name: str, folder: str, options: dict[str, Any], pids: list[int]) -> dict[str, Any]:
    runtime = runtimes.module(name)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=str(store.root / "runtimes")) as scratch:
        model = Path(scratch) / ("tiny" + runtime.SUFFIXES[0])
        model.write_bytes(base64.b64decode(runtime.TINY_MODEL))
        start = getattr(runtime, "start_worker", ModelWorkerProcess)
        with start(Path(scratch) / "stderr.txt") as worker:
            pids += [worker.pid] if worker.pid else []
            facts: dict[str, Any] = worker.ask("runtime", TIMEOUT_S, name=name, folder=folder, options=options)
            if runtime.TINY_MODEL:
                worker.ask("load", TIMEOUT_S, path=str(model), options=options)
    return facts
