from __future__ import annotations

import array
import base64
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from device_agents.python.runtimes import litert, onnxruntime
from edgebench.files import cache as cache_
from edgebench.schema import bundle, plan
from edgebench.schema.bundle import Artifact, FileRef, Golden
from edgebench.schema.plan import Plan
from tests.support.cable import phone as phone
from tests.support.cable import plug_in as plug_in
from tests.support.forked_workers import ForkedWorkers
from tests.support.skips import pytest_sessionfinish as pytest_sessionfinish
from tests.support.skips import pytest_terminal_summary as pytest_terminal_summary

# Under nohup, or behind a shell's `&`, pytest would ignore these, and so would everything that it starts.
for number, usual in (
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGTERM, signal.SIG_DFL),
    (signal.SIGINT, signal.default_int_handler),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

DATA = Path(__file__).parent / "data"
# Before the `cache` fixture hides it: large files from the network, each checked by its hash, are fetched once.
USERS_CACHE = cache_.folder()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test writes into the user's cache, but for USERS_CACHE; subprocesses inherit it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGEBENCH_CACHE", str(folder))
    monkeypatch.setenv("EDGEBENCH_LOCK", str(tmp_path / "device.lock"))  # tests of other processes measure as well
    return folder


@pytest.fixture(scope="session", autouse=True)
def forked_workers() -> Iterator[ForkedWorkers]:
    """Exporters' workers start from a process that has imported their libraries."""
    from exporters.workers import process

    workers = ForkedWorkers()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "subprocess", workers)
        yield workers
    workers.close()


@pytest.fixture
def started_workers(forked_workers: ForkedWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of how they start and end, and of what differs from one Python process to the next."""
    monkeypatch.setattr(forked_workers, "fork", False)


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums are rounded otherwise on two: only with as many threads everywhere are weights equal to the bit."""
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with real files: relu.onnx and relu.tflite work, the others do not."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "relu.onnx").write_bytes(base64.b64decode(onnxruntime.TINY_MODEL))
    (folder / "relu.tflite").write_bytes(base64.b64decode(litert.TINY_MODEL))
    (folder / "foreign.onnx").write_bytes(b"this is no network")
    (folder / "truncated.tflite").write_bytes(base64.b64decode(litert.TINY_MODEL)[:300])
    # INT_MIN / -1: raises SIGFPE on x86 inside the runtime.
    (folder / "crash.onnx").write_bytes((DATA / "crash-sigfpe.onnx").read_bytes())
    return folder


@pytest.fixture
def tiny_plan() -> Plan:
    """The quick plan, quicker: every step of a job, no precision to speak of."""
    return msgspec.structs.replace(
        plan.named("quick"),
        rounds_min=3,
        values_min=3,
        seconds_min=0.0,
        seconds_max=0.3,
        round_s=0.02,
        warmup_max_s=0.2,
        warmup_window_s=0.004,
    )


@pytest.fixture
def relu_bundle(tmp_path: Path) -> Path:
    return make_relu_bundle(tmp_path / "relu-bundle", expected=[0.0, 1.0, 2.0])


def make_relu_bundle(folder: Path, *, expected: list[float]) -> Path:
    """A bundle of relu in both formats, with golden inputs -1, 1, 2 and the given `expected` outputs."""
    golden = folder / "golden"
    golden.mkdir(parents=True)
    inputs = _write_floats(golden / "inputs.bin", [-1.0, 1.0, 2.0], folder)
    outputs = _write_floats(golden / "expected.bin", expected, folder)
    artifacts = []
    for runtime, format_ in ((onnxruntime, "onnx"), (litert, "tflite")):
        path = folder / f"{format_}-fp32{runtime.SUFFIXES[0]}"
        path.write_bytes(base64.b64decode(runtime.TINY_MODEL))
        artifacts.append(
            Artifact(
                name=f"relu-{format_}-fp32",
                format=format_,
                precision="fp32",
                content=bundle.file_ref(folder, path),
                golden=Golden(3, (inputs,), (outputs,), (outputs,), (1e-3,)),
            )
        )
    bundle.save(bundle.Bundle("relu", "relu", {}, tuple(artifacts), "2026-11-20T00:00:00Z"), folder)
    return folder


def _write_floats(path: Path, values: list[float], folder: Path) -> FileRef:
    path.write_bytes(array.array("f", values).tobytes())
    return bundle.file_ref(folder, path)


def run_cli(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The real program, as typed, in an 80-column terminal."""
    return subprocess.run(
        cli_command(*arguments),
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def cli_command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", "from edgebench.cli import main; main()", *map(str, arguments)]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="session")
def fetched_assets() -> Path:
    """What a phone's page loads (npm packages), in the user's cache; tests are skipped where it cannot be had."""
    with pytest.MonkeyPatch.context() as patch:
        from edgebench.device.phone import assets
        from edgebench.errors import UserError
        from edgebench.progress import Silent

        patch.setenv("EDGEBENCH_CACHE", str(USERS_CACHE))
        try:
            return assets.ensure(Silent(), None)
        except UserError as error:
            pytest.skip(f"the page's runtimes are not to be had: {error}")


@pytest.fixture
def page_assets(fetched_assets: Path, cache: Path) -> None:
    cache.mkdir()
    (cache / "web").symlink_to(fetched_assets)
