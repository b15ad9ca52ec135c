"""Places where the steps of a study run, one file each: the file's name is the scheme of `--on`.

A plugin has one function:

    def open_place(address: str, jobs: int) -> Place

address: what follows `scheme://` in `--on`; empty for this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import NamedTuple, Protocol

from edgebench import plugins
from edgebench.errors import UserError
from edgebench.progress import Progress, Silent
from edgebench.studies.study.matrix import StudyStep

Files = dict[str, bytes]


class Place(Protocol):
    """jobs: the number of steps that it runs at once."""

    jobs: int

    def submit(self, step: StudyStep, parents: list[bytes], scratch: Path, progress: Progress) -> Future[Files]:
        """Start a step. scratch: a folder on this machine, for steps that run here.

        The future raises the step's UserError, and BrokenExecutor if the process that should make it has ended.
        """

    def close(self, *, now: bool) -> None:
        """now: abandon what is running."""


def names() -> list[str]:
    return plugins.names("edgebench.studies.study.places")


def open_place(on: str, jobs: int) -> Place:
    """`local` or `ray://host:port`. Raises UnknownName for an unknown scheme."""
    scheme, _, address = on.partition("://")
    place: Place = plugins.load("edgebench.studies.study.places", scheme, kind="place (--on)").open_place(address, jobs)
    return place


# ------------------------------------------------------------------ for places that are other processes


class RemoteUserError(NamedTuple):
    """A UserError on its way between processes: pickle cannot carry exceptions with several arguments."""

    where: str
    seen: str
    remedy: str


def perform_apart(step: StudyStep, parents: list[bytes], scratch: Path | None = None) -> Files | RemoteUserError:
    """Make a step, in a process other than the caller's."""
    from edgebench.studies.study import steps

    try:
        return steps.perform(step, parents, scratch, Silent())
    except UserError as error:
        return RemoteUserError(error.where, error.seen, error.remedy)


def answered(
    asked: Future[Files | RemoteUserError], is_gone: Callable[[BaseException], bool] = lambda _: False
) -> Future[Files]:
    """The result of `perform_apart`, as `Place.submit` wants it. is_gone: whether an error means that it ended."""
    made: Future[Files] = Future()

    def pass_on(done: Future[Files | RemoteUserError]) -> None:
        try:
            answer = done.result()
        except BaseException as error:  # whatever it is, the future has to pass it on
            made.set_exception(BrokenExecutor(str(error)) if is_gone(error) else error)
            return
        if isinstance(answer, RemoteUserError):
            made.set_exception(UserError(*answer))
        else:
            made.set_result(answer)

    asked.add_done_callback(pass_on)
    return made
