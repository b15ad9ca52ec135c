"""What phones need is kept in the cache: a disk that is full there is one sentence."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebench.device.phone import assets, bundle, certificate
from edgebench.device.phone.assets import NpmPackage
from edgebench.errors import UserError
from edgebench.progress import Silent
from tests.support.faults import board as boards

FULL = r"the cache cannot be written \(No space left on device\). Free some space there, or set EDGEBENCH_CACHE"


@pytest.fixture
def full(cache: Path) -> Iterator[Path]:
    """The cache is on a disk that has no room left."""
    if not boards.small_disk(cache, "64k"):
        pytest.skip("only root may mount a small disk")
    with (cache / "filler").open("wb", buffering=0) as stream, pytest.raises(OSError):
        while True:
            stream.write(bytes(4096))
    yield cache
    boards.remove_disk(cache)


def npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `npm` that does this."""
    program = folder / "bin/npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def tarball(folder: Path) -> NpmPackage:
    """A package as npm packs it, with a file that cannot be compressed."""
    package = NpmPackage("made-up", "made-up", "1.0.0", "", ("dist/a.js",))
    data = os.urandom(1 << 17)
    with tarfile.open(folder / package.tarball, "w:gz") as archive:
        member = tarfile.TarInfo("package/dist/a.js")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    digest = hashlib.sha512((folder / package.tarball).read_bytes()).digest()
    return NpmPackage("made-up", "made-up", "1.0.0", base64.b64encode(digest).decode(), ("dist/a.js",))


def test_a_certificate_has_no_room(full: Path) -> None:
    with pytest.raises(UserError, match=FULL):
        certificate.ensure(full / "phone", ["localhost"])
    assert not list(full.rglob("*.part"))


def test_a_package_has_no_room(full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tarball(tmp_path)
    monkeypatch.setattr(assets, "PACKAGES", (package,))
    with pytest.raises(UserError, match=FULL):
        assets.ensure(Silent(), tmp_path, ("made-up",))
    assert not list(full.rglob("*.gz"))


def test_npm_has_no_room(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, "echo 'npm error code ENOSPC' >&2; exit 228", monkeypatch)
    with pytest.raises(UserError, match=r"npm's cache: " + FULL):
        assets.ensure(Silent(), None)


def test_npm_says_why_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, "case $* in *silent*) ;; *) echo 'npm error code ECONNREFUSED' >&2;; esac; exit 1", monkeypatch)
    with pytest.raises(UserError, match=r"npm cannot download it \(npm error code ECONNREFUSED\)"):
        assets.ensure(Silent(), None)


def test_the_bundle_for_android_has_no_room(full: Path) -> None:
    with pytest.raises(UserError, match="No space left on device.*Free some space there, or set EDGEBENCH_CACHE"):
        bundle.build(Silent())
