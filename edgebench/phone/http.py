"""What the page is served and may say. Everything from a browser is untrusted.

    GET  /, /page.js, /assets/...    for anybody who finds the port: the page and public libraries
    GET  /b/<sha256>                 with the token: models and golden inputs
    POST /api/hello, turn, leave     with the token, from our own page only

The token is in the fragment of the URL, which no browser sends or logs. A `Host` that is not ours is refused (DNS
rebinding), so is a POST whose `Origin` is not this page.
"""

from __future__ import annotations

import gzip
import hmac
import json
import re
import shutil
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

import device_agents
from edgebench.phone.page import Refused

if TYPE_CHECKING:
    from edgebench.phone.station import Station

MAX_BODY_BYTES = 16 << 20
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
    # The first three isolate the page, where the context is secure: without them no threads and a coarse clock.
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


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Another server on this port must be seen, not shared with.
    allow_reuse_port = False

    def __init__(self, station: Station) -> None:
        self.station = station
        config = station.config
        self.tls: ssl.SSLContext | None = None
        if config["certificate"]:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(config["certificate"])
        super().__init__((config["bind"], config["port"]), Handler)
        self.hosts = {f"{host}:{self.server_port}" for host in config["hosts"]}

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.tls:  # the handshake is the handler's: one that dawdles must not hold up the others
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, ssl.SSLError)):  # a phone that goes away is no bug
            super().handle_error(request, client_address)


def serve(station: Station) -> Server:
    """Raises OSError if the port is taken."""
    return Server(station)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "edgebench"
    sys_version = ""
    timeout = 60
    # An answer in one packet, at once: waiting for acknowledgements costs 40 ms for each request of a job.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, what: Any) -> None:
        try:
            self._check_host()
            what(urlsplit(self.path).path)
        except Refused as refused:
            if refused.status in (401, 403, 409):
                self.server.station.turned_away(f"{refused.title}. {refused.remedy}")
            self.close_connection = True  # a body that nobody read may still be on its way
            self._send_json({"title": refused.title, "remedy": refused.remedy}, refused.status)

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
            raise Refused(404, "Nothing here", "Scan the code that edgebench shows.")

    def _send_file(self, path: Path, kind: str = "") -> None:
        if not path.is_file():
            raise Refused(404, "Nothing here", "Scan the code that edgebench shows.")
        with path.open("rb") as stream:
            self._send(kind or _KINDS[path.suffix], path.stat().st_size, stream, {"Cache-Control": "no-store"})

    def _send_compressed(self, path: Path, suffix: str) -> None:
        """Versions are in the paths: browsers may keep these files for ever."""
        if not path.is_file():
            raise Refused(404, "Nothing here", "Scan the code that edgebench shows.")
        keep = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            with path.open("rb") as stream:
                self._send(_KINDS[suffix], path.stat().st_size, stream, {**keep, "Content-Encoding": "gzip"})
        else:
            with gzip.open(path) as unpacked:
                size = unpacked.seek(0, 2)
                unpacked.seek(0)
                self._send(_KINDS[suffix], size, unpacked, keep)

    # ------------------------------------------------------------------ what the page says

    def _post(self, path: str) -> None:
        self._check_origin()
        self._check_token()
        said = self._read_json()
        client, page = str(said.get("client", ""))[:64], str(said.get("page", ""))[:64]
        station = self.server.station
        if path == "/api/hello":
            facts = said.get("facts")
            station.page.hello(client, page, facts if isinstance(facts, dict) else {})
            self._send_json({"target": station.config["target"]})
        elif path == "/api/turn" and "busy" in said:
            station.page.busy(client, page)
            self._send_json({})
        elif path == "/api/leave":
            station.page.leave(client, page)
            self._send_json({})
        elif path == "/api/turn":
            answer = said.get("answer")
            turn = station.page.turn(client, page, answer if isinstance(answer, dict) else None)
            self._send_json({**turn, "show": station.show.now()})
        else:
            raise Refused(404, "Nothing here", "Scan the code that edgebench shows.")

    def _read_json(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise Refused(413, "Too much", "Reload the page.")
        try:
            said = json.loads(self.rfile.read(int(length)))
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Refused(400, "Not understood", "Reload the page.")
        return said

    # ------------------------------------------------------------------ who may

    def _check_host(self) -> None:
        host = self.headers.get("Host", "")
        # adb may lead from any port of the phone's localhost to here; no foreign page is on either localhost.
        if host not in self.server.hosts and not _LOCALHOST.fullmatch(host):
            raise Refused(403, "Not the address of this server", "Scan the code that edgebench shows.")

    def _check_origin(self) -> None:
        scheme = "https" if self.server.tls else "http"
        if self.headers.get("Origin") != f"{scheme}://{self.headers.get('Host')}":
            raise Refused(403, "Another page asked", "Only edgebench's own page may; scan the code that it shows.")

    def _check_token(self) -> None:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        wanted = self.server.station.config["token"]
        if kind != "Bearer" or not hmac.compare_digest(token.encode(), wanted.encode()):
            raise Refused(401, "This code is not valid any more", "Scan the code that edgebench shows now.")

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
        """Every poll would be a line."""
