"""The page in the phone's browser, seen from the job: one request at a time goes to it, and its answer comes back.

The page asks for work by long polls, so it may come over any number of connections and be away in between. It is told
from others by the id of its tab (`client`); a reload is another page of the same client, and all web workers are gone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

# A poll is answered after so long even if there is nothing to do; the page then asks again.
POLL_S = 20.0
# Without a sign for so long the phone counts as gone. A page whose screen is locked gives none.
GONE_S = 120.0
SILENT_S = 3.0
# A page that was closed may have sent something before, which comes so much later at most.
LATE_S = 2.0

Message = dict[str, Any]


class Refused(Exception):
    """An answer to the page that it shows to the person: HTTP status, what is wrong, what to do."""

    def __init__(self, status: int, title: str, remedy: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.remedy = remedy


class Reloaded(Exception):
    """The page that was asked is no longer there; another one of the same tab is."""


class Gone(Exception):
    """No sign of the phone for GONE_S."""


class Page:
    """stopping: whether the job is asked to end, so that nobody waits for a phone that is away."""

    def __init__(self, gone_s: float = GONE_S, stopping: Callable[[], bool] = lambda: False) -> None:
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._gone_s = gone_s
        self._stopping = stopping
        self._client = ""
        self._page = ""
        self._last_seen_s = -gone_s
        self._left_s: float | None = None
        self._number = 0
        self._request: Message | None = None
        self._answer: Message | None = None
        self._closing: list[int] = []
        self._news = 0
        self.generation = 0
        self.facts: Message = {}
        self.in_use = False

    # ------------------------------------------------------------------ the page's side, called by HTTP threads

    def hello(self, client: str, page: str, facts: Message) -> None:
        with self._changed:
            if client != self._client and (self.is_here() or self.in_use):
                raise Refused(
                    409, "Another phone has this code",
                    "One code is for one phone. Close the page there, or wait until its measurement is over.",
                )  # fmt: skip
            if page != self._page:
                self.generation += 1
                self._closing.clear()
            self._client, self._page, self.facts = client, page, facts
            self._left_s = None
            self._see()

    def turn(self, client: str, page: str, answer: Message | None, wait_s: float = POLL_S) -> Message:
        """Take in an answer, wait for a request; {"request": or None, "close": web workers that are done with}."""
        with self._changed:
            self._require(client, page)
            self._see()
            if answer and self._request and answer.get("id") == self._request["id"]:
                self._answer, self._request = answer, None
                self._changed.notify_all()
            give_up, news = time.monotonic() + wait_s, self._news
            while not self._request and time.monotonic() < give_up and page == self._page and news == self._news:
                self._changed.wait(give_up - time.monotonic())
            self._require(client, page)
            closing, self._closing = self._closing, []
            return {"request": self._request, "close": closing}

    def busy(self, client: str, page: str) -> None:
        """A sign of life while a request takes long."""
        with self._changed:
            self._require(client, page)
            self._see()

    def leave(self, client: str, page: str) -> None:
        """The page is being closed, or reloaded, which the next hello will show."""
        with self._changed:
            if (client, page) == (self._client, self._page):
                self._left_s = time.monotonic()

    def is_here(self) -> bool:
        """Whether the page is open and gave a sign within one poll."""
        return self._left_s is None and time.monotonic() - self._last_seen_s < min(POLL_S + SILENT_S, self._gone_s)

    def _require(self, client: str, page: str) -> None:
        if (client, page) != (self._client, self._page):
            raise Refused(404, "This page is not known here", "It says hello again by itself.")

    def _see(self) -> None:
        self._last_seen_s = time.monotonic()
        if self._left_s is not None and self._last_seen_s - self._left_s > LATE_S:
            self._left_s = None
        self._changed.notify_all()

    # ------------------------------------------------------------------ the job's side

    def ask(self, request: Message, timeout_s: float) -> Message:
        """Give one request to the page and sleep until it is answered: {"ok"} or {"error"}.

        Raises Reloaded, Gone, TimeoutError.
        """
        with self._asking, self._changed:
            generation, asked_s = self.generation, time.monotonic()
            self._number += 1
            self._request, self._answer = {**request, "id": self._number}, None
            self._changed.notify_all()
            give_up = asked_s + timeout_s
            try:
                while self._answer is None:
                    if self.generation != generation:
                        raise Reloaded
                    now = time.monotonic()
                    gone = self._last_seen_s + self._gone_s
                    if now >= gone or (self._stopping() and now - self._last_seen_s > POLL_S + SILENT_S):
                        raise Gone
                    if now >= give_up:
                        raise TimeoutError if self.is_here() else Gone
                    self._changed.wait(min(give_up - now, gone - now, 1.0 if not self.is_here() else POLL_S))
                return self._answer
            finally:
                self._request = None

    def nudge(self) -> None:
        """Let the page ask anew, and so see what is to be shown now."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def close_worker(self, worker: int) -> None:
        """Forget a web worker; the page hears of it with the next request."""
        with self._changed:
            self._closing.append(worker)

    def wait(self, seconds: float) -> bool:
        """Whether a page is there, waiting for one for at most so long."""
        give_up = time.monotonic() + seconds
        with self._changed:
            while not self.is_here() and time.monotonic() < give_up:
                self._changed.wait(give_up - time.monotonic())
            return self.is_here()
