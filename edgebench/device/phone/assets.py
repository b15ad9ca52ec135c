"""The runtimes that the page loads: npm packages, pinned and verified, kept compressed in the user's cache. Only
those in a target's `runtimes` are downloaded.

They come from the user's own `npm`, with its registry and settings, or from a folder with the tarballs (`--assets`),
which `npm pack NAME@VERSION` makes on any machine that is online.
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
class NpmPackage:
    """runtime: the one that uses it. integrity: sha512 of the tarball in base64, as in npm's lock files."""

    runtime: str
    name: str
    version: str
    integrity: str
    files: tuple[str, ...]
    build: str = ""
    """Which part, for a package that serves several runtimes."""

    @property
    def tarball(self) -> str:
        """The file name that `npm pack` gives."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def folder(self) -> str:
        return self.tarball.removesuffix(".tgz") + (f"-{self.build}" if self.build else "")


_ORT_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
PACKAGES = (
    NpmPackage(
        "onnxruntime-web", "onnxruntime-web", "1.30.0", _ORT_INTEGRITY,
        ("dist/ort.wasm.min.js", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"),
    ),
    NpmPackage(
        "litert-web", "@litertjs/core", "2.5.3",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        tuple(
            f"wasm/litert_wasm{variant}_internal.{ending}"
            for variant in ("", "_threaded", "_compat")
            for ending in ("js", "wasm")
        ),
    ),
    NpmPackage(
        "onnxruntime-webgpu", "onnxruntime-web", "1.30.0", _ORT_INTEGRITY,
        ("dist/ort.webgpu.min.js", "dist/ort-wasm-simd-threaded.asyncify.mjs",
         "dist/ort-wasm-simd-threaded.asyncify.wasm"),
        build="webgpu",
    ),
)  # fmt: skip
USUAL = ("onnxruntime-web", "litert-web")


def ensure(progress: Progress, given: Path | None, runtimes: Sequence[str] = USUAL) -> Path:
    """The folder with `<package>-<version>/<file>.gz` for these runtimes; what is missing is downloaded.

    given: a folder with the tarballs, for machines that are offline. Raises UserError, BadFile.
    """
    folder = cache.folder() / "web"
    for package in [one for one in PACKAGES if one.runtime in runtimes]:
        if not (folder / package.folder).is_dir():
            with progress.step(f"Downloading {package.name} {package.version} for phones (once)"), cache.writing():
                _unpack(package, folder, given)
    return folder


def _unpack(package: NpmPackage, folder: Path, given: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tarball = given / package.tarball if given else _fetch(package, Path(scratch))
        check(package, tarball)
        whole = Path(scratch) / "whole"
        whole.mkdir()
        with tarfile.open(tarball) as archive:
            for name in package.files:
                member = archive.extractfile(f"package/{name}")
                assert member is not None  # the tarball is the pinned one, which contains these files
                data = gzip.compress(member.read(), compresslevel=6, mtime=0)
                (whole / (Path(name).name + ".gz")).write_bytes(data)
        whole.rename(folder / package.folder)


def check(package: NpmPackage, tarball: Path) -> None:
    """Raises BadFile unless the tarball is exactly the pinned one."""
    if not tarball.is_file():
        raise BadFile(
            str(tarball), "does not exist",
            f"Make it on a machine that is online: npm pack {package.name}@{package.version}",
        )  # fmt: skip
    with tarball.open("rb") as stream:
        found = base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
    if found != package.integrity:
        raise BadFile(
            str(tarball), f"differs from the pinned {package.name} {package.version} (sha512 {found[:16]}...)",
            "Delete it and download it again; if it still differs, do not use it",
        )  # fmt: skip


def _fetch(package: NpmPackage, folder: Path) -> Path:
    wanted = f"{package.name}@{package.version}"
    remedy = (
        f"Connect this machine to the internet once, or give the tarballs with --assets DIR (to make them: npm pack "
        f"{PACKAGES[0].name}@{PACKAGES[0].version} {PACKAGES[1].name}@{PACKAGES[1].version})"
    )
    try:
        answer = subprocess.run(
            ["npm", "pack", "--loglevel=error", wanted],
            cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise UserError(f"package '{wanted}'", "`npm` is not installed", f"Install it. {remedy}") from None
    if answer.returncode:
        said = answer.stderr.strip().splitlines() or ["npm gave no reason"]
        if errno.errorcode[errno.ENOSPC] in answer.stderr:  # npm's own cache may be on another disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{folder.parent} or npm's cache")
        raise UserError(f"package '{wanted}'", f"npm cannot download it ({said[0]})", remedy)
    return folder / package.tarball
