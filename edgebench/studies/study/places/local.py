"""This machine: one step after another in this process, or several at once in worker processes.

Networks too small to use several cores train as fast in parallel as alone: `--jobs 2` on two cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from edgebench.errors import UserError
from edgebench.progress import Progress
from edgebench.studies.study.matrix import StudyStep
from edgebench.studies.study.places import Files, answered, perform_apart

PARENT_CHECK_S = 1.0


class InProcess:
    jobs = 1

    def submit(self, step: StudyStep, parents: list[bytes], scratch: Path, progress: Progress) -> Future[Files]:
        from edgebench.studies.study import steps

        made: Future[Files] = Future()
        try:
            made.set_result(steps.perform(step, parents, scratch, progress))
        except Exception as error:  # a future carries whatever the step raises
            made.set_exception(error)
        return made

    def close(self, *, now: bool) -> None:
        pass


class LocalWorkers:
    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool = ProcessPoolExecutor(
            jobs,
            # A child forked after torch has used threads hangs.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(os.getpid(), _threads(jobs)),
        )

    def submit(self, step: StudyStep, parents: list[bytes], scratch: Path, progress: Progress) -> Future[Files]:
        # Ctrl-C reaches every process of the terminal, but only the parent decides what it means. Children inherit
        # blocked signals, and the pool starts them when work is submitted.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return answered(self._pool.submit(perform_apart, step, parents, scratch))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self, *, now: bool) -> None:
        for process in list((self._pool._processes or {}).values()) if now else []:
            process.terminate()
        self._pool.shutdown(wait=not now, cancel_futures=now)


def open_place(address: str, jobs: int) -> InProcess | LocalWorkers:
    if address:
        raise UserError("--on", f"'local' takes no address, but '{address}' was given", "Write --on local")
    return InProcess() if jobs == 1 else LocalWorkers(jobs)


def _threads(jobs: int) -> int:
    """Threads of each worker: as the user has set them, else its share of the cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else max(1, (os.cpu_count() or 1) // jobs)


def _begin(parent: int, threads: int) -> None:
    import torch

    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(threads)


def _end_with(parent: int) -> None:
    """A killed parent cannot end its workers, which would go on training for nobody."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    os._exit(1)
