"""The connection to a target's agent while a job runs, and how to get another one when it breaks."""

from __future__ import annotations

import time
from types import TracebackType

from edgebench.agent import Agent
from edgebench.errors import TargetError
from edgebench.progress import Progress
from edgebench.targets import Target
from edgebench.transports import open_transport

RECONNECT_S = 120.0
RECONNECT_PAUSE_S = 2.0


class Connection:
    def __init__(self, target: Target, progress: Progress) -> None:
        self._target = target
        self._progress = progress
        self.agent = self._connect()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.agent.close()

    def renew(self) -> None:
        """Connect again, for at most RECONNECT_S; raises what the last try said."""
        self.agent.close()
        give_up = time.monotonic() + RECONNECT_S
        while True:
            try:
                self.agent = self._connect()
                return
            except TargetError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(RECONNECT_PAUSE_S)

    def _connect(self) -> Agent:
        return Agent(open_transport(self._target), f"target '{self._target.name}'", self._progress)
