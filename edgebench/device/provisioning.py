"""Finds the runtimes on a device, and installs those that it lacks: wheels downloaded here, unpacked there.

The device needs no internet, no pip and no compiler. Wheels are downloaded without their dependencies: the runtime's
module lists all that inference needs, and the agent proves it by loading a model.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from edgebench import plugins
from edgebench.device.agent import Agent
from edgebench.device.answers import RuntimeOnDevice
from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.progress import Progress
from edgebench.schema.facts import Facts
from edgebench.schema.targets import Target

_OLDEST_GLIBC_MINOR = 17  # manylinux2014
_NEWEST_GLIBC_MINOR = 45
_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_EPOCH = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class WorkingRuntime:
    """A runtime that loaded a model on the device; folder "" is the device's own installation."""

    name: str
    folder: str


@dataclass(frozen=True)
class RuntimeChoice:
    """The runtimes that work on the device, by the suffix of the files that they run there; the problems of others."""

    by_suffix: dict[str, list[WorkingRuntime]]
    problems: dict[str, list[str]]

    def problem(self, suffix: str) -> str:
        return "; ".join(self.problems.get(suffix, [])) or f"none of its runtimes reads {suffix} files"


def find_runtimes(
    agent: Agent, target: Target, suffixes: Sequence[str], progress: Progress, *, every: bool = False
) -> RuntimeChoice:
    """For each suffix the first of the target's runtimes that works there, installed if need be; or every one."""
    reads = {name: [one for one in _runtime_module(name).SUFFIXES if one in suffixes] for name in target.runtimes}
    choice = RuntimeChoice({}, {})
    for name, own in reads.items():
        needed = [suffix for suffix in own if every or suffix not in choice.by_suffix]
        if not needed:
            continue
        with progress.step(f"Looking for {name} on {target.name}"):
            runtime = look(agent, target, [name])[name]
        if _program(name, target) or (runtime.problem and can_install(name, target)):
            runtime = _install(agent, target, name, runtime, progress)
        for suffix in needed:
            if runtime.problem:
                choice.problems.setdefault(suffix, []).append(f"{name}: {runtime.problem}")
            else:
                choice.by_suffix.setdefault(suffix, []).append(WorkingRuntime(name, runtime.folder))
    return choice


def look(agent: Agent, target: Target, names: Sequence[str]) -> dict[str, RuntimeOnDevice]:
    """What the device reports about each runtime. Raises UnknownName here, where the names can be listed."""
    for name in names:
        _runtime_module(name)
    return agent.runtimes(names, options(target))


def options(target: Target) -> dict[str, Any]:
    """What a runtime is told of a target (device_agents/python/runtimes)."""
    return {
        "threads": target.threads,
        "device": target.device,
        "provider": target.provider,
        "cpus": target.cpus,
        "precision": target.precision,
    }


def can_install(name: str, target: Target) -> bool:
    """Whether there are wheels to try; those for a GPU are gigabytes, so users install them themselves."""
    module = _runtime_module(name)
    if target.device == "cuda" or getattr(module, "needs_own_build", lambda _: False)(options(target)):
        return False
    return bool(module.WHEELS or _program(name, target))


def answers(name: str) -> bool:
    """Whether a runtime shows its outputs; one that times itself shows nothing else."""
    return getattr(_runtime_module(name), "ANSWERS", True)


def _program(name: str, target: Target) -> Path | None:
    """The user's file of a runtime that is a program."""
    key = getattr(_runtime_module(name), "PROGRAM", "")
    given = getattr(target, key) if key else ""
    return Path(given).expanduser() if given else None


def _install(agent: Agent, target: Target, name: str, before: RuntimeOnDevice, progress: Progress) -> RuntimeOnDevice:
    """Send and unpack a runtime and probe it again; without a wheel, its problem before is returned."""
    try:
        with progress.step(f"Finding {name} for {target.name}"):
            program, module = _program(name, target), _runtime_module(name)
            wheels = [_packed(program, module.PROGRAM)] if program else wheels_for(module.WHEELS, agent.facts())
    except NoWheel as error:
        return RuntimeOnDevice(problem=f"{before.problem}; {error.seen}")
    files = {_sha256(wheel): wheel for wheel in wheels}
    missing = agent.missing(files)
    size = sum(files[sha256].stat().st_size for sha256 in missing)
    with progress.step(f"Installing {name} on {target.name}, {size / 1e6:.0f} MB", total=len(missing) + 1) as step:
        for sha256 in missing:
            agent.send([(sha256, files[sha256])])
            step.advance()
        agent.install(name, files)
        step.advance()
    return look(agent, target, [name])[name]


def _packed(program: Path, key: str) -> Path:
    """A program in the archive that the agent unpacks, under the name that its runtime looks for."""
    if not program.is_file():
        raise UserError("runtime", f"{program} does not exist", f"Correct `{key}` in targets.yaml")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as out:
        out.writestr(zipfile.ZipInfo(key, _EPOCH), program.read_bytes())
    return cache.put(cache.folder() / "programs" / f"{_sha256(program)}-{key}.zip", packed.getvalue())


