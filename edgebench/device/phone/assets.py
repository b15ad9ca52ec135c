"""The runtimes that the page loads: two npm packages, pinned and checked, kept compressed in the user's cache. What a
target does not name in its `runtimes` is not fetched.

They are fetched by the user's own `npm`, with its registry and its settings, or taken from a folder with the two
tarballs (`--assets`): `npm pack NAME@VERSION` makes them on any machine that is online.
"""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebench.errors import BadFile, UserError
from edgebench.files import cache
from edgebench.progress import Progress


@dataclass(frozen=True)
class Package:
    """runtime: the one that uses it; integrity: sha512 of the tarball, base64, as npm's lock files have it."""

    runtime: str
    name: str
    version: str
    integrity: str
    files: tuple[str, ...]
    build: str = ""
    """What of a package that is used for several runtimes."""

    @property
    def tarball(self) -> str:
        """As `npm pack` calls it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def folder(self) -> str:
        return self.tarball.removesuffix(".tgz") + (f"-{self.build}" if self.build else "")


_ORT_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
PACKAGES = (
    Package(
        "onnxruntime-web", "onnxruntime-web", "1.30.0", _ORT_INTEGRITY,
        ("dist/ort.wasm.min.js", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"),
    ),
    Package(
        "litert-web", "@litertjs/core", "2.5.3",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        tuple(
            f"wasm/litert_wasm{variant}_internal.{ending}"
            for variant in ("", "_threaded", "_compat")
            for ending in ("js", "wasm")
        ),
    ),
    Package(
        "onnxruntime-webgpu", "onnxruntime-web", "1.30.0", _ORT_INTEGRITY,
        ("dist/ort.webgpu.min.js", "dist/ort-wasm-simd-threaded.asyncify.mjs",
         "dist/ort-wasm-simd-threaded.asyncify.wasm"),
        build="webgpu",
    ),
)  # fmt: skip
USUAL = ("onnxruntime-web", "litert-web")


def ensure(progress: Progress, given: Path | None, runtimes: Sequence[str] = USUAL) -> Path:
    """The folder `<package>-<version>/<file>.gz` of what these runtimes need, made whole where it is not.

    given: a folder with the tarballs, for machines that are not online. Raises UserError, BadFile.
    """
    folder = cache.folder() / "web"
    for package in [one for one in PACKAGES if one.runtime in runtimes]:
        if not (folder / package.folder).is_dir():
            with progress.step(f"Fetching {package.name} {package.version} for phones, once"), cache.writing():
                _unpack(package, folder, given)
    return folder


def _unpack(package: Package, folder: Path, given: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tarball = given / package.tarball if given else _fetch(package, Path(scratch))
        check(package, tarball)
        whole = Path(scratch) / "whole"
        whole.mkdir()
        with tarfile.open(tarball) as archive:
            for name in package.files:
                member = archive.extractfile(f"package/{name}")
                assert member is not None  # the tarball is the pinned one, and it holds these files
                data = gzip.compress(member.read(), compresslevel=6, mtime=0)
                (whole / (Path(name).name + ".gz")).write_bytes(data)
        whole.rename(folder / package.folder)


def check(package: Package, tarball: Path) -> None:
    """Raises BadFile unless the tarball is the one that was pinned, to the bit."""
    if not tarball.is_file():
        raise BadFile(
            str(tarball), "there is no such file",
            f"Make it where there is internet: npm pack {package.name}@{package.version}",
        )  # fmt: skip
    with tarball.open("rb") as stream:
        found = base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
    if found != package.integrity:
        raise BadFile(
            str(tarball), f"it is not {package.name} {package.version} as pinned (sha512 {found[:16]}...)",
            "Remove it and fetch it again; if it stays so, do not use it",
        )  # fmt: skip


def _fetch(package: Package, folder: Path) -> Path:
    wanted = f"{package.name}@{package.version}"
    remedy = (
        f"Connect this machine once, or give the tarballs with --assets DIR (elsewhere: npm pack {PACKAGES[0].name}@"
        f"{PACKAGES[0].version} {PACKAGES[1].name}@{PACKAGES[1].version})"
    )
    try:
        answer = subprocess.run(
            ["npm", "pack", "--loglevel=error", wanted],
            cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise UserError(f"package '{wanted}'", "there is no `npm` here to fetch it", f"Install npm. {remedy}") from None
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or ["npm gave no reason"]
        if errno.errorcode[errno.ENOSPC] in answer.stderr:  # npm has a cache of its own, perhaps on another disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{folder.parent} or the cache of npm")
        raise UserError(f"package '{wanted}'", f"npm cannot fetch it ({said[0]})", remedy)
    return folder / package.tarball
