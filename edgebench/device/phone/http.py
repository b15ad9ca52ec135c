"""The requests that the server answers. Everything from a browser is untrusted.

    GET  /, /page.js, /assets/...    for anyone who finds the port: the page and public libraries
    GET  /b/<sha256>                 with the token: models and golden inputs
    POST /api/hello, stay, turn, leave     with the token, only from our own page

The token is in the fragment of the URL, which browsers neither send nor log. A foreign `Host` is refused (DNS
rebinding), and so is a POST whose `Origin` is not this page.
"""

from __future__ import annotations

import gzip
import hmac
import json
import re
import select
import shutil
import ssl
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import device_agents
from edgebench.device.phone import messages
from edgebench.device.phone.guard import (
    HEAD_S,
    IDLE_S,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    GuardedServer,
    LimitedStream,
    TooLong,
)
from edgebench.device.phone.page import HttpRefusal

if TYPE_CHECKING:
    from edgebench.device.phone.station import Station

MAX_BODY_BYTES = 2 << 20
# For the outputs of golden inputs: a detector has many.
MAX_ANSWERS_BYTES = 16 << 20
# For a body to arrive, and for the longest answer (a runtime of 14 MB) or a poll to be sent.
BODY_S, SEND_S = 60.0, 300.0
WEB = Path(device_agents.__file__).parent / "web"
_KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css",
    ".wasm": "application/wasm", ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
