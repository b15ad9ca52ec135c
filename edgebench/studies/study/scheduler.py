"""Makes the missing steps of a matrix, each after its parents, several at once if the place allows it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass

from edgebench.errors import UserError
from edgebench.networks.own_data import address
from edgebench.progress import Progress, ProgressStep
from edgebench.studies.study import intact, places, steps
from edgebench.studies.study.matrix import Matrix, StudyStep
from edgebench.studies.study.places import Files, Place
from edgebench.studies.study.store import NETWORK, StudyStore

# Training images of a data set, accurate enough for a progress bar.
WHOLE_SET = 50_000


@dataclass(frozen=True)
class StudyFailure:
    """what: the step or the measurement that failed."""

    what: str
    error: UserError


def make(matrix: Matrix, store: StudyStore, on: str, jobs: int, progress: Progress) -> list[StudyFailure]:
    """Returns the steps that ended with a UserError and those that depend on them; all others are made.

    Raises UserError if the place cannot be reached, or is lost during the work.
    """
    done = intact.digests(matrix, store).keys()
    missing = {key: step for key, step in matrix.steps.items() if key not in done}
    progress.say(f"{len(matrix.steps)} steps, {len(done)} of them already done")
    for step in missing.values():
        if store.has(step):
            progress.say(f"Repeated: {step.label} ({store.path(step)} is damaged, or its inputs have changed)")
    if not missing:
        return []
    place = places.open_place(on, jobs)
    try:
        with progress.step("study", total=round(sum(map(work, missing.values())))) as bar:
            failures = _Scheduler(matrix, store, place, missing, bar, progress).run()
    except BrokenExecutor as error:
        place.close(now=True)
        raise UserError(
            f"--on {on}",
            f"the processes that make the steps have ended ({str(error).strip().splitlines()[0]})",
            "Run the same command again to continue. If memory ran out, reduce --jobs",
        ) from error
    except BaseException:  # Ctrl-C included: no worker may go on training
        place.close(now=True)
        raise
    place.close(now=False)
    return failures


def work(step: StudyStep) -> float:
    """The rough cost of a step, without a unit, for the progress bar. Training is nearly all of it."""
    if step.kind == "read":
        return 1.0
    images = address.train_images(step.dataset) or WHOLE_SET
    return max(1.0, (step.epochs or steps.recipe_epochs(step)) * images / WHOLE_SET)


class _Scheduler:
    """Every missing step is waiting, running, failed, or in the store."""

    def __init__(
        self,
        matrix: Matrix,
        store: StudyStore,
        place: Place,
        missing: dict[str, StudyStep],
        bar: ProgressStep,
        progress: Progress,
    ) -> None:
        self._matrix = matrix
        self._store = store
        self._place = place
        self._waiting = dict(missing)
        self._bar = bar
        self._progress = progress
        self._running: dict[Future[Files], str] = {}
        self._failed: dict[str, StudyFailure] = {}
        self._total = len(missing)

    def run(self) -> list[StudyFailure]:
        while self._waiting or self._running:
            self._drop_orphans()
            self._start()
            if self._running:
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    self._take_in(future)
        return list(self._failed.values())

    def _drop_orphans(self) -> None:
        """Drop steps that depend on a failed one. Steps come after their parents, so one pass is enough."""
        for key, step in list(self._waiting.items()):
            failed = [self._failed[parent] for parent in step.parents if parent in self._failed]
            if failed:
                del self._waiting[key]
                self._failed[key] = StudyFailure(step.label, failed[0].error)

    def _start(self) -> None:
        unmade = self._waiting.keys() | self._running.values()
        for key, step in list(self._waiting.items()):
            if len(self._running) >= self._place.jobs:
                return
            if unmade.isdisjoint(step.parents):
                del self._waiting[key]
                contents = [self._store.read(self._matrix.steps[parent], NETWORK) for parent in step.parents]
                self._bar.advance(0, step.label)
                relay = _Relay(self._bar)
                self._running[self._place.submit(step, contents, self._store.scratch(step), relay)] = key

    def _take_in(self, future: Future[Files]) -> None:
        key = self._running.pop(future)
        step = self._matrix.steps[key]
        try:
            files = future.result()
        except UserError as error:
            self._failed[key] = StudyFailure(step.label, error)
            self._progress.say(f"Failed: {step.label}: {error}")
        else:
            self._store.keep(step, files)
        self._bar.advance(work(step), step.label)
        self._progress.say(f"{self._total - len(self._waiting) - len(self._running)} of {self._total}: {step.label}")


class _Relay:
    """Shows a step's progress as the note of the study's bar: there is only one bar at a time."""

    def __init__(self, bar: ProgressStep) -> None:
        self._bar = bar

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[_RelayStep]:
        yield _RelayStep(self._bar, label)

    def say(self, line: str) -> None:
        pass


class _RelayStep:
    def __init__(self, bar: ProgressStep, label: str) -> None:
        self._bar = bar
        self._label = label

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self._bar.advance(0, f"{self._label}: {note}" if note else self._label)
