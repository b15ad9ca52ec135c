"""Instructions that one inference takes on a board's core, counted on an emulated board.

The emulated board's clock advances by one nanosecond with every instruction it executes, so a latency measured on it is
a count, and `deploy` measures it as usual. Counts repeat to about 1 % on any computer. They are not time, because they
do not include caches, memory and clock; but they show which of a runtime's kernels run on a core, and how much work
those do.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgebench import deploy
from edgebench.analysis import stats
from edgebench.deploy import LocalArtifact
from edgebench.device import emulator
from edgebench.errors import UserError
from edgebench.progress import Progress, Silent
from edgebench.schema import record
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target

# Counts hardly vary, so a few are enough; the emulator takes ten times as long as the guest measures.
PLAN = Plan(
    preset="instructions",
    rounds_min=3,
    values_min=6,
    seconds_min=0.01,
    seconds_max=0.2,
    round_s=0.01,
    precision=0.02,
    warmup_max_s=0.1,
    memory_inferences=1,
    gate_max_s=1.0,
)


def count(
    sources: Sequence[LocalArtifact],
    board: str,
    *,
    progress: Progress = Silent(),  # noqa: B008  (it has no state)
) -> dict[str, tuple[int, str]]:
    """By the artifacts' names: instructions of one inference on this board, and the runtime that executed them.

    Starts the emulated board if it is off, and stops it again afterwards. Raises UserError for a file that does not run
    there.
    """
    with emulator.borrowed(board, progress=progress.say) as machine:
        target = Target(
            name=f"{board}-emulated",
            transport="ssh",
            host=machine.host_alias,
            ssh_config=str(machine.ssh_config),
            emulated=True,
        )
        return count_on(target, sources, progress)


def count_on(target: Target, sources: Sequence[LocalArtifact], progress: Progress) -> dict[str, tuple[int, str]]:
    """target: an emulated board; only there nanoseconds are instructions."""
    with tempfile.TemporaryDirectory(prefix="edgebench-instructions-") as results:
        return dict(map(_counted, deploy.deploy(target, sources, PLAN, Path(results), progress=progress)))


def _counted(found: record.Record) -> tuple[str, tuple[int, str]]:
    middle = stats.latency_ns(found.rounds, 0.5)
    if middle is None:
        raise UserError(
            found.artifact.name,
            f"not counted on {found.target.name}: {found.outcome.reason or found.outcome.status}",
            f"Try it alone: edgebench deploy --target {found.target.name}",
        )
    runtime = f"{found.runtime.name} {found.runtime.facts.get('version', '')}".strip()
    return found.artifact.name, (round(middle.value), runtime)
