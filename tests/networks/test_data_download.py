"""Downloads of data sets: taken up where they broke off, checked, and extracted; from a server on a pair of sockets."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import threading
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from edgebench.errors import UserError
from edgebench.files import download
from edgebench.networks import data
from tests.support.small_data import md5, small_emnist_balanced, small_mnist, small_octmnist
from tests.support.small_data import no_network as no_network
from tests.support.small_data import root as root


class Server:
    """Files over real HTTP, on a socket that is not one of the network's; it breaks off in the middle when told to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.asked: list[tuple[str, int]] = []
        self.breaks: dict[str, list[int]] = {}
        self.ranges = True

    def open(self, request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
        name = request.full_url.rpartition("/")[2]
        content = (self.folder / name).read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-", request.get_header("Range") or "")
        start = int(asked[1]) if asked and self.ranges else 0
        self.asked.append((name, start))
        if asked and start >= len(content):
            raise urllib.error.HTTPError(
                request.full_url, 416, "range not satisfiable", http.client.HTTPMessage(), None
            )
        sent = content[start:]
        if self.breaks.get(name):
            sent = sent[: self.breaks[name].pop(0)]
        status = "206 Partial Content" if asked and self.ranges else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content) - start}\r\n\r\n".encode()
        here, there = socket.socketpair()
        threading.Thread(target=lambda: (there.sendall(head + sent), there.close()), daemon=True).start()
        answer = http.client.HTTPResponse(here)
        answer.begin()
        here.close()
        return answer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    served = Server(tmp_path / "server")
    monkeypatch.setattr(urllib.request, "urlopen", served.open)
    return served


@pytest.fixture
def fetched(tmp_path: Path, server: Server) -> tuple[Path, bytes, str]:
    """A file on the server, where it is to go, and its checksum."""
    content = bytes(range(256)) * 4000
    (server.folder / "set.gz").write_bytes(content)
    return tmp_path / "here" / "set.gz", content, md5(server.folder / "set.gz")


def test_a_broken_link_is_taken_up_where_it_broke(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    server.breaks["set.gz"] = [300_000, 500_000]
    download.fetch(["http://server/set.gz"], path, digest)
    assert path.read_bytes() == content
    assert server.asked == [("set.gz", 0), ("set.gz", 300_000), ("set.gz", 800_000)]
    assert [one.name for one in path.parent.iterdir()] == ["set.gz"]


def test_what_an_earlier_run_got_is_not_fetched_again(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    server.breaks["set.gz"] = [300_000, 0]
    with pytest.raises(download.NotFetched, match="closed the connection early"):
        download.fetch(["http://server/set.gz"], path, digest)
    assert not path.exists()
    server.asked.clear()
    download.fetch(["http://server/set.gz"], path, digest)
    assert (path.read_bytes(), server.asked) == (content, [("set.gz", 300_000)])


def test_a_server_without_ranges_begins_again(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    server.ranges = False
    path.parent.mkdir()
    (path.parent / "set.gz.part").write_bytes(content[:1000])
    download.fetch(["http://server/set.gz"], path, digest)
    assert path.read_bytes() == content


def test_a_part_that_is_whole_only_needs_its_name(server: Server, fetched: tuple[Path, bytes, str]) -> None:
    path, content, digest = fetched
    path.parent.mkdir()
    (path.parent / "set.gz.part").write_bytes(content)
    download.fetch(["http://server/set.gz"], path, digest)
    assert path.read_bytes() == content


def test_another_file_is_thrown_away_and_the_next_address_asked(
    server: Server, fetched: tuple[Path, bytes, str]
) -> None:
    path, content, digest = fetched
    (server.folder / "login.html").write_bytes(b"a login page of the hotel")
    with pytest.raises(download.NotFetched, match="login.html sends a file that differs"):
        download.fetch(["http://server/login.html"], path, digest)
    assert list(path.parent.iterdir()) == []
    download.fetch(["http://server/login.html", "http://server/set.gz"], path, digest)
    assert path.read_bytes() == content


def test_octmnist_is_fetched(root: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    small_octmnist(tmp_path, monkeypatch)
    (tmp_path / "octmnist.npz").rename(server.folder / "octmnist.npz")
    assert len(data.load("octmnist").train) == 400
    assert server.asked == [("octmnist.npz", 0)]


def test_an_interrupted_download_is_not_trusted_and_goes_on_where_it_stopped(
    root: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    elsewhere = tmp_path / "elsewhere"
    small_mnist(elsewhere, monkeypatch)
    resources = []
    for name, _ in datasets.MNIST.resources:
        plain = elsewhere / "MNIST" / "raw" / name.removesuffix(".gz")
        (server.folder / name).write_bytes(gzip.compress(plain.read_bytes()))
        resources.append((name, md5(server.folder / name)))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    first, labels, third, last = (name for name, _ in resources)

    server.breaks[third] = [100] + [0] * len(datasets.MNIST.mirrors)
    with pytest.raises(UserError, match=r"closed the connection early.*the download resumes"):
        data.load("mnist")
    raw = root / "MNIST" / "raw"
    assert (raw / f"{third}.part").stat().st_size == 100 and not (raw / third.removesuffix(".gz")).exists()

    server.asked.clear()
    assert len(data.load("mnist").test) == 30
    assert server.asked == [(third, 100), (last, 0)]

    server.asked.clear()  # complete: nothing is fetched; an extracted file that was deleted is made from its archive
    (raw / labels.removesuffix(".gz")).unlink()
    assert len(data.load("mnist").test) == 30
    assert server.asked == []


def test_an_archive_with_a_wrong_checksum_is_told_and_not_extracted(root: Path, server: Server) -> None:
    (server.folder / "cifar-100-python.tar.gz").write_bytes(b"a login page of the hotel")
    with pytest.raises(UserError, match=r"cifar-100-python.tar.gz sends a file that differs from the official one"):
        data.load("cifar100")
    assert list(root.iterdir()) == []


def test_emnist_is_made_from_its_one_archive(
    root: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    elsewhere = tmp_path / "elsewhere"
    small_emnist_balanced(elsewhere, monkeypatch)
    archive = server.folder / "gzip.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for path in (elsewhere / "EMNIST" / "raw").iterdir():
            made.writestr(f"gzip/{path.name}.gz", gzip.compress(path.read_bytes(), 1))
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(archive))
    assert len(data.load("emnist-balanced").test) == 47
    assert server.asked == [("gzip.zip", 0)]
