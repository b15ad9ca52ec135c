"""The phone's server without a browser: who is let in, what is served, and the message for each mistake."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebench.device.phone import answers, assets, certificate, code
from edgebench.device.phone import http as web
from edgebench.device.phone.device import describe_browser
from edgebench.device.phone.page import HttpRefusal, Page, PageGone, PageReloaded
from edgebench.device.phone.station import Station
from edgebench.device.phone.worker import PageWorker
from edgebench.errors import BadFile, UserError
from edgebench.progress import Silent
from edgebench.schema.targets import Target, with_page

pytestmark = pytest.mark.phone

TOKEN = "a-token-of-twenty-two-"


class Caller:
    """A browser's requests, with headers that can be wrong."""

    def __init__(self, server: web.Server) -> None:
        self.server = server
        self.host = f"localhost:{server.server_port}"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        with contextlib.closing(connection):
            sent = {"Host": self.host, **headers}
            data = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, data, {name.replace("_", "-"): value for name, value in sent.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        allowed = {"Authorization": f"Bearer {TOKEN}", "Origin": f"http://{self.host}"}
        status, data, _ = self("POST", path, body, **{**allowed, **headers})
        return status, json.loads(data)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    config = {
        "target": "phone", "workdir": str(tmp_path / "work"), "assets": str(tmp_path / "assets"), "versions": {},
        "folders": {}, "token": TOKEN, "bind": "127.0.0.1", "port": 0, "hosts": ["localhost", "127.0.0.1"],
        "certificate": "", "gone_s": 2.0,
    }  # fmt: skip
    return Station(config)


@pytest.fixture
def call(station: Station) -> Iterator[Caller]:
    server = web.serve(station)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield Caller(server)
    server.shutdown()
    server.server_close()
    thread.join()


def hello(client: str = "c", page: str = "p", **facts: Any) -> dict[str, Any]:
    return {"client": client, "page": page, "facts": facts}


# ------------------------------------------------------------------ who is let in


def test_the_page_is_for_anybody_and_isolates_itself(call: Caller) -> None:
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/licences.txt", "text/plain")):
        status, body, headers = call("GET", path)
        assert status == 200 and body and headers["Content-Type"].startswith(kind)
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert b"MIT License" in call("GET", "/licences.txt")[1] and b"Apache License" in call("GET", "/licences.txt")[1]


@pytest.mark.parametrize(
    "authorization", ["", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_without_the_code_nobody_gets_in(call: Caller, station: Station, authorization: str) -> None:
    status, told = call.post("/api/hello", hello(), Authorization=authorization.encode().decode("latin-1"))
    assert status == 401 and told["title"] == "This code is no longer valid" and "Scan" in told["remedy"]
    assert not station.page.is_here()
    assert station.take_turned_away() == [f"{told['title']}. {told['remedy']}"]


@pytest.mark.parametrize("origin", ["", "null", "http://evil.example", "https://localhost:1"])
def test_a_foreign_page_may_say_nothing(call: Caller, station: Station, origin: str) -> None:
    status, told = call.post("/api/hello", hello(), Origin=origin)
    assert status == 403 and told["title"] == "Request from another page" and not station.page.is_here()


def test_another_name_for_this_server_is_refused(call: Caller) -> None:
    """A foreign name that resolves to this machine (DNS rebinding) gets nothing."""
    call.host = f"evil.example:{call.server.server_port}"
    assert call("GET", "/")[0] == 403
    assert call.post("/api/hello", hello())[0] == 403


def test_models_need_the_code(call: Caller, station: Station) -> None:
    sha256 = "ab" * 32
    station.store.blob(sha256).write_bytes(b"a model")
    assert call("GET", f"/b/{sha256}")[0] == 401
    status, body, _ = call("GET", f"/b/{sha256}", Authorization=f"Bearer {TOKEN}")
    assert (status, body) == (200, b"a model")
    assert call("GET", f"/b/{'cd' * 32}", Authorization=f"Bearer {TOKEN}")[0] == 404


@pytest.mark.parametrize(
    "path", ["/../targets.yaml", "/%2e%2e/x", "/runtimes/../page.js", "/assets/../../etc/passwd", "/assets/x/..gz",
             "/b/xyz",
             "/index.html", "/server.json"]
)  # fmt: skip
def test_no_path_leads_out(call: Caller, path: str) -> None:
    assert call("GET", path, Authorization=f"Bearer {TOKEN}")[0] == 404


@pytest.mark.parametrize("length", ["", "x", "-1", str(web.MAX_BODY_BYTES + 1)])
def test_a_body_of_unknown_or_great_length_is_not_read(call: Caller, length: str) -> None:
    assert call.post("/api/hello", None, Content_Length=length)[0] == 413


def test_what_is_no_message_is_refused(call: Caller, station: Station) -> None:
    assert call.post("/api/hello", [1])[0] == 400
    assert call.post("/api/turn", {"client": "c", "page": "p"})[0] == 404  # no hello before
    assert call.post("/api/hello", {"client": ["c"], "page": 7, "facts": "x"})[0] == 400
    assert call.post("/api/hello", {"client": "c", "page": "p", "facts": "x"})[0] == 200
    assert station.page.facts == {}


def test_assets_travel_compressed_or_not_as_the_browser_likes(call: Caller, tmp_path: Path) -> None:
    folder = tmp_path / "assets/ort-1"
    folder.mkdir(parents=True)
    (folder / "a.wasm.gz").write_bytes(gzip.compress(b"wasm" * 100))
    status, body, headers = call("GET", "/assets/ort-1/a.wasm", Accept_Encoding="gzip, br")
    assert status == 200 and gzip.decompress(body) == b"wasm" * 100 and headers["Content-Encoding"] == "gzip"
    assert "immutable" in headers["Cache-Control"]
    status, body, headers = call("GET", "/assets/ort-1/a.wasm", Accept_Encoding="identity")
    assert body == b"wasm" * 100 and "Content-Encoding" not in headers
    assert call("GET", "/assets/ort-1/b.wasm")[0] == 404


# ------------------------------------------------------------------ requests and answers


class Asked:
    """A request that the job puts to the page, in a thread of its own."""

    def __init__(self, page: Page, timeout_s: float = 10.0) -> None:
        self.outcome: Any = None
        self._thread = threading.Thread(target=self._ask, args=(page, timeout_s))
        self._thread.start()

    def _ask(self, page: Page, timeout_s: float) -> None:
        try:
            self.outcome = page.ask({"do": "time"}, timeout_s)
        except (PageReloaded, PageGone, TimeoutError) as error:
            self.outcome = error

    def result(self) -> Any:
        self._thread.join(15)
        return self.outcome


def test_a_request_that_did_not_arrive_is_given_again_and_an_answer_counts_once() -> None:
    page = Page()
    page.hello("c", "p", {})
    asked = Asked(page)
    first = page.turn("c", "p", None)["request"]
    assert page.turn("c", "p", None)["request"] == first  # the answer with it was lost on the way
    page.turn("c", "p", {"id": first["id"], "ok": 1}, wait_s=0)
    page.turn("c", "p", {"id": first["id"], "ok": 2}, wait_s=0)  # said again
    assert asked.result() == {"id": first["id"], "ok": 1}
    again = Asked(page)
    page.turn("c", "p", {"id": first["id"], "ok": 3}, wait_s=0)  # the answer to another question
    second = page.turn("c", "p", None)["request"]
    assert second["id"] != first["id"]
    page.turn("c", "p", {"id": second["id"], "ok": 4}, wait_s=0)
    assert again.result()["ok"] == 4


def test_a_reload_ends_the_request_and_a_silent_phone_is_gone() -> None:
    page = Page(gone_s=0.3)
    page.hello("c", "p", {})
    asked = Asked(page)
    page.turn("c", "p", None)
    page.leave("c", "p")
    page.hello("c", "p2", {})
    assert isinstance(asked.result(), PageReloaded)
    with pytest.raises(HttpRefusal):
        page.turn("c", "p", None)
    assert isinstance(Asked(page).result(), PageGone)


def test_a_page_that_was_closed_is_not_here_until_it_speaks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in transit when it was closed is not a sign of life; browsers can restore a page."""
    page = Page()
    page.hello("c", "p", {})
    assert page.is_here()
    page.leave("c", "other")
    assert page.is_here()
    page.leave("c", "p")
    assert not page.is_here() and isinstance(Asked(page, timeout_s=0.1).result(), PageGone)
    page.turn("c", "p", None, wait_s=0)
    assert not page.is_here() and isinstance(Asked(page, timeout_s=0.1).result(), PageGone)
    monkeypatch.setattr("edgebench.device.phone.presence.LATE_S", 0)
    page.turn("c", "p", None, wait_s=0)
    assert page.is_here() and isinstance(Asked(page, timeout_s=0.1).result(), TimeoutError)


class Phone:
    """A page that keeps its request open, as page.js does, until it is switched off; `cut`: without a word."""

    def __init__(self, call: Caller, client: str, page: str = "p", **facts: Any) -> None:
        self._call, self._who = call, {"client": client, "page": page}
        self._on = threading.Event()
        self._on.set()
        self._open: http.client.HTTPConnection | None = None
        self.told = call.post("/api/hello", hello(client, page, **facts))
        self._thread = threading.Thread(target=self._stay, daemon=True)
        if self.told[0] == 200:
            self._thread.start()
            time.sleep(0.2)

    def _stay(self) -> None:
        headers = {"Host": self._call.host, "Authorization": f"Bearer {TOKEN}", "Origin": f"http://{self._call.host}"}
        while self._on.is_set():
            self._open = http.client.HTTPConnection("127.0.0.1", self._call.server.server_port, timeout=30)
            with contextlib.closing(self._open), contextlib.suppress(OSError, http.client.HTTPException):
                self._open.request("POST", "/api/stay", json.dumps(self._who), headers)
                self._open.getresponse().read()

    def fall_silent(self) -> None:
        """Out of reach: its connections stay as they are."""
        self._on.clear()

    def kill(self) -> None:
        self._on.clear()
        assert self._open is not None
        self._open.sock.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        self._on.clear()
        self._call.post("/api/leave", self._who)


@pytest.mark.parametrize(
    ("how", "within_s", "in_use"),
    [("leave", 1.0, False), ("leave", 1.0, True), ("kill", 2.0, True), ("fall_silent", 7.0, True)],
)
def test_another_page_takes_over_once_the_first_is_no_longer_there(
    station: Station, call: Caller, how: str, within_s: float, in_use: bool
) -> None:
    """Also while a job runs: it continues with the new page."""
    first = Phone(call, "first", cores=8)
    station.page.in_use = in_use
    status, told = call.post("/api/hello", hello("second", cores=8))
    assert (
        status == 409
        and told["title"] == "Another phone or tab has this code"
        and "Close the page there" in told["remedy"]
    )
    getattr(first, how)()
    begun = time.monotonic()
    while call.post("/api/hello", hello("second", cores=8))[0] != 200:
        assert time.monotonic() - begun < 20
    assert time.monotonic() - begun < within_s + 3  # a busy machine; the knocking itself is answered at once
    assert station.page.anew == station.page.generation == 2
    call.post("/api/leave", {"client": "second", "page": "p"})
    assert call.post("/api/hello", hello("second", "q", cores=8))[0] == 200  # a reload
    assert station.page.generation == 3 and station.page.anew == 2


def test_a_job_does_not_go_on_with_another_phone(station: Station, call: Caller) -> None:
    """Two devices in one record would not be visible in the numbers."""
    first = Phone(call, "first", cores=8, user_agent="A")
    station.page.in_use = True
    first.leave()
    status, told = call.post("/api/hello", hello("second", cores=4, user_agent="A"))
    assert status == 409 and told["title"] == "Another phone is being measured" and "Ctrl-C" in told["remedy"]
    assert call.post("/api/hello", hello("third", cores=8, user_agent="A"))[0] == 200


def test_a_tab_that_was_doubled_is_another_page(station: Station, call: Caller) -> None:
    """Browsers copy what the first one has stored, its id included."""
    first = Phone(call, "same", "one")
    assert call.post("/api/hello", hello("same", "two"))[0] == 409
    first.leave()
    assert call.post("/api/hello", hello("same", "two"))[0] == 200


def test_what_is_wrong_is_told_once_and_not_for_every_try(station: Station, call: Caller) -> None:
    for _ in range(10):
        call.post("/api/hello", hello(), Authorization="Bearer wrong")
    assert len(station.take_turned_away()) == 1 and station.take_turned_away() == []


@pytest.mark.parametrize("values", [None, [1], [1, -2, 3], [1, 2.5, 3], [1, "2", 3], "123"])
def test_values_that_are_none_fail_the_artifact_and_nothing_else(values: Any) -> None:
    from device_agents.python.process import WorkerFailed

    page = Page()
    page.hello("c", "p", {})
    worker = PageWorker(page, {}, {})
    told: list[Any] = []

    def ask() -> None:
        try:
            worker.time(10.0, count=3, block=1)
        except WorkerFailed as failure:
            told.append(failure.kind)

    thread = threading.Thread(target=ask)
    thread.start()
    request = page.turn("c", "p", None)["request"]
    page.turn("c", "p", {"id": request["id"], "ok": {"start_ns": 1, "values_ns": values}}, wait_s=0)
    thread.join(10)
    assert told == ["error"]


def test_a_value_below_the_clock_is_no_reason_to_fail() -> None:
    said = {"ok": {"start_ns": 0, "duration_ns": 9000, "values_ns": [0, 5000, 0]}}
    assert answers.timed(said, {"count": 3}, 10_000)[1] == [1, 5000, 1]


# ------------------------------------------------------------------ on the way to the page


_APPLE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{_ANDROID} Chrome/156.0.0.0 Mobile Safari/537.36", "Chrome 156"),
        (f"{_ANDROID} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung Internet 28"),
        (f"{_APPLE} Version/18.5 Mobile/15E148 Safari/604.1", "Safari 18.5"),
        (f"{_APPLE} CriOS/155.0.1 Mobile/15E148 Safari/604.1", "Chrome 155"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0", "Firefox 153"),
        ("curl/8", "an unknown browser"),
    ],
)
def test_browsers_are_called_what_they_are(user_agent: str, name: str) -> None:
    assert describe_browser(user_agent) == name


def test_a_package_that_is_not_the_pinned_one_is_not_used(tmp_path: Path) -> None:
    package = assets.PACKAGES[0]
    with pytest.raises(BadFile, match=r"npm pack onnxruntime-web@1\.30\.0"):
        assets.ensure(Silent(), tmp_path)
    (tmp_path / package.tarball).write_bytes(b"something else")
    with pytest.raises(BadFile, match="differs from the pinned onnxruntime-web 1.30.0"):
        assets.ensure(Silent(), tmp_path)


def test_without_npm_it_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="`npm` is not installed.*--assets DIR"):
        assets.ensure(Silent(), None)


def test_the_code_is_drawn_with_its_address_under_it() -> None:
    lines = code.lines("http://192.168.1.23:8765/#t=" + TOKEN).splitlines()
    assert len(lines) <= 20 and lines[-1] == "http://192.168.1.23:8765/#t=" + TOKEN
    assert {len(line) for line in lines[:-1]} == {33}


def test_a_certificate_is_made_once_and_for_its_names(tmp_path: Path) -> None:
    path = certificate.ensure(tmp_path, ["192.168.1.23", "localhost"])
    assert certificate.ensure(tmp_path, ["192.168.1.23", "localhost"]) == path
    assert certificate.ensure(tmp_path, ["192.168.1.24", "localhost"]) != path
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    assert len(certificate.fingerprint(path)) == 95


def test_options_of_the_page_are_for_targets_that_have_one() -> None:
    phone = Target(name="phone", transport="web")
    assert with_page(phone, lan=True, https=True, assets=None) == Target(
        name="phone", transport="web", lan=True, https=True
    )
    here = Target(name="here", transport="local")
    assert with_page(here, lan=False, https=False, assets=None) is here
    with pytest.raises(UserError, match="a phone reached over a network"):
        with_page(here, lan=True, https=False, assets=None)
