"""The page in the phone's browser, as the job sees it: one request at a time goes out, and its answer comes back.

The page asks for work by long polls, so it may use any number of connections and be away in between. The id of its tab
(`client`) identifies it; after a reload it is another page of the same client, and all web workers are gone. One page
is in charge. Another one takes over once that one has left or is silent (presence.py), also during a job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from edgebench.device.phone.presence import SILENT_S, STAY_S, Presence

# A poll is answered after this time even if there is nothing to do; the page then polls again.
POLL_S = 20.0
# How long a job waits for a phone without a sign of life; a page gives none while the screen is locked.
GONE_S = 120.0
# A page that has just answered is not asked again for this time.
TRUSTED_S = 3.0
# Reloads and short network failures are over within this time.
AWAY_S = 2.5
# Identifies the phone of a job: another phone must not continue it.
_SAME = ("user_agent", "model", "cores", "secure_context", "isolated", "shared_memory")

Message = dict[str, Any]


class HttpRefusal(Exception):
    """A refusal that the page shows to the user: HTTP status, what is wrong, what to do."""

    def __init__(self, status: int, title: str, remedy: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.remedy = remedy


class PageReloaded(Exception):
    """The page that had the request is gone, and another one is there."""


class PageGone(Exception):
    """The phone has given no sign for GONE_S."""


class Page:
    """stopping: whether the job has been asked to end; it then does not wait for a phone that is away."""

    def __init__(self, gone_s: float = GONE_S, stopping: Callable[[], bool] = lambda: False) -> None:
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._gone_s = gone_s
        self._stopping = stopping
        self._charge = ("", "")  # client and page
        self._presence = Presence()
        self._trusted_s = 0.0
        self._number = 0
        self._request: Message | None = None
        self._answer: Message | None = None
        self._closing: list[int] = []
        self._news = 0
        self.generation = 0
        # The last generation that came from a new tab or browser.
        self.anew = 0
        self.facts: Message = {}
        self.in_use = False
        # In the background, where browsers suspend it.
        self.hidden = False
        # The target is emulated, so a GPU in software is allowed.
        self.emulated = False

    # ------------------------------------------------------------------ for the page, called by HTTP threads

    def hello(self, client: str, page: str, facts: Message) -> None:
        """Raises HttpRefusal if another page is in charge."""
        with self._changed:
            while (client, page) != self._charge and self.generation and self._is_there_after_all():
                pass
            if (client, page) != self._charge:
                self._check_same(client, facts)
                self.generation += 1
                self.anew = self.anew if client == self._charge[0] else self.generation
                self._closing.clear()
                self._presence, self._trusted_s = Presence(), 0.0
            self._charge, self.facts, self.hidden = (client, page), facts, False
            self._see()

    def _is_there_after_all(self) -> bool:
        """Ask the page in charge for a sign of life. False if it gives none; raises HttpRefusal if it does."""
        presence = self._presence
        if time.monotonic() - self._trusted_s > TRUSTED_S:
            self._await_sign()
            if presence is not self._presence:
                return True  # another page took over meanwhile: ask that one
            if presence.is_here():
                self._trusted_s = time.monotonic()
        if presence.is_here():
            raise HttpRefusal(
                409, "Another phone or tab has this code",
                "One code is for one phone. Close the page there; this one then continues by itself.",
            )  # fmt: skip
        return False

    def _await_sign(self) -> None:
        """Ask the page in charge, until it answers or no longer counts as present."""
        presence, signs = self._presence, self._presence.signs
        presence.ask()
        self._changed.notify_all()
        while presence is self._presence and presence.is_here() and presence.signs == signs:
            self._changed.wait(0.1)

    def _check_same(self, client: str, facts: Message) -> None:
        """A job measures one phone, as far as browsers can be distinguished."""
        if not self.in_use or client == self._charge[0]:
            return
        if any(facts.get(name) != self.facts.get(name) for name in _SAME):
            raise HttpRefusal(
                409, "Another phone is being measured",
                "The measurement began with another browser, or at another address. Open the page there, or stop the "
                "measurement in the terminal (Ctrl-C).",
            )  # fmt: skip

    def stay(self, client: str, page: str, is_cut: Callable[[float], bool], hidden: bool = False) -> None:
        """The page's open request, for STAY_S or until a sign is wanted. is_cut: waits for its connection to end."""
        with self._changed:
            self._require(client, page)
            presence, self.hidden = self._presence, hidden
            number = presence.open()
            self._changed.notify_all()
        give_up = time.monotonic() + STAY_S
        while presence.is_open(number) and time.monotonic() < give_up:
            if is_cut(1.0):
                with self._changed:
                    presence.cut(number)
                    self._changed.notify_all()
                return
        with self._changed:
            presence.answered(number)

    def turn(self, client: str, page: str, answer: Message | None, wait_s: float = POLL_S) -> Message:
        """Take an answer and wait for a request: {"request": or None, "close": web workers no longer needed}."""
        with self._changed:
            self._require(client, page)
            self._see()
            if answer and self._request and answer.get("id") == self._request["id"]:
                self._answer, self._request = answer, None
                self._changed.notify_all()
            give_up, news = time.monotonic() + wait_s, self._news
            while not self._request and time.monotonic() < give_up and news == self._news:
                self._require(client, page)
                self._changed.wait(give_up - time.monotonic())
            self._require(client, page)
            closing, self._closing = self._closing, []
            return {"request": self._request, "close": closing}

    def leave(self, client: str, page: str) -> None:
        """The page is being closed or reloaded; the next hello shows which."""
        with self._changed:
            if (client, page) == self._charge:
                self._presence.leave()
                self._changed.notify_all()

    def is_here(self) -> bool:
        return self._presence.is_here()

    def awaits(self) -> str:
        """The request that the page is working on, "" if none."""
        request = self._request
        return str(request["do"]) if request else ""

    def _require(self, client: str, page: str) -> None:
        if (client, page) != self._charge:
            raise HttpRefusal(404, "This page is unknown", "It connects again by itself.")

    def _see(self) -> None:
        self._presence.sign()
        self._changed.notify_all()

    # ------------------------------------------------------------------ for the job

    def ask(self, request: Message, timeout_s: float) -> Message:
        """Give one request to the page and sleep until its answer, {"ok"} or {"error"}.

        Raises PageReloaded, PageGone, TimeoutError.
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
                        raise PageReloaded
                    now = time.monotonic()
                    gone = self._presence.seen_s + self._gone_s
                    away = not self.is_here() and now - self._presence.seen_s > SILENT_S
                    if now >= gone or (away and self._stopping()):
                        raise PageGone
                    if now >= give_up:
                        raise TimeoutError if self.is_here() else PageGone
                    self._changed.wait(min(give_up - now, gone - now, 1.0 if not self.is_here() else POLL_S))
                return self._answer
            finally:
                self._request = None

    def nudge(self) -> None:
        """End the page's poll, so that it shows the current state."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def close_worker(self, worker: int) -> None:
        """Forget a web worker; the page learns of it with the next request."""
        with self._changed:
            self._closing.append(worker)

    # ------------------------------------------------------------------ for the host

    def wait(self, seconds: float) -> bool:
        """Whether a page is there, after waiting for at most `seconds`. One that seems to be there must give a sign."""
        with self._changed:
            self._await_sign()
            give_up = time.monotonic() + seconds
            while not self.is_here() and time.monotonic() < give_up:
                self._changed.wait(min(0.5, give_up - time.monotonic()))
            return self.is_here()

    def state(self) -> str:
        return "away" if not self.is_here() else "hidden" if self.hidden else "here"

    def wait_for_change(self, known: str, seconds: float) -> str:
        """The page's state, once it has differed from `known` for more than a moment."""
        give_up, since = time.monotonic() + seconds, None
        with self._changed:
            while (now := time.monotonic()) < give_up:
                state = self.state()
                since = (since or now) if state != known else None
                if since and (state == "here" or now - since >= AWAY_S):
                    return state
                self._changed.wait(0.5)
            return known
