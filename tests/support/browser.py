"""A real headless Chromium for tests of the phone's page, driven over its DevTools pipe by the standard library."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.faults.proxy import Proxy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt: chromium)")
# A GPU emulated on the processor: its outputs are right, its times meaningless.
SOFTWARE_GPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe", "--hide-scrollbars",
)  # fmt: skip
# DevTools speaks on the file descriptors 3 and 4.
_WITH_PIPES = (
    "import os, sys; a, b = (os.dup(os.dup(os.dup(int(n)))) for n in sys.argv[1:3]);"
    "os.dup2(a, 3); os.dup2(b, 4); os.execv(sys.argv[3], sys.argv[3:])"
)


class Browser:
    """One page in a profile of its own."""

    def __init__(self, *flags: str) -> None:
        assert CHROMIUM is not None
        no_gpu = () if SOFTWARE_GPU[0] in flags else ("--disable-gpu",)
        self._profile = tempfile.TemporaryDirectory(prefix="edgebench-chromium-", ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WITH_PIPES, str(to_browser), str(from_browser),
             CHROMIUM, *_FLAGS, *no_gpu, f"--user-data-dir={self._profile.name}", *flags, "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, pass_fds=(to_browser, from_browser),
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        (target,) = [one["targetId"] for one in targets if one["type"] == "page"][:1]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def reload(self) -> None:
        self.call("Page.reload")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def set_offline(self, offline: bool) -> None:
        self.call("Network.enable")
        self.call(
            "Network.emulateNetworkConditions", offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def headline(self) -> str:
        return str(self.run("document.getElementById('headline')?.textContent || ''"))

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.kill()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 16)
            assert piece, "the browser ended"
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


@contextmanager
def browser(*flags: str) -> Iterator[Browser]:
    opened = Browser(*flags)
    try:
        yield opened
    finally:
        opened.close()


def url_in(text: str) -> str | None:
    found = re.search(r"https?://\S+/#t=\S+", text)
    return found[0] if found else None


class Person:
    """A user with a phone: opens the page that `deploy` shows, and does something when the journal gets that far."""

    def __init__(self, *flags: str) -> None:
        self._flags = flags
        self._wants_proxy = False
        self.proxy: Proxy | None = None
        self._opened = contextlib.ExitStack()
        self.phone: Browser | None = None
        self.said: list[str] = []
        self.when: dict[str, Callable[[Browser], None]] = {}
        self.on_said: dict[str, Callable[[], None]] = {}

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[Person]:
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        what = note.partition(",")[0]  # how long it takes follows
        if what in self.when and self.phone:
            self.when.pop(what)(self.phone)

    def say(self, line: str) -> None:
        self.said.append(line)
        for words in [words for words in self.on_said if words in line]:
            self.on_said.pop(words)()
        url = url_in(line)
        if url and self.phone is None:
            flags = [*self._flags, *self._way(url)]
            self.phone = self._opened.enter_context(browser(*flags))
            self.phone.open(url)

    def behind_a_proxy(self) -> None:
        """The phone's traffic goes through `proxy`, from its first page on."""
        self._wants_proxy = True

    def _way(self, url: str) -> list[str]:
        if not self._wants_proxy:
            return []
        address = urlsplit(url).netloc
        self.proxy = Proxy(int(address.rpartition(":")[2]))
        self._opened.callback(self.proxy.close)
        return [f"--host-resolver-rules=MAP {address} 127.0.0.1:{self.proxy.port}"]

    def open_again(self, url: str) -> None:
        """In another browser, without data of the first one."""
        self.phone = self._opened.enter_context(browser(*self._flags))
        self.phone.open(url)

    def leave(self) -> None:
        self._opened.close()
