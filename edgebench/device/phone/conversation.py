"""`deploy`'s session with a phone's server over its socket, and messages about the page meanwhile."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from edgebench.errors import TargetError, Unreachable
from edgebench.progress import Progress

# How long the server holds a request for news before it answers that there are none.
NEWS_S = 30.0
NEWS = {
    "here": "{name} is back; the job continues where it was",
    "hidden": "The page on {name} is in the background, where nothing is measured: bring it to the front",
    "away": (
        "No sign of the page on {name}: closed, locked or out of reach. The results so far are kept, and the job waits "
        "for two minutes. Unlock the phone, or open the page again:\n{how}"
    ),
}


class Conversation:
    """A session with the server over its socket, in the form of a process: an AgentProcess of device.transports."""

    stderr = None

    def __init__(self, path: Path, where: str) -> None:
        self._where = where
        self._socket = socket.socket(socket.AF_UNIX)
        with self._socket as connected:
            try:
                connected.connect(str(path))
            except OSError as error:
                raise Unreachable(where, f"its server does not answer ({error.strerror})", "Deploy again") from None
            # The connection stays open as long as one of its files.
            self.stdin = connected.makefile("wb")
            self.stdout = connected.makefile("rb")

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request at once; lines before the answer, such as the hello, are skipped."""
        self.stdin.write(json.dumps(request).encode() + b"\n")
        self.stdin.flush()
        for line in self.stdout:
            answer = json.loads(line)
            if "ok" in answer:
                return answer["ok"]
            if "error" in answer:
                raise TargetError(self._where, answer["error"], "Report this as a bug")
        raise Unreachable(self._where, "its server has ended", "Deploy again")

    def wait(self, timeout: float | None = None) -> int:
        return 0

    def kill(self) -> None:
        self.close()

    def close(self) -> None:
        """Also while another thread waits for an answer, which then raises."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                stream.close()


def say_news(watcher: Conversation, progress: Progress, name: str, how: str) -> None:
    known = "here"
    with contextlib.suppress(OSError, ValueError, TargetError):  # the conversation was closed, or the server ended
        while True:
            news = watcher.ask({"do": "news", "known": known, "seconds": NEWS_S})
            for why in news["turned_away"]:
                progress.say(f"A browser was turned away: {why}")
            if news["state"] != known:
                known = news["state"]
                progress.say(NEWS[known].format(name=name, how=how))
