"""How long each layer takes, after everything else: profiling slows a network down, so its times stand apart."""

from __future__ import annotations

import time

from . import series
from .artifact_run import Stopped
from .process import WorkerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType
    from typing import Any

    from .artifact_run import ArtifactRun
    from .journal import Notebook
    from .runtimes import RuntimeSession

    Plan = Mapping[str, Any]

MOST_INFERENCES = 1000
LEAST_INFERENCES = 5
WARM_UP = 5


def measure_layers(artifacts: Sequence[ArtifactRun], plan: Plan, journal: Notebook) -> None:
    """One artifact after the other, each in a worker of its own: what breaks there costs no other numbers."""
    for artifact in artifacts:
        if plan["layers_s"] and artifact.worker is not None:
            journal.write("layers", artifact=artifact.index, layers=_found(artifact, plan))


def _found(artifact: ArtifactRun, plan: Plan) -> dict[str, Any]:
    if artifact.stop_asked():
        raise Stopped
    if artifact.running.pid is None:
        return {"reason": "a page in a browser does not say how long its layers take"}
    timeout_s = plan["worker_timeout_s"]
    spec = artifact.spec
    asked = {"path": str(artifact.path), "options": spec["options"], "scratch": str(artifact.folder)}
    try:
        with artifact.start_worker("layers") as worker:
            artifact.import_runtime(worker, timeout_s)
            artifact.load_into(worker, timeout_s)
            found: dict[str, Any] = worker.ask("layers", timeout_s, **asked, seconds=plan["layers_s"])
            return found
    except WorkerFailed as failure:
        return {"reason": failure.reason[:1000]}


def profile(
    runtime: ModuleType,
    plain: RuntimeSession,
    fed: Sequence[bytes],
    loaded: tuple[str, dict[str, Any], str],
    seconds: float,
) -> dict[str, Any]:
    """In the worker. plain: the session that was timed; loaded: what it was loaded with, and a folder for files.

    Inferences with and without the profiler alternate, so that both meet the same machine.
    """
    profiled = getattr(runtime, "profiled", None)
    if profiled is None:
        return {"reason": "its package does not say how long its layers take"}
    session = profiled(*loaded)
    for index, data in enumerate(fed):
        session.feed(index, data)
    without: list[int] = []
    with_it: list[int] = []
    for _ in range(WARM_UP):
        session.invoke()
    session.begin_layers()
    collect = getattr(session, "collect", None)
    end = time.perf_counter() + seconds
    while len(with_it) < LEAST_INFERENCES or (time.perf_counter() < end and len(with_it) < MOST_INFERENCES):
        for invoke, values in ((plain.invoke, without), (session.invoke, with_it)):
            started = time.perf_counter_ns()
            invoke()
            values.append(time.perf_counter_ns() - started)
        if collect:
            collect()
    return {
        "inferences": len(with_it),
        "plain_ns": series.median(without),
        "profiled_ns": series.median(with_it),
        "cut": getattr(session, "CUT", False),
        "layers": [{**one, "ns": _typical(one["ns"])} for one in session.layers(len(with_it))],
    }


def _typical(ns: float | list[float]) -> float:
    return middle_mean(ns) if isinstance(ns, list) else ns


def middle_mean(values: Sequence[float]) -> float:
    """The mean of the middle half. A median of whole microseconds says too little; a mean counts interruptions."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    middle = ordered[cut : len(ordered) - cut]
    return sum(middle) / len(middle)
