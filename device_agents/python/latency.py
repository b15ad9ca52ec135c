"""The latency pass: warm up, then time in rounds until each artifact is as precise as the plan asks."""

from __future__ import annotations

import math
import random

from . import load, series
from .artifact_run import survives
from .gate import gate
from .watch import NoWatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .artifact_run import ArtifactRun
    from .device import Device
    from .gate import Condition
    from .journal import Journal
    from .store import Store
    from .watch import RoundWatch

    Plan = Mapping[str, Any]

MAX_VALUES_PER_ROUND = 20_000
# A single inference is timed alone if it takes at least this many steps of the clock.
MIN_CLOCK_STEPS = 100


def warm_up(artifact: ArtifactRun, plan: Plan, journal: Journal, device: Device) -> None:
    """Run until the medians of short windows are stationary, or the budget ends; all of it is kept apart.

    Then for as long again: if noise hides a share s of a decay that looks level, only s * s of it is left by then.
    """
    spent_s = first_look(artifact, plan, device)
    medians, stationary = [], False
    while not stationary and spent_s < plan["warmup_max_s"]:
        spent_s += run_window(artifact, plan, journal, device)
        medians.append(artifact.typical_ns)
        stationary = series.is_stationary(medians)
    journal.write("warm", artifact=artifact.index, stationary=stationary, windows=len(medians), spent_s=spent_s)
    # There is no point in waiting longer for a device that does not settle: its record is suspect anyway.
    artifact.warmup_s = 2 * spent_s if stationary else 0.0
    stay_warm(artifact, plan, journal, device, artifact.warmup_s - spent_s)


def first_look(artifact: ArtifactRun, plan: Plan, device: Device) -> float:
    """How long an inference takes, roughly: over more and more of them until the clock can tell."""
    step_ns = device.clock_step_ns()
    block, spent_s = 1, 0.0
    while True:
        first, _ = artifact.time(plan, 1, block)
        spent_s += first["sum_ns"] / 1e9
        if first["sum_ns"] >= 10 * step_ns or block >= MAX_VALUES_PER_ROUND:
            artifact.typical_ns = max(first["sum_ns"], step_ns) / block
            return float(spent_s)
        block *= 10


def renew(artifact: ArtifactRun, plan: Plan, journal: Journal, store: Store, device: Device) -> None:
    """Go on in a fresh process, warmed up for as long as the first one was."""
    artifact.close()
    artifact.load(plan)
    if artifact.spec.get("golden"):
        artifact.answer_golden(plan, store)
    stay_warm(artifact, plan, journal, device, artifact.warmup_s)


def stay_warm(artifact: ArtifactRun, plan: Plan, journal: Journal, device: Device, seconds: float) -> None:
    spent_s = 0.0
    while spent_s < seconds:
        spent_s += run_window(artifact, plan, journal, device)


def run_window(artifact: ArtifactRun, plan: Plan, journal: Journal, device: Device) -> float:
    """A short one, kept apart from the rounds; returns the seconds that it took."""
    most = min(MAX_VALUES_PER_ROUND, artifact.values_max)
    seconds, step_ns = plan["warmup_window_s"], device.clock_step_ns()
    block, count = block_and_count(artifact.typical_ns, seconds, step_ns, plan["duty_hz"], most)
    timed, values = artifact.time(plan, count, block)
    artifact.typical_ns = max(timed["median_ns"], step_ns) / block
    timing = {"start_ns": timed["round"]["start_ns"], "block": block}
    journal.write("warmup", values, artifact=artifact.index, series=timing)
    return seconds_of(timed)


def measure_one_by_one(
    artifacts: list[ArtifactRun], start: Condition, plan: Plan, journal: Journal, store: Store, device: Device
) -> str:
    """Each artifact alone, from the condition that the device started in. Returns the status."""
    statuses = []
    for artifact in list(artifacts):
        gate(plan, start, journal, device, [artifact])
        alone = [artifact]
        statuses.append(measure_latency(alone, plan, journal, store, device))
        if not alone:
            artifacts.remove(artifact)
    return next((status for status in statuses if status != "done"), "done")


def measure_latency(artifacts: list[ArtifactRun], plan: Plan, journal: Journal, store: Store, device: Device) -> str:
    """Warm up, then time in rounds; those that break leave `artifacts`. Returns the status."""
    artifacts[:] = [one for one in artifacts if survives(one, journal, warm_up, one, plan, journal, device)]
    before = load.processor_seconds(artifacts, device)
    with device.watch() if plan["sampling"] else NoWatch() as watch:
        status = measure_rounds(artifacts, plan, journal, store, device, watch)
    load.journal_load(before, artifacts, journal, device)
    return status


def measure_rounds(
    artifacts: list[ArtifactRun], plan: Plan, journal: Journal, store: Store, device: Device, watch: RoundWatch
) -> str:
    """Rounds in random order over the artifacts, until each is precise or the budget ends. Returns the status."""
    order = random.Random(plan["seed"])
    number = 0
    while artifacts and not all(artifact.is_done(plan) for artifact in artifacts):
        if all(artifact.seconds >= plan["seconds_max"] for artifact in artifacts):
            return "budget"
        if number and plan["rounds_per_process"] and number % plan["rounds_per_process"] == 0:
            for artifact in list(artifacts):
                if not survives(artifact, journal, renew, artifact, plan, journal, store, device):
                    artifacts.remove(artifact)
        for artifact in order.sample(artifacts, len(artifacts)):
            if not survives(artifact, journal, measure_round, artifact, number, plan, journal, device, watch):
                artifacts.remove(artifact)
        number += 1
    return "done"


def measure_round(
    artifact: ArtifactRun, number: int, plan: Plan, journal: Journal, device: Device, watch: RoundWatch
) -> None:
    most = min(plan["round_values_max"], artifact.values_max)
    block, count = block_and_count(artifact.typical_ns, plan["round_s"], device.clock_step_ns(), plan["duty_hz"], most)
    watch.begin()
    count = max(count, math.ceil(plan["window_inferences_min"] / block))
    timed, values = artifact.time(plan, count, block, plan["window_s_min"])
    artifact.round_medians.append(timed["median_ns"] / block)
    artifact.values += timed["settled"]
    artifact.seconds += seconds_of(timed)
    step_ns = device.clock_step_ns()
    # Too short for the clock after all: longer blocks from now on.
    if timed["median_ns"] < MIN_CLOCK_STEPS / 2 * step_ns:
        artifact.typical_ns = max(timed["median_ns"], step_ns) / block
    found = {"number": number, "block": block, **timed["round"], **watch.take()}
    journal.write("round", values, artifact=artifact.index, round=found)


def seconds_of(timed: Mapping[str, Any]) -> float:
    return int(timed["round"]["duration_ns"]) / 1e9


def block_and_count(
    typical_ns: float,
    seconds: float,
    clock_step_ns: int,
    duty_hz: float | None = None,
    most: float = MAX_VALUES_PER_ROUND,
) -> tuple[int, int]:
    """(how many inferences a value covers, how many values fill `seconds`, at most `most`).

    A block is larger than 1 only if one inference is too short for the clock, or a round would hold too many values.
    With a pace, each inference is timed.
    """
    if duty_hz:
        return 1, max(2, round(seconds * duty_hz))
    shortest_ns = max(MIN_CLOCK_STEPS * clock_step_ns, seconds * 1e9 / most)
    block = max(1, math.ceil(shortest_ns / typical_ns))
    count = math.ceil(seconds * 1e9 / (typical_ns * block))
    return block, int(min(max(count, 1), most))