def _runtime_module(name: str) -> ModuleType:
    return plugins.load("device_agents.python.runtimes", name, kind="runtime")


class NoWheel(UserError):
    """The package has no wheel for this machine, Python and libc."""


def wheels_for(packages: Mapping[str, str], facts: Facts) -> list[Path]:
    """One uncompressed wheel per {package: version rule}, for the device of `facts`; from the cache if possible."""
    platform = Platform(facts)
    folder = cache.folder() / "wheels" / platform.name
    with cache.writing():
        folder.mkdir(parents=True, exist_ok=True)
        return [_wheel(package + rule, platform, folder) for package, rule in packages.items()]


class Platform:
    """What pip needs to know about a device to choose wheels for it."""

    def __init__(self, facts: Facts) -> None:
        version = re.match(r"(\d+)\.(\d+)", facts.python or "")
        libc = re.fullmatch(r"glibc 2\.(\d+)(\.\d+)?", facts.libc or "")
        if not version or not libc or not facts.machine:
            raise NoWheel(
                "runtime", f"there are no wheels for {facts.machine}, Python {facts.python}, {facts.libc}",
                "Install the runtime on the device yourself",
            )  # fmt: skip
        self.python = f"{version[1]}.{version[2]}"
        minors = range(int(libc[1]), _OLDEST_GLIBC_MINOR - 1, -1)
        self.tags = [f"manylinux_2_{minor}_{facts.machine}" for minor in minors] + [f"manylinux2014_{facts.machine}"]
        self.machine, self.libc = facts.machine, facts.libc
        self.name = f"{facts.machine}-py{self.python}-glibc2.{libc[1]}"


def _wheel(requirement: str, platform: Platform, folder: Path) -> Path:
    """The cached wheel of one requirement; the requirement is in its name, so that a new rule is a new file."""
    key = hashlib.sha256(requirement.encode()).hexdigest()[:8]
    cached = sorted(folder.glob(f"*.{key}.whl"))
    if cached:
        return cached[-1]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        downloaded = _download(requirement, platform, Path(scratch))
        stored = folder / f"{downloaded.stem}.{key}.whl"
        _store_uncompressed(downloaded, Path(scratch) / "stored")
        (Path(scratch) / "stored").replace(stored)
    return stored


def _download(requirement: str, platform: Platform, folder: Path) -> Path:
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder),
        "--implementation", "cp", "--python-version", platform.python,
    ]  # fmt: skip
    for tag in platform.tags:
        command += ["--platform", tag]
    answer = subprocess.run([*command, requirement], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if answer.returncode == 0 and wheels:
        return wheels[0]
    said = answer.stderr.strip().splitlines() or ["pip gave no reason"]
    if os.strerror(errno.ENOSPC) in answer.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    if "No matching distribution" in answer.stderr and "connection" not in answer.stderr.lower():
        raise NoWheel(f"runtime '{requirement}'", _why_none(requirement, platform), "Use a newer system on the device")
    raise UserError(
        f"runtime '{requirement}'", f"its wheel cannot be downloaded ({said[-1]})",
        "Connect this machine (not the device) to the internet once; wheels are kept",
    )  # fmt: skip


def _why_none(requirement: str, platform: Platform) -> str:
    """What a wheel would fit, asked of pip without a download: another glibc or another Python, in one sentence."""
    newer = [f"manylinux_2_{minor}_{platform.machine}" for minor in range(_NEWEST_GLIBC_MINOR, 16, -1)]
    if wheel := _would_take(requirement, platform.python, newer):
        needed = min(re.findall(r"manylinux_2_(\d+)", wheel), key=int, default="?")
        return f"{wheel.split('-')[0]} needs glibc 2.{needed} or newer, and the device has {platform.libc}"
    fitting = [python for python in _PYTHONS if _would_take(requirement, python, platform.tags + newer)]
    if fitting:
        return f"{requirement} has wheels for Python {', '.join(fitting)}, and the device has {platform.python}"
    return f"pip finds no wheel of {requirement} for {platform.machine} (is this machine, not the device, online?)"


def _would_take(requirement: str, python: str, tags: Sequence[str]) -> str:
    """The file name of the wheel that pip would download; "" if none."""
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps",
        "--only-binary=:all:", "--report", "-", "--target", "unused", "--implementation", "cp",
        "--python-version", python,
    ]  # fmt: skip
    command += [part for tag in tags for part in ("--platform", tag)]
    answer = subprocess.run([*command, requirement], capture_output=True, text=True)
    try:
        (found,) = msgspec.json.decode(answer.stdout)["install"]
        return Path(unquote(urlsplit(found["download_info"]["url"]).path)).name
    except (msgspec.DecodeError, KeyError, ValueError, TypeError):
        return ""


def _store_uncompressed(wheel: Path, destination: Path) -> None:
    """The same wheel uncompressed: decompression is most of the time of an installation on a weak processor."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(destination, "w", zipfile.ZIP_STORED) as out:
        for name in sorted(source.namelist()):
            out.writestr(zipfile.ZipInfo(name, _EPOCH), source.read(name))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