_PAGE_FILE = re.compile(r"/(?:runtimes/)?[a-z-]+\.(?:js|css|txt)")
_ASSET = re.compile(r"/assets/([a-z0-9.-]+)/([a-z_.-]+\.(?:js|mjs|wasm))")
_LOCALHOST = re.compile(r"(?:localhost|127\.0\.0\.1):\d+")
_BLOB = re.compile(r"/b/([0-9a-f]{64})")
_HEADERS = {
    # The first three isolate the page in a secure context; without them it has one thread and a coarse clock.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; img-src data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Server(GuardedServer):
    def __init__(self, station: Station) -> None:
        self.station = station
        config = station.config
        if config["certificate"]:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(config["certificate"])
        super().__init__((config["bind"], config["port"]), Handler)
        self.hosts = {f"{host}:{self.server_port}" for host in config["hosts"]}


def serve(station: Station) -> Server:
    """Raises OSError if the port is taken."""
    return Server(station)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "edgebench"
    sys_version = ""
    timeout = IDLE_S
    # Each answer in one packet, at once: waiting for acknowledgements costs 40 ms for each request of a job.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self.rfile = cast("BufferedIOBase", LimitedStream(cast("IO[bytes]", self.rfile)))

    def _limited(self) -> LimitedStream:
        return cast("LimitedStream", self.rfile)

    def handle_one_request(self) -> None:
        """Replaces the library's method: limits bytes and time, and answers malformed requests in our own words."""
        server, rfile = self.server, self._limited()
        self.close_connection = True
        self.command = self.requestline = ""
        try:
            if not rfile.has_more():
                return
            server.grant(self.connection, HEAD_S)
            rfile.allow(MAX_HEAD_BYTES)
            self.raw_requestline = rfile.readline(MAX_LINE_BYTES + 1)
            if len(self.raw_requestline) > MAX_LINE_BYTES:
                raise TooLong
            if self.parse_request():
                server.grant(self.connection, SEND_S)
                self._answer()
        except TooLong:
            self.send_error(431)
        self.wfile.flush()
        server.grant(self.connection, IDLE_S if server.is_trusted(self.connection) else HEAD_S)

    def _answer(self) -> None:
        try:
            self._check_host()
            if not self.path.startswith("/"):
                raise HttpRefusal(400, "Not a valid request", "Scan the code that edgebench shows.")
            path = self.path.partition("?")[0]
            if self.command == "GET":
                self._get(path)
            elif self.command == "POST":
                self._post(path)
            else:
                raise HttpRefusal(405, "Not a valid request", "Scan the code that edgebench shows.")
        except HttpRefusal as refused:
            self._refuse(refused)

    def _refuse(self, refused: HttpRefusal) -> None:
        if refused.status in (401, 403, 409):
            self.server.station.turned_away(f"{refused.title}. {refused.remedy}")
        self.close_connection = True  # an unread body may still be arriving
        self._send_json({"title": refused.title, "remedy": refused.remedy}, refused.status)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The library calls this for malformed heads."""
        self.close_connection = True
        self.request_version = self.protocol_version  # the request's may be malformed
        content = {"title": "Not a valid request", "remedy": "Scan the code that edgebench shows."}
        self._send_json(content, code if code < 500 else 400)

    # ------------------------------------------------------------------ files

    def _get(self, path: str) -> None:
        asset, blob = _ASSET.fullmatch(path), _BLOB.fullmatch(path)
        if path == "/":
            self._send_file(WEB / "index.html")
        elif asset:
            folder = Path(self.server.station.config["assets"])
            self._send_compressed(folder / asset[1] / (asset[2] + ".gz"), Path(asset[2]).suffix)
        elif blob:
            self._check_token()
            self._send_file(self.server.station.store.blob(blob[1]), "application/octet-stream")
        elif _PAGE_FILE.fullmatch(path):
            self._send_file(WEB / path[1:])
        else:
            raise HttpRefusal(404, "Not found", "Scan the code that edgebench shows.")

    def _send_file(self, path: Path, kind: str = "") -> None:
        if not path.is_file():
            raise HttpRefusal(404, "Not found", "Scan the code that edgebench shows.")
        with path.open("rb") as stream:
            self._send(kind or _KINDS[path.suffix], path.stat().st_size, stream, {"Cache-Control": "no-store"})

    def _send_compressed(self, path: Path, suffix: str) -> None:
        """The paths contain versions, so browsers may keep these files forever."""
        if not path.is_file():
            raise HttpRefusal(404, "Not found", "Scan the code that edgebench shows.")
        keep = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            with path.open("rb") as stream:
                self._send(_KINDS[suffix], path.stat().st_size, stream, {**keep, "Content-Encoding": "gzip"})
        else:
            with gzip.open(path) as unpacked:
                self._send(_KINDS[suffix], _unpacked_size(path), unpacked, keep)

    # ------------------------------------------------------------------ the page's requests

    def _post(self, path: str) -> None:
        self._check_origin()
        self._check_token()
        station = self.server.station
        with station.room_for(self._body_length()):
            said = self._read_json()
        client, page = messages.name(said.get("client")), messages.name(said.get("page"))
        if not (client and page):
            raise HttpRefusal(400, "Not understood", "Reload the page.")
        if path == "/api/hello":
            station.page.hello(client, page, messages.facts(said.get("facts")))
            settings = {"target": station.config["target"], "threads": station.config.get("threads", 1)}
            self._send_json({**settings, "show": station.show.now()})
        elif path == "/api/stay":
            station.page.stay(client, page, self._is_cut, said.get("hidden") is True)
            self._send_json({})
        elif path == "/api/leave":
            station.page.leave(client, page)
            self._send_json({})
        elif path == "/api/turn":
            answer = said.get("answer")
            turn = station.page.turn(client, page, answer if isinstance(answer, dict) else None)
            self._send_json({**turn, "show": station.show.now()})
        else:
            raise HttpRefusal(404, "Not found", "Scan the code that edgebench shows.")

    def _body_length(self) -> int:
        lengths = self.headers.get_all("Content-Length", [])
        most = MAX_ANSWERS_BYTES if self.server.station.page.awaits() == "golden" else MAX_BODY_BYTES
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,9}", lengths[0]) or int(lengths[0]) > most:
            raise HttpRefusal(413, "Too large", f"Messages may have at most {most >> 20} MiB.")
        return int(lengths[0])

    def _read_json(self) -> dict[str, Any]:
        length, rfile = self._body_length(), self._limited()
        self.server.grant(self.connection, BODY_S)
        rfile.allow(length)
        said = messages.read(rfile.read(length), length)
        self.server.grant(self.connection, SEND_S)
        return said

    def _is_cut(self, seconds: float) -> bool:
        """Whether the connection ends within `seconds`: a browser sends nothing before it has the answer."""
        ready, _, _ = select.select([self.connection], [], [], seconds)
        return bool(ready)

    # ------------------------------------------------------------------ access

    def _check_host(self) -> None:
        host = self.headers.get("Host", "")
        # With adb any port of the phone's localhost may lead here; there are no foreign pages on either localhost.
        if host not in self.server.hosts and not _LOCALHOST.fullmatch(host):
            raise HttpRefusal(403, "Not the address of this server", "Scan the code that edgebench shows.")

    def _check_origin(self) -> None:
        scheme = "https" if self.server.tls else "http"
        if self.headers.get("Origin") != f"{scheme}://{self.headers.get('Host')}":
            raise HttpRefusal(
                403, "Request from another page", "Scan the code that edgebench shows to open its own page."
            )

    def _check_token(self) -> None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        wanted = self.server.station.config["token"]
        if kind != "Bearer" or not hmac.compare_digest(token.encode(), wanted.encode()):
            raise HttpRefusal(401, "This code is no longer valid", "Scan the code that edgebench shows now.")
        self.server.trust(self.connection)

    # ------------------------------------------------------------------ answers

    def _send_json(self, content: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(content).encode()
        self._head(status, "application/json", len(data), {"Cache-Control": "no-store"})
        self.wfile.write(data)

    def _send(self, kind: str, size: int, stream: BinaryIO | gzip.GzipFile, headers: dict[str, str]) -> None:
        self._head(200, kind, size, headers)
        shutil.copyfileobj(stream, self.wfile)

    def _head(self, status: int, kind: str, size: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(size), **_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: every poll would be a line."""


def _unpacked_size(path: Path) -> int:
    """The last four bytes of a gzip file below 4 GiB."""
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        return int.from_bytes(stream.read(4), "little")
